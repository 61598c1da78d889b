// The elements of a task's card. Everything a task or a page wrote is put in as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';
/** @type {Record<string, string>} */
const ICONS = { // 16 × 16, one path each, filled with currentColor
  pause: 'M4.500 3h2.500v10H4.500zM9 3h2.500v10H9z',
  resume: 'M5 2.800v10.400l8-5.200z',
  abort: 'M4 4h8v8H4z',
  running: 'M5 2.800v10.400l8-5.200z',
  idle: 'M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zm0 1.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM7.250 5h1.500v2.800l1.900 1.100-.750 1.300-2.650-1.550z',
  completed: 'M6.400 12.600 2.300 8.500l1.200-1.200 2.900 2.900 6.100-6.100 1.200 1.200z',
  failed: 'M8 1.500 15.200 14H.800zM7.250 6v4h1.500V6zm0 5v1.500h1.500V11z',
  aborted: 'm4.200 3.100 3.800 3.800 3.800-3.800 1.100 1.100L9.100 8l3.800 3.800-1.100 1.100L8 9.100l-3.800 3.800-1.100-1.100L6.900 8 3.100 4.200z',
  restart: 'M8 3V.500L4.200 4 8 7.500V5a4 4 0 1 1-4 4H2a6 6 0 1 0 6-6z',
  chevron: 'm6 3.500 4.500 4.500L6 12.500l-1-1L8.500 8 5 4.500z',
};

/**
 * An element of the card. @param {string} tag @param {string} [part] its class after `sse-tasks-TaskView`
 * @param {Record<string, string>} attributes @returns {any}
 */
export function make(tag, part, attributes = {}) {
  const node = document.createElement(tag);
  if (part !== undefined) node.className = `sse-tasks-TaskView${part}`;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  // Lumino looks at the focused element alone, so the card's own mark isn't enough: `d d` would delete the cell.
  if ('tabindex' in attributes || tag === 'button' || tag === 'summary') node.dataset.lmSuppressShortcuts = 'true';
  return node;
}
/** @param {string} tag @param {Record<string, string>} attributes @returns {SVGElement} */
export function makeSvg(tag, attributes) {
  const node = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
/** @param {string} name */
export function icon(name) {
  const svg = makeSvg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' });
  svg.append(makeSvg('path', { 'fill-rule': 'evenodd', d: ICONS[name] }));
  return svg;
}
/** Changes text only when it differs, so that selections and screen readers are left alone. */
export function setText(node, text) {
  const { firstChild } = node;
  if (firstChild instanceof Text && firstChild === node.lastChild && text) { // keeps the text's box: half the work of a new one
    if (firstChild.data !== text) firstChild.data = text;
  } else if (node.textContent !== text) {
    node.textContent = text;
  }
}
/** Only where it differs: assistive technology and observers hear of every setting. */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}
/** Changes an icon, likewise. @param {HTMLElement} node @param {string} name */
export function setIcon(node, name) {
  if (node.dataset.icon === name) return;
  node.dataset.icon = name;
  node.replaceChildren(icon(name));
}
/** What a task wrote may run from right to left: what doesn't fit is then cut at its end, not at its beginning. */
export const WRITTEN = { dir: 'auto' };
/** The card's elements, in an order that reads well aloud. */
export function build() {
  const root = make('div', '', { role: 'group', tabindex: '-1', 'data-jp-suppress-context-menu': 'true' });
  const parts = {
    root,
    name: make('span', '-name', WRITTEN),
    type: make('span', '-type'),
    chipIcon: make('span', '-statusIcon'),
    chipText: make('span', '-statusText'),
    dot: make('span', '-connection', { role: 'img' }),
    source: make('span', '-source', { 'aria-hidden': 'true' }),
    toggle: make('button', '-button', { type: 'button' }),
    abort: make('button', '-button', { type: 'button', 'aria-label': 'Abort', title: 'Abort' }),
    restart: make('button', '-button', { type: 'button', 'aria-label': 'Restart' }),
    bar: make('div', '-bar', { role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-label': 'Progress' }),
    fill: make('div', '-fill'),
    message: make('span', '-message', WRITTEN),
    text: make('span', '-text'),
    step: make('span', '-step'),
    figures: make('span', '-figures'),
    numbers: make('span'),
    when: make('time'),
    question: make('div', '-question', { role: 'group', 'aria-label': 'Abort?' }),
    questionText: make('span', '-questionText'),
    abortNow: make('button', '-answer', { type: 'button' }),
    keep: make('button', '-answer', { type: 'button' }),
    foot: make('div', '-foot'),
    folds: make('div', '-folds', { role: 'group', 'aria-label': 'Details' }),
    panels: make('div', '-panels'),
    traceback: make('div', '-tracebackFold'),
    note: make('div', '-note', { role: 'status' }),
    output: make('div', '-output', { ...WRITTEN, title: 'Last line of the output' }),
    error: make('div', '-error'),
    errorCode: make('span', '-errorCode'),
    errorText: make('pre', '-errorText', WRITTEN),
    hint: make('div', '-hint'),
    restartOf: make('button', '-link', { type: 'button' }),
    restartedAs: make('button', '-link', { type: 'button' }),
    spoken: make('div', '-spoken', { role: 'status' }),
  };
  const box = (part, ...children) => {
    const node = make('div', part);
    node.append(...children);
    return node;
  };
  const chip = make('span', '-status');
  chip.append(parts.chipIcon, parts.chipText);
  const actions = box('-actions', parts.toggle, parts.abort, parts.restart);
  actions.setAttribute('role', 'group');
  actions.setAttribute('aria-label', 'Task controls');
  parts.abort.append(icon('abort'));
  parts.abort.classList.add('sse-mod-abort');
  const word = document.createElement('span');
  word.textContent = 'Restart';
  parts.restart.append(icon('restart'), word);
  parts.restart.classList.add('sse-mod-restart');
  parts.bar.append(parts.fill);
  parts.message.append(parts.text, parts.step);
  parts.error.append(parts.errorCode, parts.errorText);
  parts.figures.append(parts.numbers, parts.when);
  parts.error.append(parts.traceback);
  parts.abortNow.textContent = 'Abort now';
  parts.abortNow.classList.add('sse-mod-abort');
  parts.keep.textContent = 'Keep it';
  parts.question.append(parts.questionText, parts.abortNow, parts.keep);
  parts.foot.append(parts.folds, parts.output);
  root.append(
    box('-header', box('-title', parts.name, parts.type), chip, parts.dot, parts.source, actions),
    parts.bar, box('-line', parts.message, parts.figures), parts.foot, parts.question, parts.note,
    parts.error, parts.hint, box('-links', parts.restartOf, parts.restartedAs), parts.panels, parts.spoken,
  );
  return parts;
}
