// The page's hub: one stream of all tasks from the page's own Jupyter server, shared by every view and list of the page.
// It is open only while the page is visible and something watched is alive, or a list of all tasks is looked at: a
// browser has six connections to a server, and a stream holds one.
import { Alarm } from './alarm.js';
import { readEvents } from './event_reader.js';
import { JupyterServer, Refused, refusal, settings } from './server.js';

/** Of the interface below: JupyterLab's modules and the widget's joined copy share the hub that they find on `window`. */
const HUB_VERSION = 3;
const RETRY_MS = { first: 1000, longest: 30_000 };
/** Signed out, or not allowed: one may sign in in another tab. */
const REFUSED_MS = 30_000;
/** A stream that isn't ready and without a byte for so long is held back by something on the way: then the server is asked instead. */
const FIRST_BYTE_MS = 5000;
/** The server sends a comment after 10 s without a byte; three missing ones are a dead connection (a laptop slept). */
const SILENCE_MS = 30_000;
const POLL_MS = 2000;
/** Then a stream is tried again, since the server may only have been busy; after twice as long each time. */
const HELD_MS = 20_000;
const CALM_POLL_MS = 15_000;
/** A page that is merely open is no sign of life: a server that nobody uses may be culled. */
const LIVE_TASKS = 'api/tasks?status=idle&status=running&status=paused&limit=1000&no_track_activity=1';
const ALL_TASKS = 'api/tasks?limit=100';
const ENDED_STATUS = new Set(['completed', 'failed', 'aborted']);

/** One view's fault is its own: the stream, and every other view of the page, goes on. */
function safely(callback, event) {
  try {
    callback(event);
  } catch (error) {
    reportError(error);
  }
}

class PageHub extends JupyterServer {
  constructor() {
    super();
    this.watched = new Map(); // task id → {taskType, callbacks, latest}
    this.lists = new Set(); // {callback, calm}: who watches all tasks
    this.tasks = new Map(); // task id → the latest of every task that is known, while there are lists
    this.next = undefined; // where the older tasks begin; null when there are none; undefined before the first are there
    this.connection = 'connecting';
    this.failures = 0;
    this.heldBack = 0; // streams in a row that brought nothing
    this.clockAhead = 0; // the server's clock against the page's, in milliseconds
    this.alarm = new Alarm();
    document.addEventListener('visibilitychange', () => this.refresh());
    addEventListener('online', () => this.reconnect());
    addEventListener('pageshow', ({ persisted }) => { if (persisted) this.reconnect(); });
  }

  /** The server's time: started and ended times are its own. */
  now() {
    return Date.now() + this.clockAhead;
  }

  watch({ taskType, taskId }, callback) {
    const known = this.tasks.get(taskId);
    const entry = this.watched.get(taskId) ?? { taskType, callbacks: new Set(), latest: known };
    this.watched.set(taskId, entry);
    entry.callbacks.add(callback);
    callback({ type: 'connection', connection: this.connection });
    if (entry.latest) callback({ type: 'snapshot', task: entry.latest });
    else if (entry.unknown) callback({ type: 'unknown' });
    else if (this.ready) this.look(taskId);
    this.begin();
    return () => {
      entry.callbacks.delete(callback);
      if (!entry.callbacks.size && this.watched.get(taskId) === entry) this.watched.delete(taskId);
      queueMicrotask(() => this.refresh());
    };
  }

  /**
   * Tells `callback` of all tasks, until the returned function is called: {type: 'snapshot', task, before} for each that
   * lives or has ended lately and then for each change (`before`: as it was known), {type: 'gone', taskId},
   * {type: 'listed', more: whether there are older ones, which `older()` fetches} and {type: 'connection', connection}.
   * A `calm` one is told of those that live, and holds no stream by itself: it learns of a new task within 15 seconds,
   * and while the page is hidden and nothing lives not before it is seen again.
   */
  watchAll(callback, { calm = false } = {}) {
    const list = { callback, calm };
    this.lists.add(list);
    for (const { latest } of this.watched.values()) if (latest) this.tasks.set(latest.taskId, latest);
    callback({ type: 'connection', connection: this.connection });
    for (const task of this.tasks.values()) callback({ type: 'snapshot', task });
    if (this.next !== undefined) callback({ type: 'listed', more: this.next !== null });
    if (!calm && this.ready) this.listRecent();
    this.begin();
    return () => {
      this.lists.delete(list);
      if (!this.lists.size) {
        this.tasks.clear();
        this.next = undefined;
      }
      queueMicrotask(() => this.refresh());
    };
  }

  /** Whoever comes is a reason to try at once. */
  begin() {
    if (['signed-out', 'forbidden', 'absent'].includes(this.connection)) this.reconnect();
    else queueMicrotask(() => this.refresh());
  }

