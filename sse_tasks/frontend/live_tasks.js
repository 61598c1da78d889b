// The tasks that have not ended, for who only counts or names them.

/** The words for their states, what runs first. @type {Record<string, string>} */
export const LIVE_WORDS = { running: 'running', paused: 'paused', idle: 'waiting' };
export const LIVE = new Set(Object.keys(LIVE_WORDS));

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

/** How many of them have that status. */
export function countOfStatus(live, wanted) {
  return [...live.values()].filter(({ status }) => status === wanted).length;
}
