// Forgetting can't be undone on the server, so it waits a moment here: until then a person may take it back, and a page
// that is closed meanwhile forgets nothing.
import { forEach, forgetTask } from './task_calls.js';

export const UNDO_MS = 6000;

/** The tasks that a person wants away. `onChange` is told when that changed, `onFailed` of those that stay: [task, error]. */
export class Forgetting {
  constructor(hub, onChange, onFailed) {
    this.hub = hub;
    this.onChange = onChange;
    this.onFailed = onFailed;
    this.tasks = new Map(); // id → task: hidden, and not asked for yet
    this.leaving = new Map(); // asked for
  }

  has(taskId) {
    return this.tasks.has(taskId) || this.leaving.has(taskId);
  }

  /** Adds tasks, and gives all of them the whole time again. */
  add(tasks) {
    for (const task of tasks) this.tasks.set(task.taskId, task);
    clearTimeout(this.timer);
    if (!this.tasks.size) return;
    this.timer = setTimeout(() => this.commit(), UNDO_MS);
    this.onChange();
  }

  /** While a person makes up their mind. */
  hold() {
    clearTimeout(this.timer);
  }

  undo() {
    clearTimeout(this.timer);
    this.tasks.clear();
    this.onChange();
  }

  async commit() {
    clearTimeout(this.timer);
    const tasks = [...this.tasks.values()];
    for (const task of tasks) this.leaving.set(task.taskId, task);
    this.tasks.clear();
    this.onChange();
    const failed = await forEach(tasks, async (task) => {
      await forgetTask(this.hub, task);
      this.hub.lose(task.taskId); // the stream says so, too; where there is none, nobody would
    });
    for (const { taskId } of tasks) this.leaving.delete(taskId);
    this.onChange();
    if (failed.length) this.onFailed(failed);
  }

  dispose() {
    clearTimeout(this.timer);
  }
}