  async restart(taskType, taskId) {
    const newId = await super.restart(taskType, taskId);
    this.look(taskId); // other views of it: it says now what it was restarted as, and no stream may be open
    if (this.lists.size) this.look(newId, taskType);
    return newId;
  }

  tell(taskId, event) {
    for (const callback of this.watched.get(taskId)?.callbacks ?? []) safely(callback, event);
  }

  tellLists(event) {
    for (const { callback } of [...this.lists]) safely(callback, event);
  }

  say(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    for (const id of [...this.watched.keys()]) this.tell(id, { type: 'connection', connection });
    this.tellLists({ type: 'connection', connection });
  }

  /** A snapshot that was fetched may be older than one that the stream brought meanwhile. */
  show(task) {
    const { taskId } = task;
    const entry = this.watched.get(taskId);
    const before = this.tasks.get(taskId);
    const known = entry && !entry.unknown ? entry.latest : before;
    const isOlder = (than) => (task.cursor ?? 0) < (than?.cursor ?? 0);
    if (entry && !isOlder(entry.latest)) {
      entry.latest = task;
      entry.unknown = false;
      this.tell(taskId, { type: 'snapshot', task });
    }
    if (this.lists.size && !isOlder(before)) {
      this.tasks.set(taskId, task);
      this.tellLists({ type: 'snapshot', task, before });
    }
    const isEnd = (one) => ENDED_STATUS.has(one?.status);
    if (!known || isEnd(known) !== isEnd(task)) queueMicrotask(() => this.refresh());
  }

  /** The ids of what may still change. */
  alive() {
    const isLive = (task) => !ENDED_STATUS.has(task?.status);
    const ids = [...this.watched].filter(([, { latest, unknown }]) => !unknown && isLive(latest)).map(([id]) => id);
    return new Set([...ids, ...[...this.tasks.values()].filter(isLive).map(({ taskId }) => taskId)]);
  }

  isKeen() {
    return [...this.lists].some(({ calm }) => !calm);
  }

  /** Opens, closes or leaves alone, by what is watched and whether the page is seen. */
  refresh() {
    const isAlive = this.alive().size > 0;
    let wanted = 'nothing';
    if (this.connection !== 'absent') {
      if (!document.hidden && (isAlive || this.isKeen())) wanted = 'stream';
      else if (document.hidden && isAlive) wanted = 'hidden polls';
      else if (!document.hidden && this.lists.size) wanted = 'calm polls';
    }
    if (wanted === this.running) return;
    this.stop();
    this.running = wanted;
    if (wanted === 'stream') this.stream();
    else if (wanted !== 'nothing') this.poll(CALM_POLL_MS);
  }

  reconnect() {
    if (this.connection === 'absent') this.connection = 'connecting';
    this.stop();
    this.failures = 0;
    queueMicrotask(() => this.refresh());
  }

  stop() {
    this.abort?.abort();
    this.abort = undefined;
    this.alarm.clear();
    this.running = undefined;
    this.ready = false;
  }

