// The task view as an ipywidgets view: through the page's Jupyter server where that knows the task, else through the kernel.
import { mount } from './task_view.js';
import { connectHub } from './hub.js';

/** A kernel that says nothing for this long after being asked for a sign of life is busy, dead or not there. */
const SILENT_KERNEL_MS = 10_000;
const BUSY_KERNEL_MS = 1500;
/** A kernel doesn't say that it won't answer: a busy one does in the end, but nobody waits for so long. */
const UNREAD_MS = 30_000;

/** A hub over the widget's comm: the kernel relays snapshots from a thread, and takes requests when it is free. */
function kernelHub(model) {
  let asks = 0;
  const others = new Map(); // task id → the latest state of a task that the widget's own was restarted as, or from
  const isOwn = (taskId) => taskId === model.get('task_id');
  const latest = (taskId) => (isOwn(taskId) ? model.get('snapshot') : others.get(taskId)) ?? {};

  function request(taskId, action, note) {
    const id = (asks += 1);
    return new Promise((resolve, reject) => {
      const busy = setTimeout(note, BUSY_KERNEL_MS, 'The kernel is busy: it is asked as soon as it is free.');
      const listener = (message) => {
        if (message.type !== 'answer' || message.id !== id) return;
        clearTimeout(busy);
        note('');
        model.off('msg:custom', listener);
        if (message.error) reject(new Error(message.error));
        else resolve(message);
      };
      model.on('msg:custom', listener);
      try {
        model.send({ type: 'ask', id, action, taskId });
      } catch {
        clearTimeout(busy);
        reject(new Error('The kernel that started this task is gone.'));
      }
    });
  }

  /** A piece of a part of a task, as it stands in its file. The answer's bytes come beside it. */
  function read(taskId, part, { after = 0, limit = undefined }) {
    const id = (asks += 1);
    return new Promise((resolve, reject) => {
      const give = (settle, value) => {
        clearTimeout(timer);
        model.off('msg:custom', listener);
        settle(value);
      };
      const gone = () => give(reject, new Error('The kernel does not answer: it is busy or gone.'));
      const timer = setTimeout(gone, UNREAD_MS);
      const listener = (message, buffers) => {
        if (message.type !== 'answer' || message.id !== id) return;
        if (message.error) give(reject, new Error(message.error));
        const { buffer, byteOffset, byteLength } = buffers?.[0] ?? new Uint8Array();
        give(resolve, { bytes: new Uint8Array(buffer, byteOffset, byteLength), after: message.after });
      };
      model.on('msg:custom', listener);
      try {
        model.send({ type: 'read', id, taskId, part, after, ...(limit && { limit }) });
      } catch {
        gone();
      }
    });
  }

  // The last line comes with the snapshots, and files would be too much for a comm.
  return {
    now: () => Date.now(),
    info: async (_, taskId) => latest(taskId),
    output: (_, taskId, place) => read(taskId, 'output', place),
    items: (_, taskId, place) => read(taskId, 'items', place),
    metrics: (_, taskId, place) => read(taskId, 'metrics', place),
    ask: (_, taskId, action, note) => request(taskId, action, note),
    restart: async (_, taskId, note) => (await request(taskId, 'restart', note)).taskId,
    watch({ taskId }, callback) {
      let silence;
      const say = (connection) => {
        clearTimeout(silence);
        callback({ type: 'connection', connection });
      };
      const hello = () => {
        say('connecting');
        silence = setTimeout(say, SILENT_KERNEL_MS, 'silent');
        try {
          model.send({ type: 'hello', taskId });
        } catch {
          say('silent'); // the comm has gone with its kernel
        }
      };
      const tell = (stored) => {
        const task = latest(taskId);
        if (task.status) callback({ type: 'snapshot', task, stored });
      };
      const hear = (message) => {
        if (message.type === 'snapshot' && message.task.taskId === taskId) others.set(taskId, message.task);
        else if (message.type === 'hello' && message.taskId === taskId && message.error) callback({ type: 'gone' });
        else if (message.type !== 'answer' && message.type !== 'hello') return;
        say('kernel');
        tell(false);
      };
      const listeners = {
        'change:snapshot': () => { say('kernel'); if (isOwn(taskId)) tell(false); },
        'msg:custom': hear,
        comm_live_update: hello, // the kernel was restarted, or is back
        // Another page that is served by a server of its own switched the relay off: this one needs it.
        'change:relay': () => setRelay(model, true),
      };
      for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
      setRelay(model, true);
      tell(true);
      hello();
      return () => {
        clearTimeout(silence);
        for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
      };
    },
  };
}

