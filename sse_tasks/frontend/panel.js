// The panel of all tasks: a head, the form that starts one, and the list. JupyterLab's side bar and the page show it.
import { element, iconButton } from './elements.js';
import { browserNotices } from './notices.js';
import { mountForm } from './task_form.js';
import { mountList } from './task_list.js';

const BELL = {
  off: 'Notify me when a task ends while I look elsewhere',
  on: 'Notifications are on',
  denied: 'The browser was told not to show notifications of this server',
};

/**
 * Shows the panel in `host`. `openNotebook` jumps to where a task was started.
 * @returns {{dispose: () => void, focus: () => void, reveal: (taskId: string, taskType?: string) => Promise<boolean>, start: (taskType?: string) => void}}
 */
export function mountPanel(host, { hub, openNotebook }) {
  const bell = iconButton('Panel-button', 'bell', BELL.off);
  const add = iconButton('Panel-add', 'add', 'Start a task', 'Start');
  add.setAttribute('aria-expanded', 'false');
  const formHost = element('div', 'Panel-form');
  const listHost = element('div', 'Panel-list');
  const root = element('div', 'Panel', {},
    element('div', 'Panel-header', {}, element('h1', 'Panel-title', {}, 'Tasks'), bell, add), formHost, listHost);
  formHost.hidden = true;
  host.replaceChildren(root);
  let form;

  const list = mountList(listHost, { hub, openNotebook, onEmpty: () => start() });

  function start(taskType) {
    if (form) form.refresh(); // a worker may have been edited, or added
    else form = mountForm(formHost, { hub, onClose: closeForm,
      onStarted(type, taskId) {
        closeForm();
        list.reveal(taskId, type);
      } });
    formHost.hidden = false;
    add.setAttribute('aria-expanded', 'true');
    if (taskType) form.choose(taskType);
    form.focus();
  }

  function closeForm() {
    formHost.hidden = true; // what was typed stays for the next one
    add.setAttribute('aria-expanded', 'false');
    add.focus();
  }

  function showBell(state) {
    bell.hidden = state === 'unsupported';
    bell.title = BELL[state] ?? '';
    bell.setAttribute('aria-label', BELL[state] ?? '');
    bell.setAttribute('aria-pressed', String(state === 'on'));
    bell.setAttribute('aria-disabled', String(state === 'denied'));
  }

  add.addEventListener('click', () => (formHost.hidden ? start() : closeForm()));
  bell.addEventListener('click', async () => {
    if (browserNotices.state() !== 'denied') showBell(await browserNotices.toggle());
  });
  showBell(browserNotices.state());

  return {
    dispose() {
      list.dispose();
      form?.dispose();
      root.remove();
    },
    focus: () => list.focus(),
    reveal: list.reveal,
    start,
  };
}
