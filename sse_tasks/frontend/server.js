// The page's own Jupyter server, asked by fetch: one method for each thing that a view asks it for. It imports nothing.

const TAIL_BYTES = 2048;
// What a terminal would not show: colours and cursor movements (CSI), titles and links (OSC), other escapes.
const ANSI = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** Where the page's server is and what to send it, or null where no Jupyter server made the page. */
export function settings() {
  const config = JSON.parse(document.getElementById('jupyter-config-data')?.textContent || '{}');
  const base = config.baseUrl ?? document.body?.dataset.baseUrl;
  if (!base) return null; // not served by a Jupyter server
  const xsrf = document.cookie.match(/(?:^|;\s*)_xsrf=([^;]+)/)?.[1];
  const headers = {};
  if (xsrf) headers['X-XSRFToken'] = decodeURIComponent(xsrf);
  if (config.token) headers.Authorization = `token ${config.token}`;
  return { baseUrl: new URL(base, location.href).href, headers };
}

/** The last line of `text` that shows something, as a terminal would leave it. */
function lastLine(text) {
  const lines = text.replace(ANSI, '').split('\n');
  for (const line of lines.reverse()) {
    // A progress bar rewrites its line: what follows the last \r is what stands there.
    const shown = line.split('\r').map((part) => part.replace(CONTROL, '').trimEnd()).filter(Boolean);
    if (shown.length) return shown.at(-1);
  }
  return '';
}

class NoAnswer extends Error {
  constructor() {
    super('The server does not answer.');
  }
}
export class Refused extends Error {
  constructor(status, message) {
    super(message ?? (status === 403 ? 'You are signed out, or not allowed to do this.' : `The server answered ${status}.`));
    this.status = status;
  }
}

export class JupyterServer {
  ask(taskType, taskId, action) {
    const path = `api/tasks/${encodeURIComponent(taskType)}`;
    if (action === 'abort') return this.send('DELETE', `${path}?taskId=${encodeURIComponent(taskId)}`);
    return this.send('POST', path, { action, taskId });
  }

  /** Gives the new task's id. */
  async restart(taskType, taskId) {
    const path = `api/tasks/${encodeURIComponent(taskType)}/${encodeURIComponent(taskId)}/restart`;
    return (await this.send('POST', path)).taskId;
  }

  async info(taskType, taskId) {
    return this.send('GET', `api/tasks/${encodeURIComponent(taskType)}/${encodeURIComponent(taskId)}`);
  }

  async tail(taskType, taskId) {
    const path = `api/tasks/${encodeURIComponent(taskType)}/${encodeURIComponent(taskId)}/output`;
    const response = await this.fetch(path, { headers: { Range: `bytes=-${TAIL_BYTES}` } });
    if (!response.ok) throw new Refused(response.status);
    // The piece may begin inside a character.
    return lastLine(new TextDecoder().decode(await response.arrayBuffer()).replace(/^\uFFFD+/, ''));
  }

  /** Sends JSON and gives back the JSON that came; raises what a person can read. */
  async send(method, path, body) {
    const response = await this.fetch(path, {
      method, body: body && JSON.stringify(body), headers: body && { 'Content-Type': 'application/json' },
    });
    const answer = await response.json().catch(() => undefined);
    if (!response.ok || answer === undefined) throw new Refused(response.status || 403, answer?.message);
    return answer;
  }

  async fetch(path, { headers, ...options } = {}) {
    const { baseUrl, headers: own } = settings(); // anew: signing in again changes the cookie
    try {
      return await fetch(baseUrl + path, {
        cache: 'no-store', redirect: 'manual', ...options, headers: { ...own, ...headers },
      });
    } catch (error) {
      throw options.signal?.aborted ? error : new NoAnswer();
    }
  }
}
