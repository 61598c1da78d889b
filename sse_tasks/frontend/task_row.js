// One task in the list: a line or two, what can be done with it, and its card when it is opened.
import { element, focusedIn, glyph, iconButton, relabel, write } from './elements.js';
import { formatDuration, formatExactly, formatMoment, formatNumber, formatPercentage } from './figures.js';
import { LIVE } from './live_tasks.js';
import { notebookOf } from './origins.js';
import { BarFill } from './progress_bar.js';
import { WRITTEN } from './task_card.js';
import { mount } from './task_view.js';
import { ASKED_TEXT, ENDED, isKnownStatus, percentageOf, statusText } from './task_words.js';


/** What a person calls a task. */
export function titleOf({ name, taskType }) {
  return name || taskType;
}

/**
 * Seconds of work so far, pauses not counted; undefined where it has not begun.
 * @param {{startedAt?: string, endedAt?: string, pausedSeconds?: number}} task @param {number} now milliseconds
 */
export function workedSeconds({ startedAt, endedAt, pausedSeconds = 0 }, now) {
  const started = Date.parse(startedAt);
  return Number.isNaN(started) ? undefined : ((endedAt ? Date.parse(endedAt) : now) - started) / 1000 - pausedSeconds;
}

/** Which actions make sense for a task now. */
export function actionsOf({ status, requested }) {
  if (ENDED.has(status)) return ['restart', 'forget'];
  if (!LIVE.has(status)) return []; // what isn't understood isn't steered
  if (requested === 'abort') return [];
  return [status === 'paused' || requested === 'pause' ? 'resume' : 'pause', 'abort'];
}

/**
 * `list` is the row's owner: {hub, act(action, tasks), select(taskId, isSelected, isRange), toggle(taskId), reveal(taskId,
 * taskType), openNotebook or undefined}.
 */
export class TaskRow {
  constructor(task, list) {
    this.list = list;
    this.id = task.taskId;
    this.check = element('input', 'Row-check', { type: 'checkbox' });
    this.state = element('span', 'Row-state', { 'aria-hidden': 'true' });
    this.name = element('span', 'Row-name', WRITTEN);
    this.type = element('span', 'Row-type');
    this.spoken = element('span', 'hidden');
    this.open = element('button', 'Row-open', { type: 'button', 'aria-expanded': 'false' }, this.name, this.type, this.spoken);
    this.figures = element('span', 'Row-figures');
    this.toggle = iconButton('Row-button', 'pause', 'Pause');
    this.abort = iconButton('Row-button sse-mod-abort', 'abort', 'Abort');
    this.restart = iconButton('Row-button', 'restart', 'Restart');
    this.forget = iconButton('Row-button', 'forget', 'Forget');
    this.fill = element('div', 'Row-fill');
    this.bar = element('div', 'Row-bar', { 'aria-hidden': 'true' }, this.fill);
    this.barFill = new BarFill(this.bar, this.fill);
    this.message = element('div', 'Row-message', WRITTEN);
    this.origin = element('div', 'Row-origin');
    this.card = element('div', 'Row-card');
    this.node = element('li', 'Row', {},
      element('div', 'Row-line', {}, this.check, this.state, this.open,
        element('div', 'Row-actions', { role: 'group', 'aria-label': 'Task controls' }, this.toggle, this.abort, this.restart, this.forget)),
      this.bar, element('div', 'Row-second', {}, this.message, this.figures), this.card, this.origin);
    this.card.hidden = this.origin.hidden = true;
    this.node.dataset.taskId = task.taskId;
    this.check.addEventListener('click', (event) => list.select(this.id, this.check.checked, event.shiftKey));
    this.open.addEventListener('click', () => list.toggle(this.id));
    this.toggle.addEventListener('click', ({ detail }) => {
      // The second click of a double click doesn't take back what the first one asked.
      if (detail < 2) list.act(this.toggle.dataset.glyph, [this.task]);
    });
    for (const action of ['abort', 'restart', 'forget']) this[action].addEventListener('click', () => list.act(action, [this.task]));
    this.update(task);
  }

