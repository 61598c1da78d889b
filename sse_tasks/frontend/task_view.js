// The task view: one card that shows one task and steers it. It knows the DOM and a hub, no transport and no front end.
//
// A hub has: watch({taskType, taskId}, callback) → stop, ask(taskType, taskId, action), restart(taskType, taskId) → the
// new task's id, info(taskType, taskId), now(), and what it can fetch of what a task made: tail(taskType, taskId),
// output, items, metrics (taskType, taskId, {after, limit}) → {bytes, after}, files(taskType, taskId) and
// file(taskType, taskId, name, limit). What it can't fetch, it has no method for, and the card no section.
// The callback gets {type: 'snapshot', task, stored: whether it is only what was known before}, {type: 'connection',
// connection}, {type: 'note', text}, {type: 'gone'} and {type: 'unknown'}.
import { ASKED_TEXT, BEGUN_AGAIN, CONNECTION_TEXT, CUT_SHORT, ENDED, attemptOf, countsOf, isKnownStatus, lossOf, percentageOf, statusText, wellFormed } from './task_words.js';
import { CardFigures } from './card_figures.js';
import { build, setAttribute, setIcon, setText } from './task_card.js';
import { formatPercentage } from './figures.js';
import { cardSections } from './card_sections.js';
import { BarFill } from './progress_bar.js';

const TASK_TYPE = /^[a-z0-9][a-z0-9-]{0,63}$/;
const TASK_ID = /^[0-9a-z]{26}$/;
/** How long a request that was answered may go without a trace in the snapshots. */
const TRACE_MS = 3000;
const BURST_MS = 30;

/**
 * Shows one task in `element` until the returned function is called. `last` is what was known of it before. A person
 * may go on from it to the one that it was restarted as, or from: `onFollow` is told the id of what is shown then.
 * @param {HTMLElement} element
 * @param {object} options
 * @param {string} options.taskType
 * @param {string} options.taskId
 * @param {any} [options.hub] nobody to ask: the card shows what is known, and steers nothing
 * @param {import('./task_words.js').Task} [options.last]
 * @param {(taskId: string) => void} [options.onFollow]
 * @returns {() => void}
 */
