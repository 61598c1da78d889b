// A start as people would type it: for a notebook's `%start_task`, and for a shell's curl.
import { optionsOf } from './schema_check.js';
import { startPath } from './task_calls.js';

/** The options of every start: a field of that name is the plain option, and the start option is `--task-…` then. */
const START_OPTIONS = ['input', 'name', 'tag', 'timeout', 'retries', 'wait', 'quiet', 'inline', 'help'];
const NUMBER = /^(?:[-+]?\d+(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+([eE][-+]?\d+)?)$/;
/** Of what the magic's parser reads as a plain word, the part that is the same in every alphabet. */
const PLAIN_WORD = /^[A-Za-z0-9_@%+=:,./-]+$/;
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

const dashed = (name) => name.replaceAll('_', '-');

/** JSON on one line. What isn't printable is escaped, as a line is one line. */
function jsonText(value) {
  const text = JSON.stringify(value);
  if (!UNPRINTABLE.test(text)) return text;
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
function isJson(text) {
  if (!/^[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
function quoted(word) {
  if (isJson(word) || PLAIN_WORD.test(word)) return word;
  if (!word.includes("'")) return `'${word}'`;
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
/** `$` and braces stand for themselves. */
const escaped = (text) => text.replaceAll('$', '$$$$').replaceAll('{', '{{').replaceAll('}', '}}');

/** Whether the magic reads `text`, given for a field of these types, as nothing but text. */
function staysText(text, kinds) {
  if (kinds.every((kind) => kind === 'string')) return true;
  const bare = text.trim();
  return kinds.includes('string') && !/^(null|None|true|True|false|False)$/.test(bare) && !NUMBER.test(bare) && !/^[{[]/.test(bare);
}

/** The words that set a field, or none where only JSON can say it. */
function fieldWords(name, value, schema, root) {
  const option = `--${dashed(name)}`;
  const kindsOf = (one) => optionsOf(one, root).flatMap((o) => o.type ?? (o.enum ?? [o.const]).map((choice) => (choice === null ? 'null' : typeof choice)));
  const kinds = kindsOf(schema);
  if (typeof value === 'boolean' && kinds.every((kind) => kind === 'boolean' || kind === 'null')) return [value ? option : `--no-${dashed(name)}`];
  const lists = optionsOf(schema, root).filter(({ type }) => type === 'array');
  const isPlainList = Array.isArray(value) && value.length > 0 && kinds.every((kind) => kind === 'array' || kind === 'null')
    && lists.length === 1 && !lists[0].prefixItems && value.every((item) => typeof item !== 'object');
  const itemKinds = isPlainList ? kindsOf(lists[0].items ?? {}) : kinds;
  const words = [];
  for (const one of isPlainList ? value : [value]) {
    const isText = typeof one === 'string';
    // One value of a list that looks like a list is read as the whole.
    if (isText && (!staysText(one, itemKinds) || (isPlainList && /^\s*[{[]|^\s*(null|None)\s*$/.test(one)))) return [];
    const text = isText ? escaped(one) : jsonText(one);
    if (UNPRINTABLE.test(text) || text === '' || text !== text.trim()) return [];
    if (!isText && typeof one !== 'object' && itemKinds.includes('string')) return [];
    words.push(...(text.startsWith('-') ? [`${option}=${text}`] : [option, text]));
  }
  return words;
}

/**
 * The line for a notebook's cell.
 * @param {{name: string, input?: object}} type @param {object} input @param {{name?: string, tags?: string[], timeout?: number | string, retries?: number | string}} options
 */
export function asMagic(type, input, { name, tags = [], timeout, retries } = {}) {
  const root = type.input ?? {};
  const properties = root.properties ?? {};
  const words = [];
  const rest = {};
  const twins = new Set(Object.keys(properties).map(dashed));
  for (const [field, value] of Object.entries(input)) {
    const isAmbiguous = Object.keys(properties).filter((other) => dashed(other) === dashed(field)).length !== 1;
    const said = Object.hasOwn(properties, field) && !isAmbiguous ? fieldWords(field, value, properties[field], root) : [];
    if (said.length) words.push(...said);
    else rest[field] = value;
  }
  if (Object.keys(rest).length) words.unshift(jsonText(rest));
  const start = (option, value) => {
    const text = escaped(String(value));
    const word = `--${twins.has(option) && START_OPTIONS.includes(option) ? 'task-' : ''}${option}`;
    words.push(...(text.startsWith('-') ? [`${word}=${text}`] : [word, text]));
  };
  if (name) start('name', name);
  for (const tag of tags) start('tag', tag);
  if (timeout) start('timeout', timeout);
  if (retries) start('retries', retries);
  return ['%start_task', type.name, ...words.map(quoted)].join(' ');
}

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command for a shell, with the token in $TOKEN. @param {string} baseUrl of the server @param {string} json the input */
export function asCurl(baseUrl, taskType, json, options) {
  const address = baseUrl + startPath(taskType, options);
  return `curl -H "Authorization: token $TOKEN" ${shellQuoted(address)} -d ${shellQuoted(json)}`;
}
