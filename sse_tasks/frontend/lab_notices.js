// Notices of ends in JupyterLab and Notebook: their own, and the browser's where a person allowed them.
import { connectHub } from './hub.js';
import { SHOW } from './lab_panel.js';
import { browserNotices, watchEnds } from './notices.js';

const SUCCESS_MS = 6000;

export const noticesIntegration = {
  id: 'notices',
  description: 'Says that a task has ended while one looks elsewhere.',
  packages: ['@jupyterlab/apputils'],
  tokens: () => ({}),
  activate(app, { modules }) {
    const Notification = modules['@jupyterlab/apputils']?.Notification;
    const hub = connectHub();
    if (!hub) return;
    watchEnds(hub, (notice) => {
      const { title, body, isFailure, task } = notice;
      const show = () => app.commands.execute(SHOW, { taskId: task.taskId, taskType: task.taskType });
      const text = [title, body].filter(Boolean).join(': ').slice(0, 140); // longer ones it cuts itself
      const actions = [{ label: 'Show', callback: show }];
      // A failure stays until somebody has seen it.
      if (isFailure) Notification?.error(text, { autoClose: false, actions });
      else Notification?.success(text, { autoClose: SUCCESS_MS, actions });
      browserNotices.show(notice, show);
    });
  },
};
