// A folded part of the card: a button that stays where it is, and below the row of buttons the panel that it opens.
import { icon, make, setText } from './task_card.js';

/** Of this copy of the code: a page may have several. */
const PANELS = `sse-tasks-${Math.random().toString(36).slice(2, 10)}`;
const GIVEN_UP_MS = 60_000;
let panelsMade = 0;

/**
 * What a section needs of the card that it is in.
 * @typedef {object} SectionHost
 * @property {any} hub
 * @property {string} taskType
 * @property {string} taskId
 * @property {() => boolean} isLooking whether the card is in sight
 */

export class Section {
  /** @param {string} label @param {() => void} onToggle called whenever it was opened or closed */
  constructor(label, onToggle) {
    this.label = label;
    this.onToggle = onToggle;
    this.isDecided = false;
    panelsMade += 1;
    const id = `${PANELS}-${panelsMade}`;
    this.panel = make('div', '-panel', { id });
    this.panel.hidden = true;
    this.button = make('button', '-fold', { type: 'button', 'aria-expanded': 'false', 'aria-controls': id });
    this.count = make('span', '-count');
    this.count.hidden = true;
    const word = document.createElement('span');
    word.textContent = label;
    this.button.append(icon('chevron'), word, this.count);
    this.button.addEventListener('click', () => {
      this.isDecided = true;
      this.toggle(!this.isOpen);
    });
    this.problem = make('div', '-problem');
    this.problem.hidden = true;
    this.actions = make('div', '-panelActions');
  }

  get isOpen() {
    return !this.panel.hidden && !this.button.hidden;
  }

  /** @param {boolean} open */
  toggle(open) {
    if (open === !this.panel.hidden) return;
    this.panel.hidden = !open;
    this.button.setAttribute('aria-expanded', String(open));
    this.onToggle();
  }

  /** Opens or closes it by itself, once: afterwards it is as the person left it. @param {boolean} open */
  decide(open) {
    if (this.isDecided) return;
    this.isDecided = true;
    this.toggle(open);
  }

  /** @param {boolean} shown */
  show(shown) {
    if (this.button.hidden === !shown) return;
    this.button.hidden = !shown;
    if (!shown) this.panel.hidden = true;
    this.button.setAttribute('aria-expanded', String(!this.panel.hidden));
  }

  /** @param {string} text */
  setCount(text) {
    setText(this.count, text);
    this.count.hidden = !text;
  }

  /** @param {string} text what keeps it from showing more, or nothing */
  say(text) {
    setText(this.problem, text);
    this.problem.hidden = !text;
  }
}

/**
 * A quiet button with words. While its action runs it can't be pressed again, and what goes wrong is said.
 * @param {Section} section @param {string} words @param {() => unknown} action
 */
export function actionButton(section, words, action) {
  const button = make('button', '-link', { type: 'button' });
  button.textContent = words;
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    section.say('');
    try {
      await action();
    } catch (reason) {
      section.say(reason.message);
    }
    button.setAttribute('aria-disabled', 'false');
  });
  section.actions.append(button);
  return button;
}

/** Lets the browser save it. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), GIVEN_UP_MS);
}

/** What files of a task are called when they are saved: which task they are from. */
export function savedName({ taskType, taskId }, ending) {
  return `${taskType}-${taskId.slice(-6)}${ending}`;
}
