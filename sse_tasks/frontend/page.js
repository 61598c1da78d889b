// The page of all tasks, without JupyterLab: `<base_url>sse-tasks`, and `sse-tasks#<task id>` for one of them.
import { element } from './elements.js';
import { connectHub } from './hub.js';
import { countOfStatus, watchLive } from './live_tasks.js';
import { browserNotices, isAway, watchEnds } from './notices.js';
import { mountPanel } from './panel.js';
import { settings } from './server.js';

const TASK_ID = /^[0-9a-z]{26}$/;
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3.500" fill="COLOR"/>
<path fill="#fff" d="M3 3.500h10v2H3zM3 7h7v2H3zM3 10.500h4v2H3z"/></svg>`;
const QUIET = '#6b7280';
const BUSY = '#1976d2';
const BAD = '#d32f2f';

// A token in the address has done its work: the cookie holds it from here on.
const address = new URL(location.href);
if (address.searchParams.has('token')) {
  address.searchParams.delete('token');
  history.replaceState(null, '', address);
}

const hub = connectHub();
const main = document.querySelector('main');
const icon = /** @type {HTMLLinkElement} */ (document.querySelector('link[rel="icon"]'));
const panel = mountPanel(main, { hub, openNotebook: document.body.dataset.notebooks ? openNotebook : undefined });

function openNotebook({ path }) {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  window.open(settings().baseUrl + document.body.dataset.notebooks + encoded, '_blank', 'noopener');
}

// -- title and icon tell how many run, and whether one failed while nobody looked ---------------------------------------

let running = 0;
let unseenFailure = false;
function showCount() {
  document.title = [running ? `(${running}) ` : '', unseenFailure ? '✗ ' : '', 'Tasks'].join('');
  const colour = unseenFailure ? BAD : running ? BUSY : QUIET;
  const href = `data:image/svg+xml,${encodeURIComponent(ICON.replace('COLOR', colour))}`;
  if (icon.href !== href) icon.href = href;
}
watchLive(hub, (live) => {
  running = countOfStatus(live, 'running');
  showCount();
});
showCount();

// -- ends that nobody looks at ------------------------------------------------------------------------------------------

const told = element('div', 'Page-notices', { role: 'status' });
document.body.append(told);
function showHere({ title, body, isFailure, task }) {
  const notice = element('div', `Page-notice${isFailure ? ' sse-mod-bad' : ''}`, { role: isFailure ? 'alert' : 'status' },
    element('strong', '', {}, title), body ? element('span', 'Page-noticeBody', {}, body) : '');
  const show = element('button', 'List-chip', { type: 'button' }, 'Show');
  const close = element('button', 'List-chip', { type: 'button', 'aria-label': `Dismiss: ${title}` }, 'OK');
  notice.append(element('span', 'Page-noticeButtons', {}, show, close));
  const dismiss = () => notice.remove();
  show.addEventListener('click', () => { dismiss(); reveal(task.taskId, task.taskType); });
  close.addEventListener('click', dismiss);
  if (!isFailure) setTimeout(dismiss, 8000);
  told.prepend(notice);
  while (told.children.length > 4) told.lastElementChild.remove();
}
watchEnds(hub, (notice) => {
  unseenFailure ||= notice.isFailure && isAway();
  showCount();
  showHere(notice);
  browserNotices.show(notice, ({ taskId, taskType }) => reveal(taskId, taskType));
});
function comeBack() {
  if (document.hidden) return;
  unseenFailure = false;
  showCount();
}
document.addEventListener('visibilitychange', comeBack);
addEventListener('focus', comeBack);

// -- one task by its address ----------------------------------------------------------------------------------------------

async function reveal(taskId, taskType) {
  if (!(await panel.reveal(taskId, taskType))) showHere({ title: 'There is no such task.', body: taskId, isFailure: false, task: { taskId } });
}
/** The task that the address names, once the list is there. */
function followAddress() {
  const taskId = location.hash.slice(1);
  if (!TASK_ID.test(taskId)) return;
  const stop = hub.watchAll(({ type }) => {
    if (type !== 'listed') return;
    setTimeout(() => { stop(); reveal(taskId); });
  }, { calm: true });
}
addEventListener('hashchange', followAddress);
followAddress();
