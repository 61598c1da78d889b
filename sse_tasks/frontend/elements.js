// Elements for the list of tasks and the form. What a task or a person wrote goes in as text, never as markup.

const SVG_NAMESPACE = 'http://www.w3.org/2000/svg';
const PATHS = { // 16 × 16, filled with currentColor
  pause: 'M4.500 3h2.500v10H4.500zM9 3h2.500v10H9z',
  resume: 'M5 2.800v10.400l8-5.200z',
  abort: 'M4 4h8v8H4z',
  restart: 'M8 3V.500L4.200 4 8 7.500V5a4 4 0 1 1-4 4H2a6 6 0 1 0 6-6z',
  forget: 'M6 1.500h4l.6 1.200H14v1.500H2V2.700h3.400zM3.200 5.500h9.600l-.7 9H3.900zm2.300 1.700.3 5.600h1.400l-.3-5.600zm3.600 0-.3 5.600h1.400l.3-5.600z',
  idle: 'M8 2a6 6 0 0 1 0 12A6 6 0 0 1 8 2zm0 1.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM7.250 5h1.500v2.800l1.900 1.100-.75 1.300-2.650-1.550z',
  running: 'M5 2.800v10.400l8-5.200z',
  paused: 'M4.500 3h2.500v10H4.500zM9 3h2.500v10H9z',
  completed: 'M6.400 12.600 2.300 8.500l1.200-1.200 2.900 2.900 6.100-6.100 1.200 1.200z',
  failed: 'M8 1.500 15.200 14H.8zM7.250 6v4h1.500V6zm0 5v1.500h1.500V11z',
  aborted: 'm4.200 3.100 3.800 3.800 3.800-3.800 1.100 1.100L9.100 8l3.800 3.800-1.100 1.100L8 9.100l-3.800 3.800-1.100-1.100L6.900 8 3.100 4.200z',
  close: 'm4.200 3.100 3.800 3.800 3.800-3.800 1.100 1.100L9.100 8l3.800 3.800-1.100 1.100L8 9.100l-3.800 3.800-1.100-1.100L6.900 8 3.100 4.200z',
  open: 'm6 3.500 4.500 4.500L6 12.500l-1-1L8.500 8 5 4.500z',
  add: 'M7.250 3h1.500v4.250H13v1.500H8.750V13h-1.500V8.750H3v-1.500h4.250z',
  search: 'M7 2a5 5 0 0 1 4 8l3.200 3.200-1.100 1.100L9.900 11.100A5 5 0 1 1 7 2zm0 1.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z',
  bell: 'M7.250 1.500h1.500v1A4.200 4.200 0 0 1 12.200 6.600V10l1.300 1.500v.8h-11v-.8L3.800 10V6.600a4.200 4.200 0 0 1 3.450-4.100zM6.400 13h3.200a1.600 1.600 0 0 1-3.200 0z',
  notebook: 'M3.500 1.500h9v13h-9v-2H2.300V11h1.200V8.750H2.300v-1.500h1.200V5H2.300V3.500h1.200zM5.500 3v10H11V3zM6.500 4.500H10V6H6.500z',
  copy: 'M5 1.500h8.500v10H11v3H2.500v-10H5zm1.500 1.500v7H12V3zM5 6H4v7h5.500v-1.500H5z',
};
/** What can have the keyboard's focus. Lumino looks at the focused element alone, so each one carries the mark. */
const FOCUSABLE = new Set(['button', 'input', 'select', 'textarea', 'summary', 'a']);

/**
 * A new element of class `sse-tasks-<part>` with attributes and children (strings are text).
 * @param {string} tag @param {string} part may be empty @param {Record<string, string | boolean>} [attributes]
 * @param {(Node | string)[]} children @returns {any}
 */
export function element(tag, part, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (part) node.className = part.split(' ').map((name) => (name.startsWith('sse-mod-') ? name : `sse-tasks-${name}`)).join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== undefined) node.setAttribute(name, String(value));
  }
  if (FOCUSABLE.has(tag) || 'tabindex' in attributes) node.dataset.lmSuppressShortcuts = 'true';
  node.append(...children);
  return node;
}

/** An icon that says nothing aloud. @param {keyof typeof PATHS} name */
export function glyph(name) {
  const svg = document.createElementNS(SVG_NAMESPACE, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG_NAMESPACE, 'path');
  path.setAttribute('fill-rule', 'evenodd');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and says `label`; `text` too where it is to be read. */
export function iconButton(part, name, label, text = '') {
  const button = element('button', part, { type: 'button', title: label, 'aria-label': label }, glyph(name));
  button.dataset.glyph = name;
  if (text) button.append(element('span', '', {}, text));
  return button;
}

/** Changes icon and label of an icon button, only where they differ: hovering and focus are left alone. */
export function relabel(button, name, label) {
  if (button.title !== label) {
    button.title = label;
    button.setAttribute('aria-label', label);
  }
  if (button.dataset.glyph === name) return;
  button.dataset.glyph = name;
  button.firstElementChild.replaceWith(glyph(name));
}

/** Changes text only where it differs, so that selections and screen readers are left alone. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** "1 task", "3 tasks". @param {number} count */
export function countOf(count, noun = 'task') {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * What the keyboard's focus is on within an element, or null. @param {Element} within
 * @returns {HTMLElement | null}
 */
export function focusedIn(within) {
  const { activeElement } = /** @type {Document} */ (within.getRootNode());
  return activeElement && within.contains(activeElement) ? /** @type {HTMLElement} */ (activeElement) : null;
}
