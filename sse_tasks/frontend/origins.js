// Where a task was started, as a task says it itself, and as the page's server can open it.

/** The server's root folder, as its pages say it; undefined where they don't. */
function rootFolder() {
  const config = JSON.parse(document.getElementById('jupyter-config-data')?.textContent || '{}');
  return config.sseTasksRoot ?? document.body.dataset.root;
}

/**
 * The notebook that a task was started in: its file's name, its path below the server's root (null where it lies
 * elsewhere) and the id of the cell. Undefined where the task says no notebook.
 * @returns {{name: string, path: string | null, cell?: string} | undefined}
 */
export function notebookOf({ origin }) {
  const whole = origin?.notebook;
  if (!whole) return undefined;
  const name = whole.split('/').at(-1);
  const root = rootFolder()?.replace(/\/+$/, '');
  if (whole.split('/').includes('..')) return { name, path: null, cell: origin.cell }; // an address would climb
  if (!whole.startsWith('/')) return { name, path: whole, cell: origin.cell };
  return { name, path: root !== undefined && whole.startsWith(`${root}/`) ? whole.slice(root.length + 1) : null, cell: origin.cell };
}
