// What the list of tasks and the form ask of the server, through the page's hub.
import { Refused, refusal } from './server.js';

/** An answer that says what is wrong with which field: `faults` is [{path, message}]. */
export class InvalidInput extends Refused {
  constructor(status, answer) {
    super(status, answer);
    this.faults = answer?.errors ?? [];
  }
}

/** The task types that can be started here: [{name, doc, input, source, error}]. */
export async function taskTypes(hub) {
  return (await hub.send('GET', 'api/task-types')).taskTypes;
}

/**
 * The address of a start, below the server's.
 * @param {string} taskType @param {{name?: string, tags?: string[], timeout?: number | string, retries?: number | string}} [options]
 */
export function startPath(taskType, { name, tags = [], timeout, retries } = {}) {
  const query = new URLSearchParams();
  if (name) query.set('name', name);
  for (const tag of tags) query.append('tag', tag);
  if (timeout) query.set('timeout', String(timeout));
  if (retries) query.set('retries', String(retries));
  const text = query.toString();
  return `api/tasks/${encodeURIComponent(taskType)}${text ? `?${text}` : ''}`;
}

/** Starts a task with an input that is JSON already, and gives its id; once for each `key`, however often it is sent. */
export async function startTask(hub, taskType, json, options, key) {
  const response = await hub.fetch(startPath(taskType, options), {
    method: 'POST', body: json, headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
  });
  const answer = await response.json().catch(() => undefined);
  if (!response.ok || !answer) throw new InvalidInput(response.status || 403, answer ?? undefined);
  return answer.taskId;
}

/** Forgets an ended task, with everything that it made. */
export async function forgetTask(hub, { taskType, taskId }) {
  const path = `api/tasks/${encodeURIComponent(taskType)}/${encodeURIComponent(taskId)}`;
  const response = await hub.fetch(path, { method: 'DELETE' });
  if (response.ok || response.status === 404) return; // somebody else was quicker
  throw await refusal(response);
}

/** Does `action` for each of `tasks`, a few at a time, and gives [task, error] of those that failed. */
export async function forEach(tasks, action) {
  const waiting = [...tasks];
  const failed = [];
  const work = async () => {
    for (let task = waiting.shift(); task; task = waiting.shift()) {
      try {
        await action(task);
      } catch (error) {
        failed.push([task, error]);
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, work)); // a browser has six connections to a server
  return failed;
}
