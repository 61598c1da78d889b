// The page's hub: one stream of all tasks from the page's own Jupyter server, shared by every view of the page.
// It is open only while the page is visible and something watched is alive: a browser has six connections to a
// server, and a stream holds one.
import { JupyterServer, Refused, settings } from './server.js';

/** Of the interface below: JupyterLab's modules and the widget's joined copy share the hub that they find on `window`. */
const HUB_VERSION = 2;
const RETRY_MS = { first: 1000, longest: 30_000 };
const SIGNED_OUT_MS = 30_000;
/** A stream without a byte for so long is held back by something on the way: then the server is asked instead. */
const FIRST_BYTE_MS = 5000;
/** The server sends a comment after 10 s without a byte; three missing ones are a dead connection (a laptop slept). */
const SILENCE_MS = 30_000;
const POLL_MS = 2000;
/** Then a stream is tried again, since the server may only have been busy; after twice as long each time. */
const HELD_MS = 20_000;
const HIDDEN_POLL_MS = 15_000;
const ENDED_STATUS = new Set(['completed', 'failed', 'aborted']);

/** Reads SSE from fetch: unlike EventSource it can send headers and see the HTTP status. */
async function readEvents(body, onBytes, onEvent) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = '';
  let data = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const lines = (buffer + decoder.decode(value, { stream: true })).split('\n');
    buffer = lines.pop();
    for (const line of lines) {
      if (line === '' && data.length) {
        const event = JSON.parse(data.join('\n'));
        data = [];
        onEvent(event);
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
  }
}

class PageHub extends JupyterServer {
  constructor() {
    super();
    this.watched = new Map(); // task id → {taskType, callbacks, latest}
    this.connection = 'connecting';
    this.failures = 0;
    this.heldBack = 0; // streams in a row that brought nothing
    this.clockAhead = 0; // the server's clock against the page's, in milliseconds
    document.addEventListener('visibilitychange', () => this.refresh());
    addEventListener('online', () => this.reconnect());
  }

  /** The server's time: started and ended times are its own. */
  now() {
    return Date.now() + this.clockAhead;
  }

  watch({ taskType, taskId }, callback) {
    const entry = this.watched.get(taskId) ?? { taskType, callbacks: new Set(), latest: undefined };
    this.watched.set(taskId, entry);
    entry.callbacks.add(callback);
    callback({ type: 'connection', connection: this.connection });
    if (entry.latest) callback({ type: 'snapshot', task: entry.latest });
    else if (this.ready) this.look(taskId);
    if (this.connection === 'signed-out' || this.connection === 'absent') this.reconnect();
    else queueMicrotask(() => this.refresh());
    return () => {
      entry.callbacks.delete(callback);
      if (!entry.callbacks.size) this.watched.delete(taskId);
      queueMicrotask(() => this.refresh());
    };
  }

  async restart(taskType, taskId) {
    const newId = await super.restart(taskType, taskId);
    this.look(taskId); // other views of it: it says now what it was restarted as, and no stream may be open
    return newId;
  }

  tell(taskId, event) {
    for (const callback of this.watched.get(taskId)?.callbacks ?? []) callback(event);
  }

  say(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    for (const id of [...this.watched.keys()]) this.tell(id, { type: 'connection', connection });
  }

  /** A snapshot that was fetched may be older than one that the stream brought meanwhile. */
  show(task) {
    const entry = this.watched.get(task.taskId);
    if (!entry || (task.cursor ?? 0) < (entry.latest?.cursor ?? 0)) return;
    entry.latest = task;
    entry.unknown = false;
    this.tell(task.taskId, { type: 'snapshot', task });
    if (ENDED_STATUS.has(task.status)) queueMicrotask(() => this.refresh());
  }

  alive() {
    return [...this.watched].filter(([, { latest, unknown }]) => !unknown && !ENDED_STATUS.has(latest?.status)).map(([id]) => id);
  }

  /** Opens, closes or leaves alone, by what is watched and whether the page is seen. */
  refresh() {
    const wanted = this.connection === 'absent' || !this.alive().length ? 'nothing' : document.hidden ? 'polls' : 'stream';
    if (wanted === this.running) return;
    this.stop();
    this.running = wanted;
    if (wanted === 'stream') this.stream();
    if (wanted === 'polls') this.poll(HIDDEN_POLL_MS);
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
    clearTimeout(this.timer);
    this.running = undefined;
    this.ready = false;
  }

  later(milliseconds, action) {
    clearTimeout(this.timer);
    this.timer = setTimeout(action, milliseconds);
  }

  async stream() {
    const abort = (this.abort = new AbortController());
    const { signal } = abort;
    const seen = new Set();
    let held = false;
    let watchdog = setTimeout(() => { held = true; abort.abort(); }, FIRST_BYTE_MS);
    const onBytes = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    if (!['live', 'offline', 'polling'].includes(this.connection)) this.say('connecting');
    let wait;
    try {
      const response = await this.fetch('api/tasks', { headers: { Accept: 'text/event-stream' }, signal });
      if (response.status === 404) {
        this.leave();
        return;
      }
      if (response.type === 'opaqueredirect' || response.status === 401 || response.status === 403) {
        this.say('signed-out');
        wait = SIGNED_OUT_MS;
      } else if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        throw new Refused(response.status);
      } else {
        const date = Date.parse(response.headers.get('Date'));
        // The header has whole seconds: a small difference is none.
        this.clockAhead = Math.abs(date - Date.now()) > 3000 ? date - Date.now() : 0;
        await readEvents(response.body, onBytes, (event) => this.receive(event, seen));
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
    this.later(wait, () => this.stream());
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
    } else if (event.type === 'gone') {
      this.lose(event.taskId ?? event.task?.taskId);
    }
  }

  /** Fetches one task: it has ended, it is gone, or this server never knew it. Tells whether the server answered. */
  async look(taskId) {
    const entry = this.watched.get(taskId);
    if (!entry) return true;
    try {
      this.show(await this.info(entry.taskType, taskId));
    } catch (error) {
      if (error.status === 404) this.lose(taskId);
      else return false;
      return true;
    }
    return true;
  }

  lose(taskId) {
    const entry = this.watched.get(taskId);
    if (!entry || entry.unknown) return;
    entry.unknown = true;
    this.tell(taskId, { type: entry.latest ? 'gone' : 'unknown' });
    queueMicrotask(() => this.refresh());
  }

  /** The server has no tasks at all: the extension isn't there. Whoever watches later asks again. */
  leave() {
    this.stop();
    this.connection = 'absent';
    for (const id of [...this.watched.keys()]) this.tell(id, { type: 'unknown' });
  }

  async poll(milliseconds, until = Infinity) {
    const abort = (this.abort = new AbortController());
    const answers = await Promise.all(this.alive().map((id) => this.look(id)));
    if (this.abort !== abort) return;
    if (!document.hidden) this.say(answers.every(Boolean) ? 'polling' : 'offline');
    this.later(milliseconds, () => (Date.now() < until ? this.poll(milliseconds, until) : this.stream()));
  }
}

/** The page's hub, or null where the page isn't served by a Jupyter server. */
export function connectHub() {
  if (!settings()) return null;
  const key = `sse-tasks-hub-${HUB_VERSION}`;
  window[key] ??= new PageHub();
  return window[key];
}