  /** @param {object} task its TaskInfo */
  update(task) {
    this.task = task;
    const { status } = task;
    const { activeElement } = document;
    const state = ASKED_TEXT[task.requested] ?? statusText(status);
    const title = titleOf(task);
    this.node.dataset.status = status;
    this.check.setAttribute('aria-label', `Select ${title}`);
    if (this.state.dataset.status !== status) {
      this.state.dataset.status = status;
      this.state.replaceChildren(glyph(isKnownStatus(status) ? status : 'idle'));
    }
    this.state.title = state;
    write(this.name, title);
    write(this.type, task.name ? task.taskType : '');
    write(this.spoken, `, ${state}`);
    this.open.title = [title, ...(task.tags ?? []).map((tag) => `#${tag}`)].join(' ');
    const possible = actionsOf(task);
    const resumes = possible.includes('resume');
    relabel(this.toggle, resumes ? 'resume' : 'pause', resumes ? 'Resume' : 'Pause');
    this.toggle.hidden = !resumes && !possible.includes('pause');
    for (const action of ['abort', 'restart', 'forget']) this[action].hidden = !possible.includes(action);
    if (activeElement && this.node.contains(activeElement) && activeElement.closest('[hidden]')) this.open.focus({ preventScroll: true });
    const share = percentageOf(task.progress);
    this.bar.hidden = !LIVE.has(status) || status === 'idle';
    this.barFill.show(share, status !== 'paused' || Boolean(task.startedAt)); // else it waits to begin
    const asked = ASKED_TEXT[task.requested];
    const text = task.error ?? task.message ?? (LIVE.has(status) ? task.progress?.message : undefined) ?? '';
    write(this.message, [asked, text.split('\n', 1)[0]].filter(Boolean).join(' '));
    this.message.title = text;
    this.writeFigures();
    this.writeOrigin();
  }

  /** Also each second: times go on where a task says nothing new. */
  writeFigures() {
    const { task } = this;
    const { progress = {}, status } = task;
    const now = this.list.hub.now();
    const figures = [];
    if (status === 'idle' && task.position) figures.push(`place ${formatNumber(task.position)}`);
    if (LIVE.has(status) && status !== 'idle') {
      const share = percentageOf(progress);
      if (share !== undefined) figures.push(formatPercentage(share));
      else if (Number.isFinite(progress.current)) figures.push(formatNumber(progress.current));
    }
    const seconds = workedSeconds(task, now);
    if (seconds !== undefined && status !== 'paused') figures.push(formatDuration(seconds)); // since when it pauses isn't known
    if (task.endedAt) figures.push(formatMoment(Date.parse(task.endedAt), now));
    write(this.figures, figures.join(' · '));
  }

  writeOrigin() {
    if (this.card.hidden) return;
    const { task } = this;
    const notebook = notebookOf(task);
    const key = JSON.stringify([task.createdAt, task.origin, task.tags]);
    if (this.origin.dataset.for === key) return;
    this.origin.dataset.for = key;
    const parts = [];
    const created = Date.parse(task.createdAt);
    const now = this.list.hub.now();
    if (!Number.isNaN(created)) parts.push(element('span', '', { title: formatExactly(created) }, `Started ${formatMoment(created, now)}`));
    if (notebook?.path && this.list.openNotebook) {
      const link = element('button', 'Row-link', { type: 'button', title: `Open ${notebook.path}` }, glyph('notebook'), notebook.name);
      link.addEventListener('click', () => this.list.openNotebook(notebook));
      parts.push(link);
    } else if (notebook) {
      parts.push(element('span', '', { title: task.origin.notebook }, glyph('notebook'), notebook.name));
    }
    for (const tag of task.tags ?? []) parts.push(element('span', 'Row-tag', WRITTEN, `#${tag}`));
    this.origin.replaceChildren(...parts);
    this.origin.hidden = !parts.length;
  }

  /** Shows the task's card, or only its line. */
  setOpen(isOpen) {
    if (isOpen === !this.card.hidden) return;
    this.card.hidden = !isOpen;
    this.open.setAttribute('aria-expanded', String(isOpen));
    this.node.classList.toggle('sse-mod-open', isOpen);
    if (!isOpen) {
      if (focusedIn(this.card)) this.open.focus();
      this.origin.hidden = true;
      delete this.origin.dataset.for;
      this.stop?.();
      this.stop = undefined;
      return;
    }
    const { taskType, taskId } = this.task;
    this.stop = mount(this.card, { taskType, taskId, hub: this.list.hub, last: this.task,
      // The card would go on to the other task by itself; in a list that has a line of its own.
      onFollow: (id) => setTimeout(() => this.list.reveal(id, taskType, taskId)) });
    this.writeOrigin();
  }

  dispose() {
    this.stop?.();
    this.stop = undefined;
    this.node.remove();
  }
}
