// The form that starts a task: fields from the task type's input schema, or the input as JSON, and the options of a start.
import { InvalidInput, startTask, taskTypes } from './task_calls.js';
import { asCurl, asMagic } from './copy_as.js';
import { element, iconButton, write } from './elements.js';
import { fillAll, makeFields, readAll } from './form_fields.js';
import { settings } from './server.js';


const LOAD_AGAIN_MS = 3000;
const MANY_DIGITS = /\d{16}/;
const STRINGS = /"(\\.|[^"\\])*"/g;

/** What every start can have: a field of the form each. */
const START_FIELDS = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 200, pattern: '\\S', title: 'Name', description: 'What to call this task' },
    tags: { type: 'array', items: { type: 'string' }, title: 'Tags', description: 'To find it by' },
    timeout: { type: 'number', exclusiveMinimum: 0, title: 'Time limit', description: 'Seconds after which it fails; time paused doesn’t count' },
    retries: { type: 'integer', minimum: 0, maximum: 100, title: 'Retries', description: 'Further attempts when its processes die or its time is over' },
  },
};

/**
 * Shows the form in `host`. `onStarted` is told the new task's type and id, `onClose` that a person wants it away.
 * @returns {{dispose: () => void, focus: () => void, refresh: () => void, choose: (taskType: string) => void}}
 */
