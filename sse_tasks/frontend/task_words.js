// What a card says of a task: its state, its connection, how far it is, and what an abort would lose.
import { formatDuration, formatNumber } from './figures.js';

/**
 * What is known of a task; a server's TaskInfo as JSON.
 * @typedef {object} Task
 * @property {string} [taskId]
 * @property {string} [name]
 * @property {string} [status]
 * @property {'pause' | 'abort'} [requested]
 * @property {{percentage?: number, current?: number, total?: number, message?: string}} [progress]
 * @property {string} [message]
 * @property {string} [error]
 * @property {string} [code]
 * @property {any} [result]
 * @property {number} [resultBytes]
 * @property {number} [attempt]
 * @property {number} [retries]
 * @property {string} [restartOf]
 * @property {string} [restartedAs]
 * @property {string} [startedAt]
 * @property {string} [endedAt]
 * @property {string} [savedAt] when its last checkpoint was saved
 * @property {number} [pausedSeconds]
 * @property {number} [position]
 * @property {number} [items]
 * @property {number} [itemsBytes]
 * @property {number} [metrics]
 * @property {number} [metricsBytes]
 * @property {number} [outputBytes]
 * @property {number} [files]
 * @property {number} [cursor]
 * @property {string} [lastLine] of its output, where the kernel relays
 */

export const ENDED = new Set(['completed', 'failed', 'aborted']);
/** @type {Record<string, string>} */
export const STATUS_TEXT = {
  idle: 'Waiting', running: 'Running', paused: 'Paused', completed: 'Completed', failed: 'Failed', aborted: 'Aborted',
};
/** @type {Record<string, string>} */
export const ASKED_TEXT = { pause: 'Pausing…', resume: 'Resuming…', abort: 'Aborting…', restart: 'Restarting…' };
/** Ends that say nothing against the work itself: the card then says that a restart goes on with it. */
export const CUT_SHORT = new Set(['worker_died', 'host_lost', 'timeout', 'memory', 'disk_full', 'terminated']);
/**
 * In full, for the dot; in short beside the dot where a person should know.
 * @type {Record<string, [string, string]>}
 */
export const CONNECTION_TEXT = {
  live: ['Live', ''],
  polling: ['Live, asked every 2 seconds: something on the way holds streams back', ''],
  kernel: ['Live, through the kernel', 'through the kernel'],
  connecting: ['Connecting…', ''],
  off: ['Not connected', 'not connected'],
  silent: ['The kernel does not answer: it is busy or gone', 'kernel does not answer'],
  offline: ['The server does not answer; trying again', 'server does not answer'],
  'signed-out': ['Signed out: reload the page to sign in', 'signed out: reload the page'],
  forbidden: ['You are not allowed to see tasks on this server', 'not allowed'],
};
/** Why it begins once more: told in whole, where other messages are cut at the line's end. */
export const BEGUN_AGAIN = /^(Attempt \d+ of \d+ |Restarted from )/;
/** The longest texts that are drawn, in characters: more of them than this would take a browser's time, and no one reads it. */
const LONGEST = { name: 300, message: 2000, error: 20_000, code: 100, lastLine: 4000 };
/** Less work than this is not worth a question. */
const ASKED_FROM_SECONDS = 30;

/** The word for a status; one that is newer than this page is shown as it is. @param {string} status */
export function statusText(status) {
  return Object.hasOwn(STATUS_TEXT, status) ? STATUS_TEXT[status] : String(status);
}

/** Whether this page knows what that status means. @param {unknown} status */
export function isKnownStatus(status) {
  return Object.hasOwn(STATUS_TEXT, String(status));
}

/** @param {any} value @param {number} most */
function asText(value, most) {
  if (value === null || value === undefined) return undefined;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most)}… (${formatNumber(text.length - most)} more characters)` : text;
}

/**
 * A task as a view can draw it, whoever told of it: a newer server, a saved notebook. What should be text is text, and not
 * endless; what is no progress is none.
 * @param {any} given @returns {Task}
 */
export function wellFormed(given) {
  const task = { ...given };
  for (const [key, most] of Object.entries(LONGEST)) if (task[key] !== undefined) task[key] = asText(task[key], most);
  if (task.status !== undefined) task.status = String(task.status);
  if (task.progress === undefined) return task;
  const { progress } = task;
  task.progress = typeof progress === 'object' && progress ? { ...progress, message: asText(progress.message, LONGEST.message) } : undefined;
  return task;
}

/** 0 to 100, or undefined where the task doesn't say. @param {Task['progress']} progress */
export function percentageOf({ percentage, current, total } = {}) {
  const value = Number.isFinite(percentage) ? percentage : (current / total) * 100;
  return Number.isFinite(value) ? Math.min(100, Math.max(0, value)) : undefined;
}

/** "3 of 20", "3", or nothing. @param {Task['progress']} progress */
export function countsOf({ current, total } = {}) {
  if (!Number.isFinite(current)) return '';
  return Number.isFinite(total) ? `${formatNumber(current)} of ${formatNumber(total)}` : formatNumber(current);
}

/** "attempt 2 of 4", and nothing for the first. @param {Task} task */
export function attemptOf({ attempt = 1, retries = 0 }) {
  return attempt > 1 ? `attempt ${formatNumber(attempt)} of ${formatNumber(Math.max(attempt, retries + 1))}` : '';
}

/**
 * What an abort would lose; nothing where that isn't worth one.
 * @param {Task} task @param {number | undefined} seconds of work so far @param {number} now milliseconds
 */
export function lossOf(task, seconds, now) {
  if (seconds === undefined || ENDED.has(task.status)) return '';
  const saved = Date.parse(task.savedAt);
  // A task that stands still has saved what it had to save; a pause's beginning isn't known.
  if (!Number.isNaN(saved) && task.status === 'paused') return '';
  const lost = Number.isNaN(saved) ? seconds : Math.min(seconds, (now - saved) / 1000);
  if (lost < ASKED_FROM_SECONDS) return '';
  const what = Number.isNaN(saved)
    ? `No checkpoint was saved: ${formatDuration(lost)} of work would be lost`
    : `The work since the last checkpoint, ${formatDuration(lost)} ago, would be lost`;
  return `${what}.`;
}
