// The stylesheets, for JupyterLab and Notebook 7: the page waits for them before it shows anything.
const SHEETS = ['task_view.css', 'task_list.css'];

export function load() {
  return Promise.all(SHEETS.map((name) => new Promise((resolve, reject) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = new URL(name, import.meta.url).href;
    link.onload = resolve;
    link.onerror = () => reject(new Error(`sse-tasks: ${link.href} can't be loaded.`));
    document.head.append(link);
  })));
}
