// The task view as JupyterLab's and Notebook 7's renderer of a MIME type: it needs no kernel, no widget and no trust, and
// so it is there after a restart of the kernel, a reload and a reopening, and in a notebook that was never run here.
import { connectHub } from './hub.js';
import { mount } from './task_view.js';

const TASK = 'application/vnd.sse-tasks.task+json';
const WIDGET = 'application/vnd.jupyter.widget-view+json';
const HTML = 'text/html';
const TASK_TYPE_SHAPE = /^[a-z0-9][a-z0-9-]{0,63}$/;
const TASK_ID_SHAPE = /^[0-9a-z]{26}$/;
/** Before the widget's renderer, which has -10. */
const RANK = -20;
/** For so long a view that was taken out of the page waits to be put back, as when its cell is moved. */
const PARKED_MS = 2000;

/** For so long a widget may take to appear before the output's HTML does. */
const WIDGET_MS = 1500;

/** Views that were taken out of the page a moment ago, each as it was: sections that are open, what was asked. */
const parked = new Map();

function keyOf({ taskType, taskId }) {
  return `${taskType} ${taskId}`;
}

/** The view of a task in an element that can go from one output to the next; `onUnknown` when its server has no such task. */
function viewOf(task, onUnknown) {
  const key = keyOf(task);
  const view = parked.get(key) ?? { key, element: document.createElement('div') };
  view.onUnknown = onUnknown;
  if (parked.delete(key)) {
    clearTimeout(view.timer);
    return view;
  }
  // The bundle may be anybody's: what isn't shaped like a task is shown, and never asked for.
  const isTask = TASK_TYPE_SHAPE.test(task.taskType) && TASK_ID_SHAPE.test(task.taskId);
  const hub = isTask ? connectHub() : null;
  const disposals = [mount(view.element, { ...task, hub })];
  view.dispose = () => { for (const dispose of disposals) dispose(); };
  if (hub) disposals.push(hub.watch(task, ({ type }) => { if (type === 'unknown') queueMicrotask(() => view.onUnknown()); }));
  else if (isTask) queueMicrotask(() => view.onUnknown()); // no Jupyter server made this page
  return view;
}

function park(view) {
  view.onUnknown = () => {};
  view.element.remove();
  parked.get(view.key)?.dispose();
  parked.set(view.key, view);
  clearTimeout(view.timer);
  view.timer = setTimeout(() => {
    if (parked.get(view.key) === view) parked.delete(view.key);
    view.dispose();
  }, PARKED_MS);
}

/** The renderers of the output area that a widget stands in. */
function renderersAround(widget) {
  for (let parent = widget.parent; parent; parent = parent.parent) if (parent.rendermime) return parent.rendermime;
  return null;
}

export async function load(shared) {
  const { Panel, Widget } = await shared('@lumino/widgets');

  class TaskRenderer extends Panel {
    // Called again when the output is written anew, as at the task's end: the same task keeps its view and its state.
    async renderModel(model) {
      // From the bundle comes a type and an id, and nothing else.
      const { taskType, taskId } = Object(model.data[TASK]);
      const task = { taskType: String(taskType), taskId: String(taskId) };
      const key = keyOf(task);
      this.model = model;
      if (this.shown === key) {
        await this.saved?.renderModel(model);
        if (this.saved && !this.observer) this.addWidgetView(renderersAround(this)); // it may be trusted now
        return;
      }
      this.clear();
      this.shown = key;
      await null; // a cell that is moved is made anew before the old one goes, with the view that is wanted here
      if (this.shown !== key) return; // disposed, or given another task
      this.view = viewOf(task, () => this.fallBack());
      this.node.append(this.view.element);
    }

    /**
     * The page's server doesn't know the task: it is forgotten, or its kernel is elsewhere. Then the widget is shown, which
     * follows the kernel, and until it has a view the output's own HTML, which says what the task was.
     */
    async fallBack() {
      const renderers = renderersAround(this);
      if (!renderers || !this.view || this.observer) return;
      this.addWidgetView(renderers);
      if (this.observer) await new Promise((resolve) => setTimeout(resolve, WIDGET_MS));
      const { model } = this;
      if (!this.view || model.data[HTML] === undefined) return; // or the view stays, and says what is the matter
      this.saved = renderers.createRenderer(HTML);
      const note = new Widget({ node: document.createElement('div') });
      note.node.textContent = 'This page’s server does not know this task: so it was when the notebook was saved.';
      note.node.style.cssText = 'margin: 0 2px 4px; font-size: 12px; color: var(--jp-content-font-color2, inherit);';
      this.addWidget(this.saved);
      this.addWidget(note);
      this.dropView();
      await this.saved.renderModel(model);
    }

    /** Adds the widget's renderer, hidden until that has a view: it waits for a kernel and a model, maybe in vain. */
    addWidgetView(renderers) {
      const { model } = this;
      if (!model.trusted || model.data[WIDGET] === undefined || !renderers.mimeTypes.includes(WIDGET)) return;
      const widget = renderers.createRenderer(WIDGET);
      widget.hide();
      this.addWidget(widget);
      this.observer = new MutationObserver(() => {
        if (!widget.node.querySelector('.sse-tasks-TaskView')) return;
        this.observer.disconnect();
        for (const other of [...this.widgets]) if (other !== widget) other.dispose();
        this.dropView();
        this.saved = undefined;
        widget.show();
      });
      this.observer.observe(widget.node, { childList: true, subtree: true });
      widget.renderModel(model).catch((error) => console.warn('sse-tasks: the widget is not there.', error));
    }

    dropView() {
      this.view?.element.remove();
      this.view?.dispose();
      this.view = undefined;
    }

    clear() {
      this.observer?.disconnect();
      this.observer = undefined;
      for (const child of [...this.widgets]) child.dispose();
      if (this.view) park(this.view);
      this.view = this.saved = this.shown = undefined;
    }

    onBeforeDetach(message) {
      super.onBeforeDetach(message);
      const { activeElement } = document;
      if (this.view) this.view.focused = this.view.element.contains(activeElement) ? activeElement : undefined;
    }

    onAfterAttach(message) {
      super.onAfterAttach(message);
      if (document.activeElement === document.body) this.view?.focused?.focus({ preventScroll: true });
    }

    dispose() {
      if (this.isDisposed) return;
      this.clear();
      super.dispose();
    }
  }

  return {
    id: 'sse-tasks:mime',
    description: 'Shows a task, live, without the kernel.',
    rank: RANK,
    dataType: 'json',
    rendererFactory: { safe: true, mimeTypes: [TASK], defaultRank: RANK, createRenderer: () => new TaskRenderer() },
  };
}
