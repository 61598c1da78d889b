// The page's own Jupyter server, asked by fetch: one method for each thing that a view asks it for. Whatever a task wrote
// is read up to a limit, however large it is.
import { lastLineOf } from './terminal.js';

const TAIL_BYTES = 2048;
const PART_BYTES = 1 << 18;
const DOUBLE_CLICK_MS = 1000;
const FILE_BYTES = 256 << 20; // of a download: it is held in memory, since a link couldn't carry the token

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

class NoAnswer extends Error {
  constructor() {
    super('The server does not answer.');
  }
}
/** Said instead of the server's own sentence, which is for callers that send headers. */
const SIGNED_OUT = 'You are signed out. Sign in again in another tab, then repeat this here.';

/** An answer that is none. `code` is the server's; without one something before it refused, a proxy or a Hub. */
export class Refused extends Error {
  constructor(status, { code = undefined, message = undefined } = {}) {
    super(code === 'not_signed_in' ? SIGNED_OUT : message ?? (status === 403 ? 'You are signed out, or not allowed to do this.' : `The server answered ${status}.`));
    this.status = status;
    this.code = code;
  }

  /** "signed-out", "forbidden", or nothing where it isn't about who asks. */
  get isAboutWho() {
    if (this.status !== 401 && this.status !== 403) return undefined;
    return this.code === 'forbidden' ? 'forbidden' : 'signed-out';
  }
}

/** @param {Response} response */
export async function refusal(response) {
  const answer = await response.json().catch(() => undefined);
  return new Refused(response.status || 403, answer ?? undefined); // no status: a redirect, to a login
}

/** @typedef {import('./part_follower.js').Piece} Piece */
/** @param {string[]} segments */
const pathOf = (...segments) => ['api/tasks', ...segments.map(encodeURIComponent)].join('/');

/** The body's first `limit` bytes: what follows is not even sent. */
async function readUpTo(response, limit) {
  const reader = response.body?.getReader();
  const pieces = [];
  let length = 0;
  while (reader && length < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value.subarray(0, limit - length));
    length += pieces.at(-1).length;
  }
  reader?.cancel().catch(() => {});
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

export class JupyterServer {
  /** @type {Map<string, string> | undefined} task id → the key of its restart */
  restartKeys;

  ask(taskType, taskId, action) {
    if (action === 'abort') return this.send('DELETE', `${pathOf(taskType)}?taskId=${encodeURIComponent(taskId)}`);
    return this.send('POST', pathOf(taskType), { action, taskId });
  }

  /** Gives the new task's id. A second click, or another try where an answer got lost, is the same restart. */
  async restart(taskType, taskId) {
    this.restartKeys ??= new Map();
    const key = this.restartKeys.get(taskId) ?? `restart-${[...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join('')}`;
    this.restartKeys.set(taskId, key);
    const { taskId: newId } = await this.send('POST', pathOf(taskType, taskId, 'restart'), undefined, { 'Idempotency-Key': key });
    setTimeout(() => this.restartKeys.delete(taskId), DOUBLE_CLICK_MS);
    return newId;
  }

  async info(taskType, taskId) {
    return this.send('GET', pathOf(taskType, taskId));
  }

  /** The output's last line that shows something. */
  async tail(taskType, taskId) {
    const { bytes } = await this.output(taskType, taskId, { tail: TAIL_BYTES });
    return lastLineOf(new TextDecoder().decode(bytes).replace(/^\uFFFD+/, '')); // it may begin inside a character
  }

  /**
   * Captured output from the byte `after` on, or its last `tail` bytes.
   * @param {string} taskType @param {string} taskId
   * @param {{after?: number, tail?: number, limit?: number}} place @returns {Promise<Piece>}
   */
  async output(taskType, taskId, { after = 0, tail = undefined, limit = PART_BYTES }) {
    const range = tail === undefined ? `${after}-${after + limit - 1}` : `-${tail}`;
    const response = await this.fetch(pathOf(taskType, taskId, 'output'), { headers: { Range: `bytes=${range}` } });
    if (response.status === 416) return { bytes: new Uint8Array(), after }; // nothing more is there yet
    if (!response.ok) throw await refusal(response);
    const begins = response.headers.get('Content-Range')?.match(/^bytes (\d+)-/)?.[1] ?? (response.status === 206 ? after : 0);
    return { bytes: await readUpTo(response, tail ?? limit), after: Number(begins) };
  }

  /**
   * Partial results as JSON lines; beyond the end they begin anew.
   * @param {string} taskType @param {string} taskId
   * @param {{after?: number, limit?: number}} place @returns {Promise<Piece>}
   */
  items(taskType, taskId, place) {
    return this.lines(pathOf(taskType, taskId, 'items'), place);
  }

  /**
   * Measured values, likewise.
   * @param {string} taskType @param {string} taskId
   * @param {{after?: number, limit?: number}} place @returns {Promise<Piece>}
   */
  metrics(taskType, taskId, place) {
    return this.lines(pathOf(taskType, taskId, 'metrics'), place);
  }

  async lines(path, { after = 0, limit = PART_BYTES }) {
    const response = await this.fetch(`${path}?after=${after}`);
    if (!response.ok) throw await refusal(response);
    return { bytes: await readUpTo(response, limit), after: Number(response.headers.get('X-Items-After') ?? after) };
  }

  /** The artifacts. @param {string} taskType @param {string} taskId @returns {Promise<{name: string, bytes: number, modified: string}[]>} */
  async files(taskType, taskId) {
    return (await this.send('GET', pathOf(taskType, taskId, 'files'))).files;
  }

  /** An artifact's content, without a type: it is up to whoever shows it what it may be taken for. */
  async file(taskType, taskId, name, limit = FILE_BYTES) {
    const response = await this.fetch(pathOf(taskType, taskId, 'files', name));
    if (!response.ok) throw await refusal(response);
    const bytes = await readUpTo(response, limit + 1);
    if (bytes.length > limit) throw new Error('This file is too large to be fetched here. In Python it is in the task’s .files().');
    return new Blob([bytes]);
  }

  /** Sends JSON and gives back the JSON that came; raises what a person can read. */
  async send(method, path, body, headers = undefined) {
    const response = await this.fetch(path, {
      method, body: body && JSON.stringify(body), headers: { ...(body && { 'Content-Type': 'application/json' }), ...headers },
    });
    const answer = await response.json().catch(() => undefined);
    if (!response.ok || answer === undefined) throw new Refused(response.status || 403, answer ?? undefined);
    return answer;
  }

  /** @param {string} path below the server's address @param {RequestInit} options */
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
