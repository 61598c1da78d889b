// The task view: one card that shows one task and steers it. It knows the DOM and a hub, no transport and no front end.
//
// A hub has: watch({taskType, taskId}, callback) → stop, ask(taskType, taskId, action), restart(taskType, taskId) → the
// new task's id, tail(taskType, taskId), info(taskType, taskId), now(). The callback gets {type: 'snapshot', task,
// stored: whether it is only what was known before}, {type: 'connection', connection}, {type: 'note', text},
// {type: 'gone'} and {type: 'unknown'}.
import { build, setIcon, setText } from './task_card.js';

const ENDED = new Set(['completed', 'failed', 'aborted']);
const STATUS_TEXT = {
  idle: 'Waiting', running: 'Running', paused: 'Paused', completed: 'Completed', failed: 'Failed', aborted: 'Aborted',
};
const ASKED_TEXT = { pause: 'Pausing…', resume: 'Resuming…', abort: 'Aborting…', restart: 'Restarting…' };
/** Ends that say nothing against the work itself: the card then says that a restart goes on with it. */
const CUT_SHORT = new Set(['worker_died', 'host_lost', 'timeout', 'memory', 'disk_full', 'terminated']);
/** [in full, for the dot; in short beside the dot where a person should know]. */
const CONNECTION_TEXT = {
  live: ['Live', ''],
  polling: ['Live, asked every 2 seconds: something on the way holds streams back', ''],
  kernel: ['Live, through the kernel', 'through the kernel'],
  connecting: ['Connecting…', ''],
  off: ['Not connected', 'not connected'],
  silent: ['The kernel does not answer: it is busy or gone', 'kernel does not answer'],
  offline: ['The server does not answer; trying again', 'server does not answer'],
  'signed-out': ['Signed out: reload the page to sign in', 'signed out: reload the page'],
};
/** Why it begins once more: told in whole, where other messages are cut at the line's end. */
const BEGUN_AGAIN = /^(Attempt \d+ of \d+ |Restarted from )/;
const TASK_TYPE = /^[a-z0-9][a-z0-9-]{0,63}$/;
const TASK_ID = /^[0-9a-z]{26}$/;
const TAIL_MS = 500;
/** How long a request that was answered may go without a trace in the snapshots. */
const TRACE_MS = 3000;
const LINE_CHARACTERS = 90;
const OPEN_RESULT = { lines: 12, characters: 600 };
const LONGEST_RESULT = 20_000;

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
}
function size(bytes) {
  const step = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${numbers.format(bytes / 1024 ** step)} ${['bytes', 'KiB', 'MiB', 'GiB'][step]}`;
}
/** JSON on one line where that is short, else with a line for each value. Newlines in strings are escaped there. */
function pretty(value) {
  if (typeof value === 'string') return value;
  const line = JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ');
  return line.length <= LINE_CHARACTERS ? line : JSON.stringify(value, null, 2);
}
/** 0 to 100, or undefined where the task doesn't say. */
function percentageOf({ percentage, current, total } = {}) {
  const value = Number.isFinite(percentage) ? percentage : (current / total) * 100;
  return Number.isFinite(value) ? Math.min(100, Math.max(0, value)) : undefined;
}
function counts({ current, total } = {}) {
  if (!Number.isFinite(current)) return '';
  return Number.isFinite(total) ? `${numbers.format(current)} of ${numbers.format(total)}` : numbers.format(current);
}

/**
 * Shows one task in `element` until the returned function is called. `last` is what was known of it before. A person
 * may go on from it to the one that it was restarted as, or from: `onFollow` is told the id of what is shown then.
 */
export function mount(element, { taskType, taskId, hub: given, last, onFollow }) {
  // Type and id may come from anybody's notebook. What isn't shaped like one is shown and never asked for.
  const hub = TASK_TYPE.test(taskType) && TASK_ID.test(taskId) ? given : undefined;
  const parts = build();
  const { root } = parts;
  const disposal = new AbortController();
  let task = last ?? {};
  let connection = 'off';
  let gone = false;
  let served = false; // whether the hub has answered for this task
  let stop; // watching it
  let asked; // {action, answeredAt}: a person's request that the snapshots don't show yet
  let seenLive = false;
  let spokenState; // undefined until the first state is there: only changes are spoken
  let spokenAttempt;
  let held; // elapsed seconds when last seen running: the snapshot of a pause doesn't say since when
  let visible = typeof IntersectionObserver === 'undefined';
  const tail = { bytes: 0, busy: false, next: 0 };
  const left = { at: 0, text: '' };
  let whole = {}; // {for, busy, value, failed}: the result that snapshots leave out, of the task at the cursor `for`

  const now = () => hub?.now?.() ?? Date.now();
  const ended = () => ENDED.has(task.status);
  /** What is asked and not done yet, by this view or by anybody. */
  const pending = () => {
    if (asked?.action === 'restart') return 'restart';
    return ended() || gone ? undefined : asked?.action ?? task.requested;
  };
  /** "attempt 2 of 4", and nothing for the first. */
  const attempt = () => (task.attempt > 1 ? `attempt ${task.attempt} of ${Math.max(task.attempt, (task.retries ?? 0) + 1)}` : '');

  function elapsed() {
    const started = Date.parse(task.startedAt);
    if (Number.isNaN(started)) return undefined;
    if (task.status !== 'paused') {
      const until = task.endedAt ? Date.parse(task.endedAt) : now();
      held = Math.max(0, (until - started) / 1000 - (task.pausedSeconds ?? 0));
    }
    return held;
  }

  function render() {
    if (disposal.signal.aborted) return;
    const focused = root.getRootNode().activeElement; // asked now: what is hidden loses it
    const status = STATUS_TEXT[task.status] ? task.status : 'idle';
    const known = task.status !== undefined;
    const wanted = pending();
    const state = wanted ? ASKED_TEXT[wanted] : known ? STATUS_TEXT[status] : 'Connecting…';
    const title = task.name || taskType;
    root.dataset.status = status;
    root.dataset.connection = ended() || gone ? 'ended' : connection;
    root.setAttribute('aria-label', `Task ${title}, ${known ? STATUS_TEXT[status] : 'connecting'}`);
    setText(parts.name, title);
    setText(parts.type, task.name ? taskType : taskId.slice(-6));
    parts.type.title = `${taskType} ${taskId}`;
    setIcon(parts.chipIcon, status === 'paused' ? 'pause' : status);
    setText(parts.chipText, state);
    if (known && spokenState !== undefined && spokenState !== state) setText(parts.spoken, `${title}: ${state}`);
    else if (task.attempt > spokenAttempt) setText(parts.spoken, `${title}: ${attempt()}`);
    if (known) spokenState = state;
    if (known) spokenAttempt = task.attempt ?? 1;
    if (known && !ended()) seenLive = true;
    renderConnection();
    renderControls(status, wanted);
    renderProgress(status);
    renderEnd(status);
    renderRestarts();
    if (focused && root.contains(focused) && focused.closest('[hidden]')) root.focus({ preventScroll: true });
    fetchTail();
  }

  function renderConnection() {
    const [inFull, short] = CONNECTION_TEXT[connection] ?? CONNECTION_TEXT.off;
    parts.dot.hidden = parts.source.hidden = ended() || gone;
    parts.dot.title = parts.source.title = inFull;
    parts.dot.setAttribute('aria-label', `Connection: ${inFull}`);
    setText(parts.source, short);
  }

  // One button pauses and resumes, so keyboard focus stays where it is. A pause that isn't reached can be taken back.
  function renderControls(status, wanted) {
    const resumes = (status === 'paused' && wanted !== 'resume') || wanted === 'pause';
    const label = resumes ? 'Resume' : 'Pause';
    setIcon(parts.toggle, resumes ? 'resume' : 'pause');
    parts.toggle.title = label;
    parts.toggle.setAttribute('aria-label', label);
    const over = ended() || gone || !hub;
    parts.toggle.hidden = parts.abort.hidden = over;
    // Not `disabled`: that would drop keyboard focus on the page's body.
    parts.toggle.setAttribute('aria-disabled', String(wanted === 'abort'));
    parts.abort.setAttribute('aria-disabled', String(wanted === 'abort'));
    parts.restart.hidden = !ended() || gone || !served;
    parts.restart.setAttribute('aria-disabled', String(wanted === 'restart'));
  }

  function renderRestarts() {
    const { restart, hint, restartOf, restartedAs } = parts;
    restart.classList.toggle('sse-mod-prominent', task.status !== 'completed' && !task.restartedAs);
    restart.title = 'Start a new task with the same input, from the last saved checkpoint if there is one';
    hint.hidden = restart.hidden || Boolean(task.restartedAs) || !CUT_SHORT.has(task.code);
    const kept = task.error?.includes('is kept') ? '' : 'What it had done is kept. ';
    if (!hint.hidden) setText(hint, `${kept}Restart goes on from its last saved checkpoint, if there is one.`);
    for (const [link, words, id] of [[restartOf, 'Restarted from', task.restartOf], [restartedAs, 'Restarted as', task.restartedAs]]) {
      link.hidden = !hub || !TASK_ID.test(id);
      if (link.hidden) continue;
      setText(link, `${words} …${id.slice(-6)}`);
      link.title = `Show the task ${id}`;
    }
  }

  function renderProgress(status) {
    const { progress = {} } = task;
    const value = status === 'completed' ? 100 : percentageOf(progress);
    const { bar, fill } = parts;
    bar.classList.toggle('sse-mod-indeterminate', value === undefined && (status === 'running' || status === 'paused'));
    if (value !== undefined) {
      fill.style.transform = `scaleX(${value / 100})`;
      bar.setAttribute('aria-valuenow', String(Math.floor(value)));
      bar.setAttribute('aria-valuetext', [`${Math.floor(value)} %`, counts(progress)].filter(Boolean).join(', '));
    } else {
      fill.style.removeProperty('transform');
      bar.removeAttribute('aria-valuenow');
      bar.removeAttribute('aria-valuetext');
    }
    // What a completed task did last is no news: only what it says of the whole stays.
    const text = task.message ?? (status === 'completed' ? undefined : progress.message) ?? '';
    const again = text.toLowerCase().includes((progress.message ?? '').toLowerCase());
    const step = ended() || again ? '' : progress.message;
    setText(parts.text, text);
    parts.message.classList.toggle('sse-mod-whole', BEGUN_AGAIN.test(text));
    setText(parts.step, step);
    parts.message.title = [text, step].filter(Boolean).join(' · ');
    renderFigures();
  }

  function renderFigures() {
    const { progress = {}, status } = task;
    const value = percentageOf(progress);
    const seconds = elapsed();
    const figures = [];
    if (attempt()) figures.push(attempt());
    if (status === 'idle' && task.position > 1) figures.push(`place ${task.position} in line`);
    if (!ended()) {
      const text = counts(progress);
      if (text) figures.push(text);
      if (value !== undefined) figures.push(`${Math.floor(value)} %`);
      else if (text && seconds > 2) figures.push(`${numbers.format(progress.current / seconds)}/s`);
    }
    if (seconds !== undefined) figures.push(duration(seconds));
    if (status === 'running' && value >= 1 && value < 100 && seconds > 2) {
      if (now() - left.at >= 950) { // at most once a second: ten snapshots a second would make it flicker
        left.at = now();
        left.text = `${duration((seconds * (100 - value)) / value)} left`;
      }
      figures.push(left.text);
    }
    setText(parts.figures, figures.join(' · '));
  }

  function renderEnd(status) {
    const failed = Boolean(task.error) || status === 'failed';
    // An alert only for what fails before a person's eyes, not for each old failure of a notebook that is opened.
    if (failed && parts.error.hidden && seenLive) parts.error.setAttribute('role', 'alert');
    parts.error.hidden = !failed;
    setText(parts.errorCode, task.code ?? '');
    setText(parts.errorText, task.error ?? '');
    renderOutput();
    renderResult(status);
  }

  function renderOutput() {
    const line = parts.output.textContent;
    parts.output.hidden = !line || Boolean(task.error?.includes(line)); // a traceback's last line is the error
  }

  function renderResult(status) {
    const value = task.result ?? (whole.for === task.cursor ? whole.value : undefined);
    const bytes = task.resultBytes ?? 0;
    const shown = status === 'completed' && (value !== undefined || bytes > 4); // 4 bytes without a value: null
    parts.result.hidden = !shown;
    if (!shown) return;
    let text = value === undefined ? undefined : pretty(value);
    setText(parts.resultSize, bytes ? size(bytes) : '');
    parts.resultSize.hidden = !bytes;
    if (parts.result.dataset.decided === undefined) { // once: afterwards it is as the person left it
      parts.result.dataset.decided = '';
      parts.result.open = text !== undefined && text.length <= OPEN_RESULT.characters && text.split('\n').length <= OPEN_RESULT.lines;
    }
    if (!parts.result.open) return;
    if (text === undefined) {
      fetchResult();
      text = whole.failed ?? (whole.for === task.cursor ? 'Too long to be shown here. In Python it is the task’s .result.' : 'Fetching…');
    } else if (text.length > LONGEST_RESULT) {
      text = `${text.slice(0, LONGEST_RESULT)}\n… ${numbers.format(text.length - LONGEST_RESULT)} more characters. In Python it is the task’s .result.`;
    }
    setText(parts.resultText, text);
  }

  // Snapshots leave out results above some KiB; the TaskInfo has them up to 1 MiB.
  async function fetchResult() {
    if (whole.busy || whole.for === task.cursor || !hub) return;
    const mine = whole;
    mine.busy = true;
    try {
      mine.value = (await hub.info(taskType, taskId)).result;
    } catch (reason) {
      mine.failed = reason.message;
    }
    mine.busy = false;
    if (mine !== whole) return; // another task is shown by now
    mine.for = task.cursor;
    render();
  }

  async function fetchTail() {
    const bytes = task.outputBytes ?? 0;
    if (!hub || gone || tail.busy || !visible || document.hidden || !bytes || bytes === tail.bytes) return;
    tail.busy = true;
    await new Promise((resolve) => setTimeout(resolve, tail.next - Date.now()));
    tail.next = Date.now() + TAIL_MS;
    tail.bytes = task.outputBytes; // it may also have shrunk: of a long output only head and tail are kept
    const mine = taskId;
    try {
      const line = await hub.tail(taskType, taskId);
      if (line && mine === taskId) {
        setText(parts.output, line); // and a line stays when there is none for a while, so that the card doesn't jump
        renderOutput();
      }
    } catch {
      // The line is an extra: what is wrong with the connection is said elsewhere.
    }
    tail.busy = false;
    if (!disposal.signal.aborted) fetchTail();
  }

  function note(text) {
    setText(parts.note, text);
    parts.note.hidden = !text;
  }

  async function ask(action) {
    if (pending() === 'abort' || pending() === action) return;
    note('');
    const mine = (asked = { action });
    render();
    try {
      await hub.ask(taskType, taskId, action);
      mine.answeredAt = Date.now();
    } catch (reason) {
      if (asked === mine) asked = undefined;
      note(reason.message);
    }
    render();
  }

  async function restart() {
    if (asked || parts.restart.hidden) return;
    note('');
    const mine = (asked = { action: 'restart' });
    render();
    let newId;
    try {
      newId = await hub.restart(taskType, taskId);
    } catch (reason) {
      if (asked === mine) note(reason.message);
    }
    if (asked !== mine) return; // the person went to another task meanwhile
    asked = undefined;
    if (!newId) render();
    else if (disposal.signal.aborted) onFollow?.(newId); // the card was made anew meanwhile: its host has the new one
    else follow(newId, { status: 'idle', restartOf: taskId });
  }

  /** Shows another task of the same type in this card; `known` is what is known of it already. */
  function follow(id, known) {
    if (!TASK_ID.test(id)) return;
    stop?.();
    taskId = id;
    task = { name: task.name, ...known };
    gone = served = seenLive = false;
    asked = held = spokenAttempt = tail.bytes = undefined;
    whole = {};
    delete parts.result.dataset.decided;
    parts.error.removeAttribute('role');
    parts.error.hidden = true;
    setText(parts.output, '');
    note('');
    onFollow?.(id);
    render();
    stop = hub.watch({ taskType, taskId }, receive);
  }

  /** Whether what was asked here is seen in the snapshots by now, or never will be. */
  function isTraced() {
    const reached = { pause: 'paused', resume: 'running' }[asked.action];
    const takenBack = asked.action === 'resume' && task.requested === 'pause';
    if (task.requested === asked.action || (task.status === reached && !takenBack)) return true;
    return asked.answeredAt !== undefined && Date.now() - asked.answeredAt > TRACE_MS;
  }

  function receive(event) {
    if (event.type === 'connection') {
      connection = event.connection;
      if (connection === 'silent') served = false;
    }
    if (event.type === 'note') note(event.text);
    if (event.type === 'snapshot') {
      task = event.task;
      gone = false;
      served = !event.stored;
    }
    if (event.type === 'gone' || event.type === 'unknown') {
      gone = true;
      note(event.type === 'gone' ? 'This task is no longer on the server.' : 'This page’s server does not know the task.');
    }
    if (asked && asked.action !== 'restart' && (ended() || gone || isTraced())) asked = undefined;
    render();
  }

  const listen = (target, type, listener) => target.addEventListener(type, listener, { signal: disposal.signal });
  listen(parts.toggle, 'click', ({ detail }) => {
    // The second click of a double click doesn't take back what the first one asked.
    if (detail < 2) ask(parts.toggle.title === 'Resume' ? 'resume' : 'pause');
  });
  listen(parts.abort, 'click', () => ask('abort'));
  listen(parts.restart, 'click', restart);
  listen(parts.restartOf, 'click', () => follow(task.restartOf, { restartedAs: taskId }));
  listen(parts.restartedAs, 'click', () => follow(task.restartedAs, { restartOf: taskId }));
  listen(parts.result, 'toggle', render);
  listen(document, 'visibilitychange', render);
  if (!visible) {
    const observer = new IntersectionObserver((entries) => {
      visible = entries.at(-1).isIntersecting;
      fetchTail();
    });
    observer.observe(root);
    disposal.signal.addEventListener('abort', () => observer.disconnect());
  }
  const clock = setInterval(() => {
    if (document.hidden || ended() || gone) return;
    if (asked && isTraced()) {
      asked = undefined;
      render();
    }
    renderFigures();
  }, 1000);
  disposal.signal.addEventListener('abort', () => clearInterval(clock));

  parts.error.hidden = parts.note.hidden = true;
  setText(parts.output, last?.lastLine ?? '');
  render();
  element.replaceChildren(root);
  stop = hub?.watch({ taskType, taskId }, receive);
  return () => {
    disposal.abort();
    stop?.();
    root.remove();
  };
}
