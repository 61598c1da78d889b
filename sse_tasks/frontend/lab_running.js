// Tasks that live, in JupyterLab's "Running Terminals and Kernels"; shutting one down there is aborting it.
import { connectHub } from './hub.js';
import { SHOW, taskIcon } from './lab_panel.js';
import { LIVE_WORDS, watchLive } from './live_tasks.js';
import { titleOf } from './task_row.js';

export const runningIntegration = {
  id: 'running',
  description: 'Live tasks among the running sessions.',
  packages: ['@jupyterlab/running', '@jupyterlab/ui-components', '@lumino/signaling'],
  tokens: (modules) => ({ sessions: modules['@jupyterlab/running']?.IRunningSessionManagers }),
  activate(app, { modules, services: { sessions } }) {
    const Signal = modules['@lumino/signaling']?.Signal;
    const hub = connectHub();
    if (!sessions || !Signal || !hub) return;
    let live = new Map();
    const icon = taskIcon(modules['@jupyterlab/ui-components']);
    const manager = {
      name: 'Tasks',
      running: () => [...live.values()].reverse().map((task) => ({
        label: () => titleOf(task),
        labelTitle: () => `${task.taskType} ${task.taskId}, ${LIVE_WORDS[task.status]}`,
        detail: () => LIVE_WORDS[task.status],
        icon: () => icon,
        open: () => app.commands.execute(SHOW, { taskId: task.taskId, taskType: task.taskType }),
        shutdown: () => hub.ask(task.taskType, task.taskId, 'abort'),
      })),
      shutdownAll: () => { for (const { taskType, taskId } of live.values()) hub.ask(taskType, taskId, 'abort').catch(() => {}); },
      refreshRunning: () => {},
      shutdownLabel: 'Abort',
      shutdownAllLabel: 'Abort All',
      shutdownAllConfirmationText: 'Abort all tasks? What they have done so far is kept.',
    };
    manager.runningChanged = new Signal(manager);
    watchLive(hub, (all) => {
      live = all;
      manager.runningChanged.emit();
    });
    sessions.add(manager);
  },
};
