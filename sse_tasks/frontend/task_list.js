// The list of all tasks: live ones first, then the ended ones, page by page; search, filters, and actions on several.
import { lossOfAll, makeQuestion } from './abort_question.js';
import { countOf, element, focusedIn, write } from './elements.js';
import { Forgetting, UNDO_MS } from './forgetting.js';
import { makeFilter } from './list_filter.js';
import { LIVE } from './live_tasks.js';
import { makeSelectionBar } from './selection_bar.js';
import { settings } from './server.js';
import { forEach } from './task_calls.js';
import { TaskRow, actionsOf, titleOf } from './task_row.js';
import { ENDED, wellFormed } from './task_words.js';

/** So many lines are added at a time: a browser would take long over thousands. */
const LINES = 60;
const LEAST_RENDER_MS = 100;
const SECTIONS = [['running', 'Running'], ['paused', 'Paused'], ['idle', 'Waiting'], ['ended', 'Ended']];
const CONNECTIONS = {
  offline: 'The server does not answer; trying again.',
  polling: 'Asked every 2 seconds: something on the way holds streams back.',
  'signed-out': 'You are signed out.',
  forbidden: 'You are not allowed to see tasks on this server.',
  absent: 'This server has no tasks: its extension sse_tasks_server is not enabled.',
};

const sectionOf = ({ status }) => (LIVE.has(status) ? status : ENDED.has(status) ? 'ended' : 'running'); // a newer server's
const newestFirst = (a, b) => (a < b ? 1 : a > b ? -1 : 0);
const ORDERS = {
  running: (a, b) => newestFirst(a.taskId, b.taskId),
  paused: (a, b) => newestFirst(a.taskId, b.taskId),
  idle: (a, b) => (a.position ?? Infinity) - (b.position ?? Infinity) || newestFirst(b.taskId, a.taskId),
  ended: (a, b) => newestFirst(a.endedAt ?? '', b.endedAt ?? '') || newestFirst(a.taskId, b.taskId),
};

/**
 * Shows the list in `host`. `openNotebook({path, cell})` jumps to where a task was started, `onEmpty` is asked to start
 * one.
 * @returns {{dispose: () => void, focus: () => void, reveal: (taskId: string, taskType?: string) => Promise<boolean>}}
 */