  async stream() {
    const abort = (this.abort = new AbortController());
    const { signal } = abort;
    const seen = new Set();
    let held = false;
    let watchdog;
    const onBytes = () => { // until it is ready, its beginning may be there and the rest in somebody's buffer
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        held = !this.ready;
        abort.abort();
      }, this.ready ? SILENCE_MS : FIRST_BYTE_MS);
    };
    onBytes();
    if (!['live', 'offline', 'polling'].includes(this.connection)) this.say('connecting');
    let wait;
    try {
      const response = await this.fetch('api/tasks', { headers: { Accept: 'text/event-stream' }, signal });
      if (response.status === 404) {
        this.leave();
        return;
      }
      const refused = response.type === 'opaqueredirect' || [401, 403].includes(response.status) ? await refusal(response) : undefined;
      if (refused) {
        this.say(refused.isAboutWho);
        wait = REFUSED_MS;
      } else if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        throw new Refused(response.status);
      } else {
        const date = Date.parse(response.headers.get('Date'));
        // The header has whole seconds: a small difference is none.
        this.clockAhead = Math.abs(date - Date.now()) > 3000 ? date - Date.now() : 0;
        await readEvents(response.body, onBytes, (event) => {
          this.receive(event, seen);
          if (event.type === 'ready') onBytes();
        });
      }
    } catch {
      // It broke, was closed by us, or never came: what to do next is the same whatever it was.
    } finally {
      clearTimeout(watchdog);
    }
    if (this.abort !== abort) return; // closed or replaced on purpose
    abort.abort();
    this.ready = false;
    if (held) {
      this.poll(POLL_MS, Date.now() + HELD_MS * 2 ** this.heldBack);
      this.heldBack += 1;
      return;
    }
    if (wait === undefined) {
      // Streams end when a server restarts or sheds load: what comes back at once is no fault to show.
      this.say(this.failures ? 'offline' : 'connecting');
      wait = Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** this.failures * (1 + Math.random()));
      this.failures += 1;
    }
    this.alarm.set(wait, () => this.stream());
  }

  receive(event, seen) {
    if (event.type === 'snapshot') {
      seen.add(event.task.taskId);
      this.show(event.task);
    } else if (event.type === 'ready') {
      this.failures = this.heldBack = 0;
      this.ready = true;
      this.say('live');
      for (const id of this.alive()) if (!seen.has(id)) this.look(id);
      if (this.isKeen()) this.listRecent();
    } else if (event.type === 'gone') {
      this.lose(event.taskId ?? event.task?.taskId);
    }
  }

  /** Fetches one task: it has ended, it is gone, or this server never knew it. Tells whether the server answered. */
  async look(taskId, taskType = this.watched.get(taskId)?.taskType ?? this.tasks.get(taskId)?.taskType) {
    if (taskType === undefined) return true; // nobody watches it any more
    try {
      this.show(await this.info(taskType, taskId));
    } catch (error) {
      if (error.status !== 404) return false;
      this.lose(taskId);
    }
    return true;
  }

  lose(taskId) {
    if (this.tasks.delete(taskId)) this.tellLists({ type: 'gone', taskId });
    const entry = this.watched.get(taskId);
    if (entry && !entry.unknown) {
      entry.unknown = true;
      this.tell(taskId, { type: entry.latest ? 'gone' : 'unknown' });
    }
    queueMicrotask(() => this.refresh());
  }

  /** The server has no tasks at all: the extension isn't there. Whoever watches later asks again. */
  leave() {
    this.stop();
    this.connection = 'absent';
    for (const id of [...this.watched.keys()]) this.tell(id, { type: 'unknown' });
    this.tellLists({ type: 'connection', connection: 'absent' });
  }

  /** The newest tasks, which a stream doesn't tell of when they have ended. What is missing among them was forgotten. */
  async listRecent() {
    const known = [...this.tasks.keys()]; // not what comes meanwhile
    let answer;
    try {
      answer = await this.send('GET', ALL_TASKS);
    } catch {
      return; // the stream tells what is wrong, and the next one asks again
    }
    if (!this.lists.size) return;
    const listed = new Set(answer.tasks.map(({ taskId }) => taskId));
    const reached = answer.next ?? '';
    const joins = !this.next || known.some((id) => listed.has(id)); // else so many are new that some between are not here
    for (const id of known) {
      if (id >= reached ? !listed.has(id) : !joins && ENDED_STATUS.has(this.tasks.get(id)?.status)) this.lose(id);
    }
    for (const task of answer.tasks) this.show(task);
    if (this.next === undefined || !joins) this.next = answer.next ?? null;
    this.tellLists({ type: 'listed', more: this.next !== null });
  }

  /** Fetches the next older tasks. Raises what a person can read. */
  async older() {
    const after = this.next;
    if (!after) return;
    const { tasks, next } = await this.send('GET', `${ALL_TASKS}&after=${encodeURIComponent(after)}`);
    if (this.next !== after) return; // somebody else was quicker
    for (const task of tasks) this.show(task);
    this.next = next ?? null;
    this.tellLists({ type: 'listed', more: this.next !== null });
  }

  async poll(milliseconds, until = Infinity) {
    const abort = (this.abort = new AbortController());
    const connection = await this.lookAtAll();
    if (this.abort !== abort) return;
    if (connection === 'absent') {
      this.leave();
      return;
    }
    const isCalm = this.running === 'calm polls' && connection === 'polling';
    if (!document.hidden) this.say(isCalm ? 'live' : connection);
    if (this.next === undefined && this.isKeen()) this.listRecent();
    this.alarm.set(milliseconds, () => (Date.now() < until ? this.poll(milliseconds, until) : this.stream()));
  }

  /** Asks once for all that live, and for each that did and is not among them. Gives what that says of the connection. */
  async lookAtAll() {
    const live = [];
    try {
      let after = '';
      do {
        const { tasks, next } = await this.send('GET', LIVE_TASKS + after);
        live.push(...tasks);
        after = next && `&after=${encodeURIComponent(next)}`;
      } while (after);
    } catch (error) {
      if (error.status === 404) return 'absent';
      return error.isAboutWho ?? 'offline';
    }
    const seen = new Set();
    for (const task of live) {
      seen.add(task.taskId);
      if (this.lists.size || this.watched.has(task.taskId)) this.show(task);
    }
    const others = [...this.alive()].filter((id) => !seen.has(id));
    const answers = await Promise.all(others.map((id) => this.look(id)));
    return answers.every(Boolean) ? 'polling' : 'offline';
  }
}

/** The page's hub, or null where the page isn't served by a Jupyter server. */
export function connectHub() {
  if (!settings()) return null;
  const key = Symbol.for(`sse-tasks-hub-${HUB_VERSION}`); // no name: an element's id in somebody's output would be found by it
  window[key] ??= new PageHub();
  return window[key];
}
