// The tasks that have not ended, for who only counts or names them.

export const LIVE = new Set(['idle', 'running', 'paused']);

/**
 * Calls `onChange` with all live tasks (id → TaskInfo) whenever one comes, goes, or changes its status or name, until
 * the returned function is called.
 */
export function watchLive(hub, onChange) {
  const live = new Map();
  return hub.watchAll(({ type, task, taskId = task?.taskId }) => {
    if (type !== 'snapshot' && type !== 'gone') return;
    const before = live.get(taskId);
    const after = type === 'snapshot' && LIVE.has(task.status) ? task : undefined;
    if (after) live.set(taskId, after);
    else live.delete(taskId);
    if (before?.status !== after?.status || before?.name !== after?.name) onChange(live);
  }, { calm: true });
}

/** How many of them run. */
export function countRunning(live) {
  return [...live.values()].filter(({ status }) => status === 'running').length;
}