export function mountList(host, { hub, openNotebook, onEmpty }) {
  const tasks = new Map();
  const rows = new Map();
  const selected = new Set();
  const opened = new Set();
  let more; // whether there are older tasks; undefined until the first are there
  let connection = 'connecting';
  let lines = LINES;
  let lastSelected;
  let loading = false;
  let stop;
  let planned = 0;
  let renderedAt = 0;
  let shownIds = []; // in their order
  let awaited; // the task to show as soon as it is there

  const tools = makeFilter({ onChange: () => { lines = LINES; plan(); } });
  const { search } = tools;
  const banner = element('div', 'List-banner', { role: 'status' });
  const bar = makeSelectionBar({ onAct: (action) => act(action, selectedTasks()), onAll: selectAll, onNone: selectNone });
  const sections = Object.fromEntries(SECTIONS.map(([name, label]) => {
    const count = element('span', 'List-count');
    const ul = element('ul', 'List-rows', { role: 'list' });
    const node = element('section', 'List-section', { 'data-section': name }, element('h3', 'List-heading', {}, label, count), ul);
    return [name, { node, count, ul }];
  }));
  const empty = element('div', 'List-empty');
  const older = element('button', 'List-older', { type: 'button' }, 'Show older tasks');
  const undo = element('button', 'List-undo', { type: 'button' }, 'Undo');
  const forgotten = element('span', '', {});
  const toast = element('div', 'List-toast', { role: 'status' }, forgotten, undo);
  const result = element('div', 'List-result', { role: 'alert' });
  const question = makeQuestion();
  const root = element('div', 'List', {},
    tools.node, banner, bar.node, question.node, result, ...SECTIONS.map(([name]) => sections[name].node), empty, older, toast);
  toast.style.setProperty('--sse-undo', `${UNDO_MS}ms`);
  for (const part of [banner, bar.node, question.node, result, empty, older, toast, ...Object.values(sections).map(({ node }) => node)]) part.hidden = true;
  host.replaceChildren(root);

  const say = (text) => {
    write(result, text);
    result.hidden = !text;
  };
  const forgetting = new Forgetting(hub, () => plan(), (failed) => say(failureText('forgotten', failed)));

  function failureText(done, failed) {
    const [[task, error]] = failed;
    const others = failed.length > 1 ? ` (and ${countOf(failed.length - 1, 'other')})` : '';
    return `${titleOf(task)}${others} could not be ${done}: ${error.message}`;
  }

  // -- what is shown ---------------------------------------------------------------------------------------------

  function plan() {
    if (planned) return;
    const wait = Math.max(0, renderedAt + LEAST_RENDER_MS - performance.now());
    planned = setTimeout(() => {
      planned = 0;
      renderedAt = performance.now();
      render();
    }, wait);
  }

  const matching = () => {
    const matches = tools.test();
    return [...tasks.values()].filter((task) => !forgetting.has(task.taskId) && matches(task));
  };

  function render() {
    const focused = focusedIn(root);
    const found = matching();
    const bySection = {};
    for (const task of found) (bySection[sectionOf(task)] ??= []).push(task);
    let room = lines;
    let held = 0;
    const wanted = new Set();
    shownIds = [];
    for (const [name] of SECTIONS) {
      const list = (bySection[name] ?? []).sort(ORDERS[name]);
      const part = list.slice(0, Math.max(0, room));
      room -= part.length;
      held += list.length - part.length;
      const { node, count, ul } = sections[name];
      node.hidden = !part.length;
      write(count, name === 'ended' && more ? `${list.length.toLocaleString()}+` : list.length.toLocaleString());
      part.forEach((task, index) => {
        wanted.add(task.taskId);
        shownIds.push(task.taskId);
        const row = rows.get(task.taskId) ?? new TaskRow(task, owner);
        if (row.task !== task) row.update(task);
        rows.set(task.taskId, row);
        row.setOpen(opened.has(task.taskId));
        const isSelected = selected.has(task.taskId);
        row.check.checked = isSelected;
        row.node.classList.toggle('sse-mod-selected', isSelected);
        if (ul.children[index] !== row.node) ul.insertBefore(row.node, ul.children[index] ?? null);
      });
    }
    for (const [id, row] of rows) {
      if (wanted.has(id)) continue;
      row.dispose();
      rows.delete(id);
    }
    for (const id of selected) if (!tasks.has(id) || forgetting.has(id)) selected.delete(id);
    older.hidden = !(held || more);
    older.setAttribute('aria-disabled', String(loading));
    write(older, loading ? 'Loading…' : 'Show older tasks');
    renderEmpty(found.length);
    bar.show(selectedTasks(), shownIds);
    renderToast();
    tools.offer(tasks.values());
    renderBanner();
    // An element that is moved or hidden loses the keyboard's focus.
    const isLost = focused && (!focused.isConnected || focused.closest('[hidden]'));
    if (isLost) (toast.hidden ? search : undo).focus({ preventScroll: true }); // what was forgotten took it along
    else if (focused && focusedIn(root) !== focused) focused.focus({ preventScroll: true });
    if (awaited && rows.has(awaited)) bringIntoSight(awaited);
    watchEnd();
  }

  function renderEmpty(count) {
    const isLoading = more === undefined && (connection === 'connecting' || connection === 'live');
    let text = '';
    if (!count && isLoading) text = 'Loading…';
    else if (!count && more === false && !tasks.size) text = 'No tasks yet.';
    else if (!count && more === false) text = 'No task matches.';
    empty.hidden = !text;
    if (empty.dataset.text === text) return;
    empty.dataset.text = text;
    empty.replaceChildren(element('p', '', {}, text));
    if (text === 'No tasks yet.' && onEmpty) {
      const start = element('button', 'List-chip', { type: 'button' }, 'Start one');
      start.addEventListener('click', onEmpty);
      empty.append(start);
    } else if (text === 'No task matches.') {
      const reset = element('button', 'List-chip', { type: 'button' }, 'Show all');
      reset.addEventListener('click', showAll);
      empty.append(reset);
    }
  }

  function renderToast() {
    const count = forgetting.tasks.size;
    toast.hidden = !count;
    if (count) write(forgotten, `${countOf(count)} forgotten.`);
  }

  function renderBanner() {
    const text = CONNECTIONS[connection] ?? '';
    banner.hidden = !text;
    banner.dataset.connection = connection;
    if (banner.dataset.text === text) return;
    banner.dataset.text = text;
    banner.replaceChildren(text);
    if (connection !== 'signed-out') return;
    const next = location.pathname + location.search + location.hash;
    const href = `${settings().baseUrl}login?next=${encodeURIComponent(next)}`;
    banner.append(' ', element('a', 'List-link', { href }, 'Sign in again'));
  }

  // -- what is done ----------------------------------------------------------------------------------------------

  const selectedTasks = () => [...selected].map((id) => tasks.get(id)).filter(Boolean);

  async function act(action, given, isCertain = false) {
    const fitting = given.map((task) => tasks.get(task.taskId) ?? task).filter((task) => actionsOf(task).includes(action));
    if (!fitting.length) return;
    say('');
    question.close();
    const loss = action === 'abort' && !isCertain ? lossOfAll(fitting, hub.now()) : '';
    if (loss) {
      const before = focusedIn(root);
      question.ask(loss, fitting, (isWanted) => {
        (before?.isConnected && !before.closest('[hidden]') ? before : search).focus({ preventScroll: true });
        if (isWanted) act('abort', fitting, true);
      });
      return;
    }
    if (action === 'forget') {
      for (const { taskId } of fitting) opened.delete(taskId);
      forgetting.add(fitting);
      return;
    }
    const failed = await forEach(fitting, async (task) => {
      if (action !== 'restart') await hub.ask(task.taskType, task.taskId, action);
      else if (fitting.length === 1) await reveal(await hub.restart(task.taskType, task.taskId), task.taskType);
      else await hub.restart(task.taskType, task.taskId);
    });
    if (failed.length) say(failureText({ pause: 'paused', resume: 'resumed', abort: 'aborted', restart: 'restarted' }[action], failed));
  }

  function select(taskId, isSelected, isRange) {
    const [from, to] = [shownIds.indexOf(lastSelected), shownIds.indexOf(taskId)].sort((a, b) => a - b);
    const ids = isRange && from !== -1 ? shownIds.slice(from, to + 1) : [taskId];
    for (const id of ids) selected[isSelected ? 'add' : 'delete'](id);
    lastSelected = taskId;
    render();
  }

  function selectAll(isSelected) {
    for (const id of shownIds) selected[isSelected ? 'add' : 'delete'](id);
    render();
  }

  function selectNone() {
    selected.clear();
    render();
  }

  function toggle(taskId) {
    if (!opened.delete(taskId)) opened.add(taskId);
    render();
  }

  function showAll() {
    tools.reset();
    render();
  }

  /** Opens a task's line and scrolls to it; in the place of another one, where it was restarted. Tells whether it is there. */
  async function reveal(taskId, taskType, instead) {
    attend(true); // a moment ago a long form may have stood before it
    if (instead) opened.delete(instead);
    awaited = taskId;
    opened.add(taskId);
    if (!tasks.has(taskId) && taskType) await hub.look(taskId, taskType);
    while (!tasks.has(taskId) && more) if (!(await loadOlder())) break;
    if (!tasks.has(taskId)) {
      awaited = undefined;
      opened.delete(taskId);
      return false;
    }
    if (!matching().some((task) => task.taskId === taskId)) showAll();
    lines = Math.max(lines, tasks.size);
    render();
    return true;
  }

  function bringIntoSight(taskId) {
    awaited = undefined;
    const row = rows.get(taskId);
    row.node.scrollIntoView({ block: 'nearest' });
    row.open.focus({ preventScroll: true });
  }

  /** Tells whether older tasks came. */
  async function loadOlder() {
    if (loading) return false;
    loading = true;
    try {
      await hub.older();
      return true;
    } catch (error) {
      say(error.message);
      more = false; // asked again with the next stream
      return false;
    } finally {
      loading = false;
      plan();
    }
  }

  function showMore() {
    if (matching().length > lines) {
      lines += LINES;
      render();
    } else if (more) {
      lines += LINES;
      loadOlder();
    }
  }

  // -- what is heard ---------------------------------------------------------------------------------------------

  function receive(event) {
    if (event.type === 'connection') connection = event.connection;
    else if (event.type === 'listed') more = event.more;
    else if (event.type === 'snapshot') tasks.set(event.task.taskId, wellFormed(event.task));
    else if (event.type === 'gone') {
      tasks.delete(event.taskId);
      opened.delete(event.taskId);
    }
    plan();
  }

  /** Nothing is asked while nobody can see it: a panel that is closed, another tab in front. */
  function attend(isSeen) {
    if (isSeen === Boolean(stop)) return;
    if (!isSeen) {
      stop();
      stop = undefined;
      return;
    }
    tasks.clear(); // what was forgotten meanwhile
    more = undefined;
    stop = hub.watchAll(receive);
    plan();
  }

  const disposal = new AbortController();
  const listen = (target, type, listener) => target.addEventListener(type, listener, { signal: disposal.signal });
  const seen = new IntersectionObserver((entries) => attend(entries.at(-1).isIntersecting));
  seen.observe(root);
  const end = new IntersectionObserver((entries) => { if (entries.at(-1).isIntersecting && !loading) showMore(); }, { rootMargin: '200px' });
  /** Looked at anew each time: one that stays in sight tells nothing by itself. */
  function watchEnd() {
    end.unobserve(older);
    if (!older.hidden && stop) end.observe(older);
  }
  const clock = setInterval(() => {
    if (document.hidden || !stop) return;
    for (const row of rows.values()) if (LIVE.has(row.task.status)) row.writeFigures();
  }, 1000);
  disposal.signal.addEventListener('abort', () => {
    seen.disconnect();
    end.disconnect();
    clearInterval(clock);
    clearTimeout(planned);
  });
  listen(older, 'click', showMore);
  listen(undo, 'click', () => forgetting.undo());
  listen(toast, 'pointerenter', () => forgetting.hold());
  listen(toast, 'pointerleave', () => forgetting.add([]));
  listen(root, 'keydown', (event) => {
    if (event.key !== 'Escape' || !selected.size) return;
    event.stopPropagation();
    selectNone();
  });

  const owner = { hub, act, select, toggle, reveal, openNotebook };
  render();
  return {
    dispose() {
      attend(false);
      disposal.abort();
      forgetting.dispose();
      for (const row of rows.values()) row.dispose();
      root.remove();
    },
    focus: () => search.focus(),
    reveal,
  };
}