export function mount(element, { taskType, taskId, hub: given, last, onFollow }) {
  // Type and id may come from anybody's notebook. What isn't shaped like one is shown and never asked for.
  const hub = TASK_TYPE.test(taskType) && TASK_ID.test(taskId) ? given : undefined;
  const parts = build();
  const { root } = parts;
  const disposal = new AbortController();
  /** @type {import('./task_words.js').Task} */
  let task = wellFormed(last);
  let connection = 'off';
  let gone = false;
  let served = false; // whether the hub has answered for this task
  let stop; // watching it
  let asked; // {action, answeredAt}: a person's request that the snapshots don't show yet
  let isQuestioned = false; // whether a person has to say that an abort is meant
  let seenLive = false;
  let spokenState; // undefined until the first state is there: only changes are spoken
  let spokenAttempt;
  let visible = typeof IntersectionObserver === 'undefined';
  let frame; // the next one, where what has changed since is drawn
  let drawnAt = 0;
  let hasFocus = false; // to ask the page each time would make it work out its styles each time
  let sections = newSections();

  const now = () => hub?.now?.() ?? Date.now();
  let figures = new CardFigures(parts, now);
  const barFill = new BarFill(parts.bar, parts.fill);
  const ended = () => ENDED.has(task.status);
  /** What is asked and not done yet, by this view or by anybody. */
  const pending = () => {
    if (asked?.action === 'restart') return 'restart';
    return ended() || gone ? undefined : asked?.action ?? task.requested;
  };

  function newSections() {
    const mine = taskId;
    return cardSections(parts, {
      hub: hub ?? {}, taskType, taskId,
      isLooking: () => visible && !document.hidden && !disposal.signal.aborted && mine === taskId,
      onLastLine(line) {
        if (mine !== taskId) return;
        setText(parts.output, line); // a line stays when there is none for a while, so that the card doesn't jump
        renderOutput();
      },
    });
  }

  /** Draws at once, and of a burst of snapshots the last one with the page's next frame. */
  function renderSoon() {
    if (Date.now() - drawnAt >= BURST_MS) render();
    else frame ??= requestAnimationFrame(render);
  }

  function render() {
    cancelAnimationFrame(frame);
    frame = undefined;
    drawnAt = Date.now();
    if (disposal.signal.aborted) return;
    const focused = hasFocus ? root.getRootNode().activeElement : null; // asked now: what is hidden loses it
    const status = isKnownStatus(task.status) ? task.status : 'idle';
    const known = task.status !== undefined;
    const wanted = pending();
    const state = wanted ? ASKED_TEXT[wanted] : known ? statusText(task.status) : 'Connecting…';
    const title = task.name || taskType;
    setAttribute(root, 'data-status', status);
    setAttribute(root, 'data-connection', ended() || gone ? 'ended' : connection);
    setAttribute(root, 'aria-label', `Task ${title}, ${known ? statusText(task.status) : 'connecting'}`);
    setText(parts.name, title);
    setText(parts.type, task.name ? taskType : taskId.slice(-6));
    setAttribute(parts.type, 'title', `${taskType} ${taskId}`);
    setAttribute(root, 'data-task-id', taskId);
    setIcon(parts.chipIcon, status === 'paused' ? 'pause' : status);
    setText(parts.chipText, state);
    if (known && spokenState !== undefined && spokenState !== state) setText(parts.spoken, `${title}: ${state}`);
    else if (task.attempt > spokenAttempt) setText(parts.spoken, `${title}: ${attemptOf(task)}`);
    if (known) spokenState = state;
    if (known) spokenAttempt = task.attempt ?? 1;
    if (known && !ended()) seenLive = true;
    if (wanted || ended() || gone) isQuestioned = false;
    renderConnection();
    renderControls(status, wanted);
    renderProgress(status);
    renderError(status);
    renderRestarts();
    renderFoot();
    if (focused && root.contains(focused) && focused.closest('[hidden]')) {
      (parts.question.contains(focused) && !parts.abort.hidden ? parts.abort : root).focus({ preventScroll: true });
    }
  }

  function renderConnection() {
    const [inFull, short] = CONNECTION_TEXT[connection] ?? CONNECTION_TEXT.off;
    parts.dot.hidden = parts.source.hidden = ended() || gone;
    setAttribute(parts.dot, 'title', inFull);
    setAttribute(parts.source, 'title', inFull);
    setAttribute(parts.dot, 'aria-label', `Connection: ${inFull}`);
    setText(parts.source, short);
  }

  // One button pauses and resumes, so keyboard focus stays where it is. A pause that isn't reached can be taken back.
  function renderControls(status, wanted) {
    const resumes = (status === 'paused' && wanted !== 'resume') || wanted === 'pause';
    const label = resumes ? 'Resume' : 'Pause';
    setIcon(parts.toggle, resumes ? 'resume' : 'pause');
    setAttribute(parts.toggle, 'title', label);
    setAttribute(parts.toggle, 'aria-label', label);
    const over = ended() || gone || !hub || (task.status !== undefined && !isKnownStatus(task.status)); // what isn't understood isn't steered
    parts.toggle.hidden = parts.abort.hidden = over;
    // Not `disabled`: that would drop keyboard focus on the page's body.
    setAttribute(parts.toggle, 'aria-disabled', String(wanted === 'abort'));
    setAttribute(parts.abort, 'aria-disabled', String(wanted === 'abort'));
    parts.restart.hidden = !ended() || gone || !served;
    setAttribute(parts.restart, 'aria-disabled', String(wanted === 'restart'));
  }

  function renderRestarts() {
    const { restart, hint, restartOf, restartedAs } = parts;
    restart.classList.toggle('sse-mod-prominent', task.status !== 'completed' && !task.restartedAs);
    setAttribute(restart, 'title', 'Start a new task with the same input, from the last saved checkpoint if there is one');
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
    const { bar } = parts;
    barFill.show(value, status === 'running' || (status === 'paused' && Boolean(task.startedAt)));
    if (value !== undefined) {
      setAttribute(bar, 'aria-valuenow', String(Math.floor(value)));
      setAttribute(bar, 'aria-valuetext', [formatPercentage(value), countsOf(progress)].filter(Boolean).join(', '));
    } else {
      bar.removeAttribute('aria-valuenow');
      bar.removeAttribute('aria-valuetext');
    }
    // What a completed task did last is no news: only what it says of the whole stays.
    const text = task.message ?? (status === 'completed' ? undefined : progress.message) ?? '';
    const again = text.toLowerCase().includes((progress.message ?? '').toLowerCase());
    const step = ended() || again ? '' : progress.message;
    setText(parts.text, text);
    parts.message.classList.toggle('sse-mod-whole', BEGUN_AGAIN.test(text));
    setText(parts.step, step ?? '');
    setAttribute(parts.message, 'title', [text, step].filter(Boolean).join(' · '));
    figures.draw(task);
  }

  function renderError(status) {
    const failed = Boolean(task.error) || status === 'failed';
    // An alert only for what fails before a person's eyes, not for each old failure of a notebook that is opened.
    if (failed && parts.error.hidden && seenLive) parts.error.setAttribute('role', 'alert');
    parts.error.hidden = !failed;
    setText(parts.errorCode, task.code ?? '');
    if (parts.errorText.textContent === (task.error ?? '')) return;
    setText(parts.errorText, task.error ?? '');
    requestAnimationFrame(() => { // what scrolls has to be reached by the keyboard, and nothing else
      const scrolls = parts.errorText.scrollHeight > parts.errorText.clientHeight;
      parts.errorText.toggleAttribute('data-lm-suppress-shortcuts', scrolls);
      if (scrolls) parts.errorText.tabIndex = 0;
      else parts.errorText.removeAttribute('tabindex');
    });
  }

  function renderFoot() {
    sections.show(task, Boolean(hub) && !gone && connection !== 'silent');
    parts.question.hidden = !isQuestioned;
    parts.foot.hidden = isQuestioned || !hub && !task.status;
    renderOutput();
  }

  function renderOutput() {
    const line = parts.output.textContent;
    parts.output.hidden = !line || Boolean(task.error?.includes(line)); // a traceback's last line is the error
  }

  function note(text) {
    setText(parts.note, text);
    parts.note.hidden = !text;
  }

  async function ask(action) {
    if (pending() === 'abort' || pending() === action) return;
    note('');
    const mine = (asked = { action, answeredAt: undefined });
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

  /** Asks whether it is meant, once, where work would be lost; asked again it is. */
  function abort() {
    const loss = isQuestioned || pending() === 'abort' ? '' : lossOf(task, figures.elapsed(task), now());
    isQuestioned = Boolean(loss);
    if (!loss) {
      ask('abort');
      return;
    }
    setText(parts.questionText, loss);
    setText(parts.spoken, `Abort? ${loss} Press Abort again to abort it, Escape to keep it.`);
    render();
  }

  function keep() {
    if (!isQuestioned) return;
    isQuestioned = false;
    setText(parts.spoken, '');
    render();
  }

  async function restart() {
    if (asked || parts.restart.hidden) return;
    note('');
    const mine = (asked = { action: 'restart', answeredAt: undefined });
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
    gone = served = seenLive = isQuestioned = false;
    asked = spokenAttempt = undefined;
    figures = new CardFigures(parts, now);
    sections.dispose();
    sections = newSections();
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
      task = wellFormed(event.task);
      gone = false;
      served = !event.stored;
      // The kernel tells the last line along; a server is asked for it.
      if (task.lastLine && !hub.tail) setText(parts.output, task.lastLine);
    }
    if (event.type === 'gone' || event.type === 'unknown') {
      gone = true;
      note(event.type === 'gone' ? 'This task is no longer on the server.' : 'This page’s server does not know the task.');
    }
    if (asked && asked.action !== 'restart' && (ended() || gone || isTraced())) asked = undefined;
    renderSoon();
  }

  const listen = (target, type, listener) => target.addEventListener(type, listener, { signal: disposal.signal });
  listen(root, 'focusin', () => { hasFocus = true; });
  listen(root, 'focusout', () => { hasFocus = false; });
  listen(parts.toggle, 'click', ({ detail }) => {
    // The second click of a double click doesn't take back what the first one asked.
    if (detail < 2) ask(parts.toggle.title === 'Resume' ? 'resume' : 'pause');
  });
  listen(parts.abort, 'click', ({ detail }) => {
    if (detail < 2) abort(); // nor does it answer the question that the first one raised
  });
  listen(parts.abortNow, 'click', () => ask('abort'));
  listen(parts.keep, 'click', keep);
  listen(root, 'keydown', (event) => {
    if (event.repeat && event.key === 'Enter') event.preventDefault(); // a key that is held answers no question
    if (event.key !== 'Escape' || !isQuestioned) return;
    event.preventDefault();
    event.stopPropagation();
    keep();
  });
  listen(parts.restart, 'click', restart);
  listen(parts.restartOf, 'click', () => follow(task.restartOf, { restartedAs: taskId }));
  listen(parts.restartedAs, 'click', () => follow(task.restartedAs, { restartOf: taskId }));
  listen(document, 'visibilitychange', () => {
    render();
    sections.look();
  });
  if (!visible) {
    const observer = new IntersectionObserver((entries) => {
      visible = entries.at(-1).isIntersecting;
      if (visible) sections.look();
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
    figures.draw(task);
  }, 1000);
  disposal.signal.addEventListener('abort', () => {
    clearInterval(clock);
    sections.dispose();
  });

  parts.error.hidden = parts.note.hidden = parts.question.hidden = true;
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
