// What a task prints: its last line always, and folded the end of it, which follows as in a terminal.
import { PartFollower, readWhole } from './part_follower.js';
import { Section, actionButton, save, savedName } from './section.js';
import { Terminal, runsOf } from './terminal.js';
import { formatSize } from './figures.js';
import { make, setText } from './task_card.js';

const LAST_LINE_MS = 500;
const SHOWN_LINES = 500;
const TAIL_BYTES_SHOWN = 1 << 16;
const ALL_LINES = 20_000;
const ALL_BYTES = 4 << 20;
const DOWNLOAD_BYTES = 64 << 20;
const TRACEBACK_BYTES = 1 << 16;
const TRACEBACK = /^(?: *\+ Exception Group )?Traceback \(most recent call last\):$/gm;
const CHAINED = /(?:another exception occurred:|the direct cause of the following exception:)\s*$/;

/** Fills an element with a terminal's line. @param {HTMLElement} node @param {import('./terminal.js').Line} line */
function drawLine(node, line) {
  node.replaceChildren(...runsOf(line).map(({ text, style }) => {
    if (!style) return document.createTextNode(text);
    const span = document.createElement('span');
    span.className = style.classes;
    span.style.color = style.color;
    span.style.backgroundColor = style.background;
    span.textContent = text;
    return span;
  }));
}

/** Shows a terminal's lines in an element, and changes only what has changed. */
class LineScreen {
  /** @param {HTMLElement} element @param {Terminal} terminal */
  constructor(element, terminal) {
    this.element = element;
    this.terminal = terminal;
    /** @type {Map<import('./terminal.js').Line, {node: HTMLElement, version: number}>} */
    this.drawn = new Map();
  }

  draw() {
    const { element, terminal } = this;
    const follows = element.scrollTop + element.clientHeight >= element.scrollHeight - 8;
    const lines = terminal.lines.at(-1).cells.length ? terminal.lines : terminal.lines.slice(0, -1);
    const there = new Set(lines);
    for (const [line, { node }] of this.drawn) {
      if (there.has(line)) continue;
      node.remove();
      this.drawn.delete(line);
    }
    for (const line of lines) { // they only ever leave at the top and come at the bottom
      let known = this.drawn.get(line);
      if (!known) {
        known = { node: document.createElement('div'), version: -1 };
        this.drawn.set(line, known);
        element.append(known.node);
      }
      if (known.version !== line.version) {
        known.version = line.version;
        drawLine(known.node, line);
      }
    }
    if (follows) element.scrollTop = element.scrollHeight;
  }
}

/**
 * @param {import('./section.js').SectionHost & {onLastLine: (line: string) => void}} host
 */
export function outputSection(host) {
  const { hub, taskType, taskId, isLooking, onLastLine } = host;
  const terminal = new Terminal(SHOWN_LINES);
  const section = new Section('Output', look);
  const log = make('div', '-terminal', { tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Output' });
  const screen = new LineScreen(log, terminal);
  const nothing = make('div', '-nothing');
  nothing.textContent = 'Nothing has been printed yet.';
  const read = (place) => hub.output(taskType, taskId, place);
  const follower = new PartFollower({
    read,
    isLookedAt: () => section.isOpen && isLooking(),
    tailBytes: TAIL_BYTES_SHOWN,
    onError: (message) => section.say(message),
    onText(text, anew, from) {
      if (anew) {
        terminal.clear();
        begins = from;
      }
      terminal.write(text);
      screen.draw();
      const line = terminal.lastLine();
      if (line) onLastLine(line);
      showActions();
    },
  });
  const showAll = actionButton(section, 'Show all', () => {
    terminal.rows = ALL_LINES;
    follower.restart(ALL_BYTES);
  });
  actionButton(section, 'Download', async () => {
    save(new Blob((await readWhole(read, DOWNLOAD_BYTES)).pieces, { type: 'text/plain' }), savedName(host, '-output.txt'));
  });
  section.panel.append(nothing, log, section.problem, section.actions);

  let begins = 0;
  let size = 0;
  const lastLine = { size: 0, isBusy: false, next: 0 };
  let isOver = false;

  function showActions() {
    const isCut = begins > 0 || terminal.dropped > 0;
    showAll.hidden = !isCut || size > ALL_BYTES || terminal.rows === ALL_LINES;
    setText(showAll, `Show all ${formatSize(size)}`);
  }

  async function fetchLastLine() {
    if (!hub.tail || isOver || lastLine.isBusy || section.isOpen || !isLooking() || !size || size === lastLine.size) return;
    lastLine.isBusy = true;
    await new Promise((resolve) => setTimeout(resolve, lastLine.next - Date.now()));
    lastLine.next = Date.now() + LAST_LINE_MS;
    lastLine.size = size; // it may also have shrunk: of a long output only head and tail are kept
    try {
      const line = await hub.tail(taskType, taskId);
      if (line && !isOver) onLastLine(line);
    } catch {
      // The line is an extra: what is wrong with the connection is said elsewhere.
    }
    lastLine.isBusy = false;
    fetchLastLine();
  }

  function look() {
    if (!section.isOpen) fetchLastLine();
    else follower.look();
  }

  return {
    section,
    show(task) {
      size = task.outputBytes ?? 0;
      section.show(Boolean(hub.output) && task.status !== undefined);
      nothing.hidden = size > 0;
      log.hidden = section.actions.hidden = size === 0;
      setText(nothing, task.endedAt ? 'It printed nothing.' : 'Nothing has been printed yet.');
      follower.grown(size);
      fetchLastLine();
      showActions();
    },
    look,
    dispose() {
      isOver = true;
    },
  };
}

/** The last traceback of some output, with those that led to it; empty where there is none. @param {string} text */
export function lastTraceback(text) {
  const begins = [...text.matchAll(TRACEBACK)].map(({ index }) => index);
  let first = begins.pop();
  while (begins.length && CHAINED.test(text.slice(begins.at(-1), first))) first = begins.pop();
  return first === undefined ? '' : text.slice(first).trimEnd();
}

/** The worker's traceback, which is the end of what it printed. @param {import('./section.js').SectionHost} host */
export function tracebackSection({ hub, taskType, taskId, isLooking }) {
  const section = new Section('Traceback', look);
  const log = make('pre', '-traceback', { tabindex: '0', role: 'group', 'aria-label': 'Traceback' });
  section.panel.append(log, section.problem);
  let fetched = 0;
  let size = 0;

  async function look() {
    if (!section.isOpen || !isLooking() || fetched === size) return;
    fetched = size;
    try {
      const { bytes } = await hub.output(taskType, taskId, { after: Math.max(0, size - TRACEBACK_BYTES), limit: TRACEBACK_BYTES });
      const terminal = new Terminal(ALL_LINES);
      terminal.write(new TextDecoder().decode(bytes));
      const text = terminal.lines.map(({ cells }) => cells.join('').trimEnd()).join('\n');
      setText(log, lastTraceback(text) || 'Its output has no traceback at its end.');
      section.say('');
    } catch (reason) {
      fetched = 0;
      section.say(reason.message);
    }
  }

  return {
    section,
    show(task) {
      size = task.outputBytes ?? 0;
      section.show(Boolean(hub.output) && task.status === 'failed' && task.code === 'worker_error' && size > 0);
      look();
    },
    look,
    dispose() {},
  };
}
