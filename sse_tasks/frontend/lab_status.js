// JupyterLab's status bar: how many tasks run, are paused and wait. It isn't there while none does.
import { connectHub } from './hub.js';
import { SHOW } from './lab_panel.js';
import { countOf, element, write } from './elements.js';
import { LIVE_WORDS, countOfStatus, watchLive } from './live_tasks.js';

export const statusIntegration = {
  id: 'status',
  description: 'The number of live tasks in the status bar.',
  packages: ['@jupyterlab/statusbar', '@lumino/widgets'],
  tokens: (modules) => ({ bar: modules['@jupyterlab/statusbar']?.IStatusBar }),
  activate(app, { modules, services: { bar } }) {
    const Widget = modules['@lumino/widgets']?.Widget;
    const hub = connectHub();
    if (!bar || !Widget || !hub) return;
    // Lab's own class for text, so that it sits level with the other items.
    const button = element('button', 'StatusItem', { type: 'button' });
    button.classList.add('jp-StatusBar-TextItem');
    button.addEventListener('click', () => app.commands.execute(SHOW));
    const item = new Widget();
    item.node.append(button);
    item.hide();
    watchLive(hub, (live) => {
      const counts = Object.entries(LIVE_WORDS).map(([status, word]) => ({ count: countOfStatus(live, status), word })).filter(({ count }) => count);
      const words = counts.map(({ count, word }, index) => `${index ? count.toLocaleString() : countOf(count)} ${word}`).join(', ');
      write(button, words);
      button.title = words ? `${words}: show all` : '';
      if (live.size) item.show();
      else item.hide();
    });
    bar.registerStatusItem('sse-tasks:status', { item, align: 'left', rank: 90 });
  },
};
