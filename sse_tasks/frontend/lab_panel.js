// JupyterLab's and Notebook's panel of all tasks: the side bar where there is one, the page elsewhere; commands for both.
import { connectHub } from './hub.js';
import { mountPanel } from './panel.js';
import { settings } from './server.js';

export const SHOW = 'sse-tasks:show';
export const START = 'sse-tasks:start';
export const PAGE = 'sse-tasks:open-page';
const CATEGORY = 'Tasks';
const RANK = 320; // after Lab's own, before the extension manager
const ICON = '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M4 5h16v3H4zm0 5.500h11v3H4zM4 16h7v3H4z"/></svg>';

/** The icon of tasks, made once: a name may be given out once only. */
export function taskIcon(ui) {
  if (!ui?.LabIcon) return undefined;
  window.sseTasksIcon ??= new ui.LabIcon({ name: 'sse-tasks:task', svgstr: ICON });
  return window.sseTasksIcon;
}

/** Opens a notebook and scrolls to the cell that started a task. */
async function openNotebook(app, { path, cell }) {
  const widget = await app.commands.execute('docmanager:open', { path });
  await widget?.context?.ready;
  await widget?.revealed;
  const index = widget?.content?.widgets?.findIndex(({ model }) => model.id === cell) ?? -1;
  if (index === -1) return;
  widget.content.activeCellIndex = index;
  await widget.content.scrollToCell?.(widget.content.widgets[index]);
}

/** The page's tab, the same each time. */
function openPage(taskId) {
  window.open(`${settings().baseUrl}sse-tasks${taskId ? `#${taskId}` : ''}`, 'sse-tasks');
}

export const panelIntegration = {
  id: 'panel',
  description: 'All tasks in the side bar, and the commands for it.',
  packages: ['@lumino/widgets', '@jupyterlab/application', '@jupyterlab/apputils', '@jupyterlab/mainmenu', '@jupyterlab/ui-components'],
  tokens: (modules) => ({
    shell: modules['@jupyterlab/application']?.ILabShell,
    restorer: modules['@jupyterlab/application']?.ILayoutRestorer,
    palette: modules['@jupyterlab/apputils']?.ICommandPalette,
    menu: modules['@jupyterlab/mainmenu']?.IMainMenu,
  }),
  activate(app, { modules, services: { shell, restorer, palette, menu } }) {
    const hub = connectHub();
    const Widget = modules['@lumino/widgets']?.Widget;
    const icon = taskIcon(modules['@jupyterlab/ui-components']);
    let panel;
    let widget;
    if (shell && Widget) {
      widget = new Widget();
      widget.id = 'sse-tasks-panel';
      widget.title.caption = 'Tasks';
      if (icon) widget.title.icon = icon;
      else widget.title.label = 'Tasks';
      widget.node.setAttribute('role', 'region');
      widget.node.setAttribute('aria-label', 'Tasks');
      panel = mountPanel(widget.node, { hub, openNotebook: (notebook) => openNotebook(app, notebook) });
      widget.disposed.connect(() => panel.dispose());
      shell.add(widget, 'left', { rank: RANK, type: 'Tasks' });
      restorer?.add(widget, widget.id);
    }
    app.commands.addCommand(SHOW, {
      label: 'Show Tasks', caption: 'All tasks: running, waiting, ended', icon,
      execute: async ({ taskId, taskType }) => {
        if (!widget) {
          openPage(taskId);
          return;
        }
        shell.activateById(widget.id);
        if (taskId) await panel.reveal(taskId, taskType);
        else panel.focus();
      },
    });
    app.commands.addCommand(PAGE, { label: 'Open Tasks in a Browser Tab', caption: 'All tasks on a page of its own', icon,
      execute: ({ taskId }) => openPage(taskId) });
    const commands = [SHOW, PAGE];
    if (widget) {
      app.commands.addCommand(START, { label: 'Start a Task…', caption: 'From a form made of the task type’s input', icon,
        execute: ({ taskType }) => {
          shell.activateById(widget.id);
          panel.start(taskType);
        } });
      commands.push(START);
    } else {
      commands.shift(); // where there is no side bar, both would do the same
    }
    for (const command of commands) palette?.addItem({ command, category: CATEGORY });
    menu?.viewMenu?.addGroup(commands.slice(0, 1).map((command) => ({ command })), 900);
  },
};