function setRelay(model, relay) {
  if (model.get('relay') === relay) return;
  model.set('relay', relay);
  try {
    model.save_changes();
  } catch {
    // The comm has gone with its kernel: nobody is there to relay.
  }
}

function tell(model, message) {
  try {
    model.send(message);
  } catch {
    // The comm has gone with its kernel: nobody is there to be told.
  }
}

/** The page's hub until that says that its server doesn't know the task, the kernel's from then on. */
function firstThatKnows(model, page) {
  const kernel = kernelHub(model);
  /** @type {any} */
  let current = page ?? kernel;
  /** @type {(text: string) => void} */
  let note = () => {};
  return {
    now: () => current.now(),
    info: (...task) => current.info(...task),
    get tail() { return current.tail?.bind(current); },
    get output() { return current.output?.bind(current); },
    get items() { return current.items?.bind(current); },
    get metrics() { return current.metrics?.bind(current); },
    get files() { return current.files?.bind(current); },
    get file() { return current.file?.bind(current); },
    ask: (...asked) => current.ask(...asked, (text) => note(text)),
    restart: (...task) => current.restart(...task, (text) => note(text)),
    watch(task, callback) {
      note = (text) => callback({ type: 'note', text });
      let stop;
      let served = false;
      const follow = (hub) => {
        stop?.();
        current = hub;
        stop = hub.watch(task, (event) => {
          if (event.type === 'unknown') {
            follow(kernel);
            return;
          }
          if (event.type === 'snapshot' && hub === page && !served) { // once: another page may need the relay
            served = true;
            setRelay(model, false);
          }
          callback(event);
        });
      };
      follow(current);
      return () => stop();
    },
  };
}

const newest = new Map(); // task id → the element that shows it since last
const instead = new Map(); // task id → the id of the task that a person went on to in its view
const remounts = new Map(); // task id → shows another task in the newest view
let focused; // the task whose view has the keyboard's focus, or had it when it was taken out of the page

/** At its task's end a cell's output is written anew, and the view with it: the focus goes along. */
function keepFocus(el, taskId) {
  newest.set(taskId, el);
  const restore = () => requestAnimationFrame(() => {
    if (focused !== taskId || document.activeElement !== document.body) return;
    newest.get(taskId)?.firstElementChild?.focus({ preventScroll: true });
  });
  el.addEventListener('focusin', () => { focused = taskId; });
  el.addEventListener('focusout', () => queueMicrotask(() => {
    if (!el.isConnected) restore(); // the new view may have come before the old one went, or after
    else if (!el.contains(document.activeElement)) focused = undefined; // the person went elsewhere
  }));
  restore();
}

export default {
  // Called once in each page, whatever shows the task there: a page whose server knows it needs no relay.
  initialize({ model }) {
    const task = { taskType: model.get('task_type'), taskId: model.get('task_id') };
    const stop = connectHub()?.watch(task, ({ type }) => {
      if (type === 'snapshot') setRelay(model, false);
      if (type === 'snapshot' || type === 'unknown') queueMicrotask(() => stop());
    });
    return () => stop?.();
  },

  render({ model, el }) {
    tell(model, { type: 'shown' });
    const own = model.get('task_id');
    const snapshot = model.get('snapshot');
    keepFocus(el, own);
    // A view is made anew when its output is, or when it was scrolled out of sight: it shows what it showed.
    let dispose;
    const show = (taskId) => {
      dispose?.();
      dispose = mount(el, {
        taskType: model.get('task_type'),
        taskId,
        last: taskId === own && snapshot.status ? snapshot : undefined,
        hub: firstThatKnows(model, connectHub()),
        onFollow(id) {
          instead.set(own, id);
          if (!el.isConnected) remounts.get(own)?.(id); // asked in the view that was there before
        },
      });
    };
    remounts.set(own, show);
    show(instead.get(own) ?? own);
    return () => {
      dispose();
      if (remounts.get(own) === show) remounts.delete(own); // else a view that was made since has taken its place
      if (newest.get(own) === el) newest.delete(own);
    };
  },
};
