// Notices of tasks that end while a person looks elsewhere. Who shows them is the host's: JupyterLab, or the browser.
import { countOf } from './elements.js';
import { titleOf } from './task_row.js';

/** Ends that come together are told together. */
const TOGETHER_MS = 400;
const MOST_SINGLE = 3;
const SETTING = 'sse-tasks-notices';

/** Whether a person is elsewhere than at this page. */
export function isAway() {
  return document.hidden || !document.hasFocus();
}

/** Whether a task's line or card is in sight on this page. */
function isInSight({ taskId }) {
  return [...document.querySelectorAll(`[data-task-id="${CSS.escape(taskId)}"]`)].some((node) => {
    const { top, bottom, width, height } = node.getBoundingClientRect();
    return width > 0 && height > 0 && bottom > 0 && top < innerHeight;
  });
}

/** What there is to say of one end: {title, body, isFailure, task}. */
function noticeOf(task) {
  const isFailure = task.status === 'failed';
  const why = (isFailure ? task.error : task.message) ?? '';
  return { title: `${titleOf(task)} ${isFailure ? 'failed' : 'is done'}`, body: why.split('\n', 1)[0].slice(0, 300), isFailure, task };
}

function noticeOfMany(tasks) {
  const failed = tasks.filter(({ status }) => status === 'failed');
  const title = `${countOf(tasks.length)} ended`;
  return { title, body: failed.length ? `${failed.length} failed: ${failed.slice(0, 3).map(titleOf).join(', ')}` : '', isFailure: failed.length > 0, task: failed[0] ?? tasks[0] };
}

/**
 * Calls `tell` with a notice for each task that completes or fails unseen, until the returned function is called. What
 * a person aborted is no news.
 */
export function watchEnds(hub, tell) {
  let ended = [];
  let timer;
  const flush = () => {
    // A task may have ended before its line was drawn; by now it is.
    const unseen = ended.filter(({ wasAway, task }) => wasAway || !isInSight(task)).map(({ task }) => task);
    ended = [];
    timer = undefined;
    if (unseen.length > MOST_SINGLE) tell(noticeOfMany(unseen));
    else for (const task of unseen) tell(noticeOf(task));
  };
  const stop = hub.watchAll(({ type, task, before }) => {
    if (type !== 'snapshot' || !before || before.endedAt || !['completed', 'failed'].includes(task.status) || task.status === before.status) return;
    const wasAway = isAway(); // asked now: who looks away in a moment has seen it
    if (!wasAway && isInSight(task)) return;
    ended.push({ task, wasAway });
    timer ??= setTimeout(flush, TOGETHER_MS);
  }, { calm: true });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** The browser's own notifications, which a person allows by a click. */
export const browserNotices = {
  /** 'unsupported', 'denied', 'off' or 'on'. */
  state() {
    if (!('Notification' in window) || !window.isSecureContext) return 'unsupported';
    if (Notification.permission === 'denied') return 'denied';
    return Notification.permission === 'granted' && localStorage.getItem(SETTING) === 'on' ? 'on' : 'off';
  },

  /** Within a click. */
  async toggle() {
    if (this.state() === 'on') localStorage.setItem(SETTING, 'off');
    else if ((await Notification.requestPermission()) === 'granted') localStorage.setItem(SETTING, 'on');
    return this.state();
  },

  /** Only where the page itself isn't seen; `onClick` brings a person to the task. */
  show({ title, body, isFailure, task }, onClick) {
    if (this.state() !== 'on' || !isAway()) return;
    // One for each task, however many pages are open; a failure stays until somebody has seen it.
    const notification = new Notification(title, { body, tag: `sse-tasks-${task.taskId}`, requireInteraction: isFailure, silent: !isFailure });
    notification.onclick = () => {
      window.focus();
      notification.close();
      onClick(task);
    };
  },
};
