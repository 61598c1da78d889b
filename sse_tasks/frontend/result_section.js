// What a task has returned: shown at once where it is short, else folded and fetched when it is opened.
import { Section } from './section.js';
import { formatNumber, formatSize } from './figures.js';
import { make, setText } from './task_card.js';

const LINE_CHARACTERS = 90;
const OPEN_RESULT = { lines: 12, characters: 600 };
const LONGEST_RESULT = 20_000;

/** JSON on one line where that is short, else with a line for each value. Newlines in strings are escaped there. */
function pretty(value) {
  if (typeof value === 'string') return value;
  const line = JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ');
  return line.length <= LINE_CHARACTERS ? line : JSON.stringify(value, null, 2);
}

/** @param {import('./section.js').SectionHost} host */
export function resultSection({ hub, taskType, taskId, isLooking }) {
  const section = new Section('Result', render);
  const view = make('pre', '-result', { tabindex: '0', role: 'group', 'aria-label': 'Result' });
  section.panel.append(view);
  /** @type {import('./task_words.js').Task} */
  let task = {};
  /** @type {{for?: number, isBusy?: boolean, value?: any, failed?: string}} fetched, for the task at the cursor `for` */
  const whole = {};
  let isOver = false;

  function render() {
    if (isOver) return;
    const value = task.result ?? (whole.for === task.cursor ? whole.value : undefined);
    const bytes = task.resultBytes ?? 0;
    const isShown = task.status === 'completed' && (value !== undefined || bytes > 4); // 4 bytes without a value: null
    section.show(isShown);
    if (!isShown) return;
    let text = value === undefined ? undefined : pretty(value);
    section.setCount(bytes ? formatSize(bytes) : '');
    section.decide(text !== undefined && text.length <= OPEN_RESULT.characters && text.split('\n').length <= OPEN_RESULT.lines);
    if (!section.isOpen) return;
    if (text === undefined) {
      fetchWhole();
      text = whole.failed ?? (whole.for === task.cursor ? 'Too long to be shown here. In Python it is the task’s .result.' : 'Fetching…');
    } else if (text.length > LONGEST_RESULT) {
      text = `${text.slice(0, LONGEST_RESULT)}\n… ${formatNumber(text.length - LONGEST_RESULT)} more characters. In Python it is the task’s .result.`;
    }
    setText(view, text);
  }

  // Snapshots leave out results above some KiB; the TaskInfo has them up to 1 MiB.
  async function fetchWhole() {
    if (whole.isBusy || whole.for === task.cursor || !hub.info || !isLooking()) return;
    whole.isBusy = true;
    try {
      whole.value = (await hub.info(taskType, taskId)).result;
      whole.failed = undefined;
    } catch (reason) {
      whole.failed = reason.message;
    }
    whole.isBusy = false;
    whole.for = task.cursor;
    render();
  }

  return {
    section,
    show(latest) {
      task = latest;
      render();
    },
    look: render,
    dispose() {
      isOver = true;
    },
  };
}
