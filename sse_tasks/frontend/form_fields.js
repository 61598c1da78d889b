// The fields of a form, made from a JSON Schema: each knows what stands in it, what is wrong with that, and can be filled.
//
// A field has: node, path, read() → undefined where it was left alone, else the value, faults(isFinal) → [{path,
// message}] (what is missing counts only in the end), fill(value) → whether it can show it, and hear(faults), which shows
// those that are its own.
import { LONG_LIST, choiceSearch } from './choice_search.js';
import { childPath, countedOf, faultOf, formatWords, optionsOf, resolved } from './schema_check.js';
import { element, write } from './elements.js';

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;
/** A text that may be longer gets a box that grows. */
const SHORT_TEXT = 120;
/** Types that hold themselves, and what is nested deeper than this, are given as JSON. */
const DEEPEST_GROUP = 6;
let fieldCount = 0;

/** "Max pages" for `max_pages`. */
function labelOf(name, schema) {
  const words = schema.title ?? name.replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a number may be, in words. */
function rangeOf({ minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below }) {
  const least = minimum !== undefined ? `from ${minimum}` : above !== undefined ? `more than ${above}` : '';
  const most = maximum !== undefined ? `${least ? 'to' : 'up to'} ${maximum}` : below !== undefined ? `less than ${below}` : '';
  return [least, most].filter(Boolean).join(least.startsWith('more') || most.startsWith('less') ? ', ' : ' ');
}

/** How people give a value: {kind, schema of the value itself, isNullable}. */
function shapeOf(schema, root) {
  const options = optionsOf(schema, root);
  const values = options.filter(({ type }) => type !== 'null');
  const isNullable = values.length < options.length;
  const only = values.length === 1 ? values[0] : undefined;
  const shape = (kind, of = only) => ({ kind, schema: of ?? {}, isNullable });
  if (values.length && values.every((option) => option.enum ?? ('const' in option))) {
    return shape('choice', { enum: values.flatMap((option) => option.enum ?? [option.const]) });
  }
  if (!only || Array.isArray(only.type)) return shape('anything', schema);
  if (only.type === 'boolean') return shape('flag');
  if (only.type === 'integer' || only.type === 'number') return shape('number');
  if (only.type === 'string') return shape('text');
  if (only.type === 'array' && !only.prefixItems) {
    const items = optionsOf(only.items ?? {}, root);
    if (items.length === 1 && ['string', 'integer', 'number'].includes(items[0].type)) return shape('lines');
  }
  if (only.type === 'object' && Object.keys(only.properties ?? {}).length) return shape('group');
  return shape('json');
}

function asNumber(text) {
  return NUMBER.test(text) ? Number(text) : text;
}

/** What `text` may mean, as the magics read it: the first that fits. */
function anything(text, schema, root) {
  const given = text.trim();
  const meant = [];
  if (['null', 'true', 'false'].includes(given) || /^[[{"]/.test(given)) {
    try {
      meant.push(JSON.parse(given));
    } catch {
      // then it is text
    }
  }
  meant.push(asNumber(given), text);
  return meant.find((value) => !faultOf(schema, value, root)) ?? meant[0];
}

/**
 * The control and how it is read and filled, by what kind of value it is for.
 * @returns {{control: any, beside?: HTMLElement, read: () => any, fill: (value: any) => boolean}}
 */
function controlOf({ kind, schema, isNullable }, { id, root, isRequired, standard, whole }) {
  const placeholder = standard === undefined ? '' : standard === null ? 'none' : typeof standard === 'string' ? standard : JSON.stringify(standard);
  const attributes = { id, placeholder, autocomplete: 'off', spellcheck: 'false' };
  const text = (control, parse, print) => ({
    control,
    read: () => (control.value.trim() === '' ? undefined : parse(control.value)),
    fill(value) {
      const printed = value === undefined ? '' : print(value);
      if (printed === undefined) return false;
      control.value = printed;
      return true;
    },
  });
  if (kind === 'flag' && standard !== undefined && standard !== null && !isNullable) {
    const control = element('input', 'Form-check', { id, type: 'checkbox' });
    control.checked = standard;
    return { control, read: () => (control.checked === standard ? undefined : control.checked),
      fill: (value = standard) => { control.checked = value; return typeof value === 'boolean'; } };
  }
  if (kind === 'flag' || kind === 'choice') {
    const values = kind === 'flag' ? [true, false] : schema.enum;
    const name = (value) => (value === true ? 'yes' : value === false ? 'no' : String(value));
    const none = isRequired ? 'Choose…' : standard === undefined || standard === null ? 'none' : `${name(standard)} (default)`;
    if (values.length > LONG_LIST) return choiceSearch(values, name, { ...attributes, placeholder: none });
    const control = element('select', 'Form-input', { id }, element('option', '', { value: '' }, none),
      ...values.map((value, index) => element('option', '', { value: index }, name(value))));
    return { control, read: () => (control.value === '' ? undefined : values[control.value]),
      fill(value) {
        const index = value === undefined ? '' : values.indexOf(value);
        if (index !== -1) control.value = String(index);
        return index !== -1;
      } };
  }
  if (kind === 'number') {
    return text(element('input', 'Form-input', { ...attributes, type: 'text', inputmode: schema.type === 'integer' ? 'numeric' : 'decimal' }),
      (given) => asNumber(given.trim()), (value) => (typeof value === 'number' ? String(value) : undefined));
  }
  if (kind === 'text') {
    const asIs = (value) => (typeof value === 'string' && value.trim() ? value : undefined);
    if (schema.format === 'date') return text(element('input', 'Form-input', { ...attributes, type: 'date' }), (given) => given, asIs);
    if (schema.format || schema.pattern || schema.contentEncoding || schema.maxLength <= SHORT_TEXT) {
      const isUrl = /http/i.test(schema.pattern ?? '');
      return text(element('input', 'Form-input', { ...attributes, type: 'text', inputmode: isUrl ? 'url' : 'text' }), (given) => given.trim(),
        (value) => (asIs(value)?.trim() === value ? value : undefined));
    }
    return text(element('textarea', 'Form-input', { ...attributes, rows: '1' }), (given) => given, asIs);
  }
  if (kind === 'lines') {
    const items = optionsOf(schema.items, root)[0];
    const parse = (line) => (items.type === 'string' ? line : asNumber(line));
    return text(element('textarea', 'Form-input', { ...attributes, placeholder: Array.isArray(standard) ? standard.join('\n') : placeholder, rows: '2' }),
      (given) => given.split('\n').map((line) => line.trim()).filter(Boolean).map(parse),
      (value) => {
        if (!Array.isArray(value) || !value.length) return undefined;
        const lines = value.map(String);
        return lines.every((line, index) => line && line === line.trim() && !line.includes('\n') && parse(line) === value[index]) ? lines.join('\n') : undefined;
      });
  }
  if (kind === 'anything') {
    return text(element('textarea', 'Form-input', { ...attributes, rows: '1' }), (given) => anything(given, whole, root), (value) => {
      const printed = typeof value === 'string' ? value : JSON.stringify(value);
      return printed.trim() && JSON.stringify(anything(printed, whole, root)) === JSON.stringify(value) ? printed : undefined;
    });
  }
  return text(element('textarea', 'Form-input sse-mod-code', { ...attributes, rows: '2' }), (given) => {
    try {
      return JSON.parse(given);
    } catch (error) {
      return error;
    }
  }, (value) => JSON.stringify(value, null, 1));
}

function helpOf(kind, schema, value) {
  const words = [schema.description ?? value.description ?? ''];
  if (kind === 'number') words.push(rangeOf(value));
  if (kind === 'choice' && value.enum.length > LONG_LIST) words.push(`One of ${countedOf(value.enum)}: type a part of it`);
  if (kind === 'lines') words.push('One a line.');
  if (kind === 'text' && value.format !== 'date') words.push(formatWords(value.format) ?? (value.examples?.length ? `Like ${value.examples[0]}` : ''));
  if (kind === 'text' && value.format === 'date' && schema.default) words.push(`Default: ${schema.default}`); // no placeholder there
  if (kind === 'json') words.push({ array: 'As JSON: […]', object: 'As JSON: {"name": …}' }[value.type] ?? 'As JSON');
  return words.filter(Boolean).map((part) => part.replace(/\.?$/, '.')).map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join(' ');
}

function makeField(name, given, root, path, isRequired, within) {
  const schema = resolved(given, root) ?? {};
  const shape = shapeOf(schema, root);
  if (shape.kind === 'group') {
    const isNested = within.has(shape.schema.properties) || within.size > DEEPEST_GROUP;
    if (!isNested) return makeGroup(name, schema, shape.schema, root, path, isRequired, within);
    shape.kind = 'json';
  }
  fieldCount += 1;
  const id = `sse-tasks-field-${fieldCount}`;
  const { control, beside = '', read, fill } = controlOf(shape, { id, root, isRequired, standard: schema.default, whole: schema });
  const help = element('div', 'Form-help', { id: `${id}-help` }, helpOf(shape.kind, schema, shape.schema));
  const wrong = element('div', 'Form-wrong', { id: `${id}-wrong`, role: 'status' });
  control.setAttribute('aria-describedby', `${id}-wrong ${id}-help`);
  if (isRequired) control.setAttribute('aria-required', 'true');
  const label = element('label', 'Form-label', { for: id, title: path }, labelOf(name, schema));
  if (isRequired) label.append(element('span', 'Form-required', { 'aria-hidden': 'true' }, ' required'));
  const isCheck = control.type === 'checkbox';
  const node = element('div', `Form-field${isCheck ? ' sse-mod-check' : ''}`, { 'data-path': path }, ...(isCheck ? [control, label] : [label, control]), beside, wrong, help);
  if (!help.textContent) help.hidden = true;
  return {
    node, path, read, fill,
    faults(isFinal) {
      const value = read();
      if (control.validity.badInput) return [{ path, message: 'is no whole date' }]; // the browser gives nothing of it
      if (value === undefined) return isRequired && isFinal ? [{ path, message: 'is missing' }] : [];
      if (value instanceof Error) return [{ path, message: `is no JSON: ${value.message}` }];
      const fault = faultOf(schema, value, root, path);
      if (fault) return [fault];
      const isHuge = [value].flat().some((one) => typeof one === 'number' && (Number.isInteger(one) ? !Number.isSafeInteger(one) : !Number.isFinite(one)));
      return isHuge ? [{ path, message: 'has too many digits for a field: write it as JSON' }] : [];
    },
    hear(faults) {
      const own = faults.filter((fault) => fault.path === path || fault.path.startsWith(`${path}.`) || fault.path.startsWith(`${path}[`));
      write(wrong, own.map((fault) => sentence(fault, path, shape.kind === 'lines' ? control.value : undefined)).join(' '));
      control.setAttribute('aria-invalid', String(own.length > 0));
      node.classList.toggle('sse-mod-wrong', own.length > 0);
      return own;
    },
    focus: () => control.focus(),
  };
}

/** The number of the line that has the value of that index: empty lines have none. @param {string} text */
function lineOf(text, index) {
  return text.split('\n').flatMap((line, at) => (line.trim() ? [at + 1] : []))[index];
}

/**
 * A fault beside its field: "Must be at least 1, not 0.", and which line of `lines`, item or inner name where it is one of
 * several.
 */
function sentence({ path, message }, own, lines = undefined) {
  const rest = path.slice(own.length).replace(/^\./, '');
  const index = /^\[(\d+)\]$/.exec(rest)?.[1];
  const item = lines === undefined ? `Item ${Number(index) + 1}` : `Line ${lineOf(lines, Number(index))}`;
  const where = index ? item : rest; // a name is written as it is
  const text = where ? `${where} ${message}` : message.charAt(0).toUpperCase() + message.slice(1);
  return text + (/[.?!]$/.test(text) ? '' : '.');
}

function makeGroup(name, outer, schema, root, path, isRequired, within) {
  const fields = makeFields(schema, root, path, within);
  const node = element('fieldset', 'Form-group', { 'data-path': path }, element('legend', 'Form-label', { title: path }, labelOf(name, outer)));
  const text = outer.description ?? schema.description;
  if (text) node.append(element('div', 'Form-help', {}, text));
  const wrong = element('div', 'Form-wrong', { role: 'status' });
  node.append(wrong, ...fields.map((field) => field.node));
  const isGiven = () => isRequired || fields.some((field) => field.read() !== undefined);
  return {
    node, path,
    read: () => (isGiven() ? readAll(fields) : undefined),
    faults(isFinal) {
      if (!isGiven()) return [];
      return fields.flatMap((field) => field.faults(isFinal));
    },
    fill: (value) => (value === undefined || (typeof value === 'object' && value !== null)) && fillAll(fields, value ?? {}),
    hear(faults) {
      const heard = fields.flatMap((field) => field.hear(faults));
      const own = faults.filter((fault) => fault.path === path);
      write(wrong, own.map((fault) => sentence(fault, path)).join(' '));
      return [...heard, ...own];
    },
    focus: () => fields[0]?.focus(),
  };
}

/** The fields of an object, those that must be given first; `within` has the properties of the objects around it. */
export function makeFields(schema, root, path = '', within = new Set()) {
  const inner = new Set(within).add(schema.properties);
  const required = new Set(schema.required ?? []);
  const properties = Object.entries(schema.properties ?? {});
  properties.sort(([a], [b]) => Number(required.has(b)) - Number(required.has(a))); // what must be given first, else as the worker has them
  return properties.map(([name, one]) => Object.assign(makeField(name, one, root, childPath(path, name), required.has(name), inner), { name }));
}

/** What was given. */
export function readAll(fields) {
  const given = fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

/** Puts an object into fields; false, and nothing is changed that can be seen, where one of them can't show its value. */
export function fillAll(fields, object) {
  const names = new Set(fields.map(({ name }) => name));
  if (Object.keys(object).some((name) => !names.has(name))) return false;
  return fields.map((field) => field.fill(Object.hasOwn(object, field.name) ? object[field.name] : undefined)).every(Boolean);
}
