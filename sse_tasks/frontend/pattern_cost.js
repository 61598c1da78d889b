// Whether a task type's pattern can be tried in the page: some take years for a short text, and would stop the page.

/** About so many steps are not felt while one types. */
const MOST_STEPS = 3e6;
const REPEAT = /^(?:[*+]|\{\d+(?:,\d*)?\})/;

/**
 * A careful estimate of the worst case: each repetition may begin anywhere, each option doubles the ways, and what
 * repeats something that has several ways is never tried.
 * @param {string} pattern @param {number} length of the text
 */
export function isQuickPattern(pattern, length) {
  let repeats = pattern.startsWith('^') ? 0 : 1; // else it is tried from every place
  let choices = 0;
  const groups = [{ hasWays: false }];
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at];
    let inner = false;
    if (character === '\\') {
      at += 1;
    } else if (character === '[') {
      at += 1;
      while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1;
    } else if (character === '(') {
      groups.push({ hasWays: false });
      if (pattern[at + 1] === '?') at += 1;
      continue;
    } else if (character === ')') {
      inner = groups.length > 1 && Boolean(groups.pop()?.hasWays);
    } else if (character === '|') {
      groups[groups.length - 1].hasWays = true;
      choices += 1;
      continue;
    }
    const group = groups[groups.length - 1];
    const repeat = REPEAT.exec(pattern.slice(at + 1, at + 12))?.[0];
    if (repeat) {
      const isFixed = /^\{\d+\}$/.test(repeat); // one way only
      if (inner) return false;
      if (!isFixed) {
        repeats += 1;
        group.hasWays = true;
      }
      at += repeat.length;
    } else if (pattern[at + 1] === '?') {
      choices += 1;
      group.hasWays = true;
    }
    group.hasWays ||= inner;
    if ((repeat || pattern[at + 1] === '?') && pattern[at + 1] === '?') at += 1; // as few as possible, or an option's mark
  }
  return Math.max(1, length) ** repeats * 2 ** choices <= MOST_STEPS;
}