export function mountForm(host, { hub, onStarted, onClose }) {
  const types = new Map();
  let chosen; // the task type
  let wished = ''; // its name, before the types are there
  let fields = [];
  let isJson = false;
  let key = ''; // of the start: the same for the same content, so that an answer that got lost starts nothing twice
  let keyFor = '';
  let isBusy = false;
  let again; // the next try to load the types
  let isFinal = false; // whether it was sent as it is: from then on what is missing is said, too

  const close = iconButton('Form-button', 'close', 'Close the form');
  const select = element('select', 'Form-input', { id: 'sse-tasks-form-type', 'aria-label': 'Task type' });
  const doc = element('p', 'Form-doc');
  const asForm = element('button', 'Form-mode', { type: 'button', 'aria-pressed': 'true' }, 'Form');
  const asJson = element('button', 'Form-mode', { type: 'button', 'aria-pressed': 'false' }, 'JSON');
  const modes = element('div', 'Form-modes', { role: 'group', 'aria-label': 'How to give the input' }, asForm, asJson);
  const body = element('div', 'Form-fields');
  const json = element('textarea', 'Form-input sse-mod-code', { rows: '8', spellcheck: 'false', 'aria-label': 'Input as JSON', 'aria-describedby': 'sse-tasks-form-json' });
  const jsonWrong = element('div', 'Form-wrong', { id: 'sse-tasks-form-json', role: 'status' });
  const startFields = makeFields(START_FIELDS, START_FIELDS);
  const more = element('details', 'Form-more', {}, element('summary', 'Form-summary', {}, 'Name, tags, limits'),
    element('div', 'Form-fields', {}, ...startFields.map(({ node }) => node)));
  const wrong = element('div', 'Form-note sse-mod-wrong', { role: 'alert' });
  const copied = element('div', 'Form-copied');
  const start = element('button', 'Form-start', { type: 'submit' }, 'Start');
  const magic = iconButton('Form-copy', 'copy', 'Copy as a line for a notebook', 'Copy as magic');
  const curl = iconButton('Form-copy', 'copy', 'Copy as a command for a shell', 'Copy as curl');
  const form = element('form', 'Form', { novalidate: true, 'aria-label': 'Start a task' },
    element('div', 'Form-header', {}, element('h2', 'Form-title', {}, 'Start a task'), close),
    select, doc, modes, body, json, jsonWrong, more, wrong,
    element('div', 'Form-actions', {}, start, magic, curl), copied);
  json.hidden = jsonWrong.hidden = wrong.hidden = copied.hidden = true;
  host.replaceChildren(form);

  const note = (text) => {
    write(wrong, text);
    wrong.hidden = !text;
  };

  async function load() {
    clearTimeout(again);
    if (!select.options.length) select.append(element('option', '', { value: '' }, 'Loading…'));
    let found;
    try {
      found = await taskTypes(hub);
    } catch (error) {
      note(error.message);
      if (types.size) return;
      select.replaceChildren(element('option', '', { value: '' }, 'The task types can’t be loaded; trying again…'));
      again = setTimeout(() => { if (form.checkVisibility()) load(); }, LOAD_AGAIN_MS); // one that is opened loads anyway
      return;
    }
    const before = JSON.stringify(chosen);
    types.clear();
    for (const type of found) types.set(type.name, type);
    const prompt = types.size ? 'Choose what to start…' : 'No task types are installed for this server';
    select.replaceChildren(element('option', '', { value: '' }, prompt),
      ...found.map(({ name, error }) => element('option', '', { value: name }, error ? `${name} (can’t be loaded)` : name)));
    const name = chosen?.name ?? (wished || (types.size === 1 ? found[0].name : ''));
    if (chosen && JSON.stringify(types.get(name)) === before) select.value = name; // what was typed stays
    else choose(name);
  }

  function choose(name) {
    wished = name;
    chosen = types.get(name);
    select.value = chosen ? name : '';
    isFinal = false;
    note(chosen?.error ?? '');
    write(doc, chosen?.doc ?? '');
    doc.title = chosen?.source ? `From ${chosen.source}` : '';
    fields = chosen?.input ? makeFields(chosen.input, chosen.input) : [];
    body.replaceChildren(...fields.map(({ node }) => node));
    if (chosen?.input && !fields.length) body.append(element('p', 'Form-help', {}, 'It takes no input.'));
    json.value = '';
    showMode(false);
    const isReady = Boolean(chosen?.input);
    for (const part of [modes, more, form.querySelector('.sse-tasks-Form-actions')]) part.hidden = !isReady;
    copied.hidden = true;
  }

  function showMode(wantsJson) {
    isJson = wantsJson;
    asForm.setAttribute('aria-pressed', String(!isJson));
    asJson.setAttribute('aria-pressed', String(isJson));
    body.hidden = isJson;
    json.hidden = jsonWrong.hidden = !isJson;
  }

  function switchMode(wantsJson) {
    if (wantsJson === isJson) return;
    note('');
    if (wantsJson) {
      json.value = JSON.stringify(given(), null, 2);
    } else {
      const { value, faults } = readJson();
      if (faults.length && value === undefined) {
        note(`The fields can’t be filled: the JSON ${faults[0].message}.`);
        return;
      }
      const before = readAll(fields);
      if (!fillAll(fields, value)) {
        fillAll(fields, before);
        note('There are values here that the fields can’t show: this start stays JSON.');
        return;
      }
    }
    showMode(wantsJson);
    check();
  }

  /** What stands in the fields, without what is no value at all. */
  const given = () => Object.fromEntries(Object.entries(readAll(fields)).filter(([, value]) => !(value instanceof Error)));

  function readJson() {
    const text = json.value.trim() || '{}';
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return { text, faults: [{ path: '', message: `can’t be read: ${error.message}` }] };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { text, faults: [{ path: '', message: 'must be an object: {…}' }] };
    return { text, value, faults: [] };
  }

  /** The input as it stands: its JSON, its value, and what is wrong with it. What a person typed as JSON goes as typed. */
  function read() {
    const options = readAll(startFields);
    const faults = startFields.flatMap((field) => field.faults(isFinal));
    if (isJson) {
      const found = readJson();
      return { json: found.text, value: found.value, options, faults: [...faults, ...found.faults], optionFaults: faults };
    }
    const value = readAll(fields);
    return { json: JSON.stringify(value), value, options, faults: [...faults, ...fields.flatMap((field) => field.faults(isFinal))], optionFaults: faults };
  }

  /** Shows each fault beside its field; what no field is there for stands above the buttons. */
  function show(faults, optionFaults = []) {
    const heard = new Set(startFields.flatMap((field) => field.hear(optionFaults)));
    for (const field of fields) for (const fault of field.hear(isJson ? [] : faults)) heard.add(fault);
    const rest = faults.filter((fault) => !heard.has(fault) && !optionFaults.includes(fault));
    const text = rest.map(({ path, message }) => `${path || (isJson ? 'The JSON' : 'The input')} ${message}`.replace(/\.?$/, '.')).join(' ');
    if (isJson) write(jsonWrong, text);
    json.setAttribute('aria-invalid', String(isJson && Boolean(text)));
    return isJson ? '' : text;
  }

  function check() {
    const found = read();
    show(found.faults, found.optionFaults);
    return found;
  }

  /** The input if nothing is wrong with it; else the first fault has the focus. */
  function checkFinally() {
    isFinal = true;
    const found = check();
    if (!found.faults.length) return found;
    if (found.optionFaults.length) more.open = true;
    note(`${found.faults.length === 1 ? 'One value needs' : `${found.faults.length} values need`} a look.`);
    (form.querySelector('[aria-invalid="true"]') ?? start).focus();
    return undefined;
  }

  async function submit() {
    if (isBusy || !chosen?.input) return;
    const found = checkFinally();
    if (!found) return;
    const content = JSON.stringify([chosen.name, found.json, found.options]);
    if (keyFor !== content) {
      keyFor = content;
      key = `form-${[...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join('')}`;
    }
    isBusy = true;
    note('');
    start.setAttribute('aria-disabled', 'true');
    write(start, 'Starting…');
    try {
      const taskId = await startTask(hub, chosen.name, found.json, found.options, key);
      key = keyFor = '';
      isFinal = false;
      onStarted(chosen.name, taskId);
    } catch (error) {
      const left = error instanceof InvalidInput && error.faults.length ? show(error.faults) : '';
      note(error instanceof InvalidInput && error.faults.length ? left || 'The server found what is marked above.' : error.message);
      form.querySelector('[aria-invalid="true"]')?.focus();
      if (error.status === 409 || error.status === 422) key = keyFor = '';
    }
    isBusy = false;
    start.removeAttribute('aria-disabled');
    write(start, 'Start');
  }

  async function copy(makeText) {
    const found = checkFinally();
    if (!found) return;
    note('');
    let text;
    try {
      text = makeText(found);
    } catch (error) {
      note(error.message);
      return;
    }
    let words = 'Copied';
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      words = 'To copy'; // not over plain http, or not allowed
    }
    copied.replaceChildren(element('span', 'Form-help', { role: 'status' }, `${words}:`), element('pre', 'Form-line', { tabindex: '0' }, text));
    copied.hidden = false;
    if (words !== 'Copied') getSelection().selectAllChildren(copied.lastElementChild);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
    else if (event.key === 'Escape') onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener('input', (event) => {
    copied.hidden = true;
    if (event.target !== select && chosen) {
      note('');
      check();
    }
  });
  select.addEventListener('change', () => choose(select.value));
  asForm.addEventListener('click', () => switchMode(false));
  asJson.addEventListener('click', () => switchMode(true));
  magic.addEventListener('click', () => copy((found) => {
    if (MANY_DIGITS.test(found.json.replace(STRINGS, ''))) throw new Error('Numbers of so many digits go as curl only.'); // parsed, they lost some
    return asMagic(chosen, found.value, found.options);
  }));
  curl.addEventListener('click', () => copy((found) => asCurl(settings().baseUrl, chosen.name, found.json, found.options)));
  close.addEventListener('click', () => onClose());
  choose('');
  load();

  return {
    dispose() {
      clearTimeout(again);
      form.remove();
    },
    refresh: load,
    focus: () => (chosen && fields.length ? fields[0].focus() : select.focus()),
    choose,
  };
}
