// Whether a value fits a JSON Schema as task types have them, in the server's own sentences. What it doesn't know it
// passes over: the server has the last word.
import { isQuickPattern } from './pattern_cost.js';

const KINDS = {
  null: 'null', boolean: 'true or false', integer: 'a whole number', number: 'a number', string: 'text', array: 'a list', object: 'an object',
};
const DAY = String.raw`\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])`;
const TIME_OF_DAY = String.raw`(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?`;
/** @type {Record<string, [string, RegExp]>} */
const FORMATS = {
  date: ['a date like 2026-11-24', new RegExp(`^${DAY}$`)],
  'date-time': ['a date and time like 2026-11-24T03:58:00Z', new RegExp(`^${DAY}[Tt ]${TIME_OF_DAY}$`)],
  time: ['a time of day like 03:58:00', new RegExp(`^${TIME_OF_DAY}$`)],
  duration: ['a duration like PT90S', /^[+-]?P(?:T?\d)/i],
  uuid: ['a UUID', /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i],
  decimal: ['a decimal number', /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/],
};
const SHOWN_CHARACTERS = 60;
const SHOWN_CHOICES = 10;
const DEEPEST = 32;

/** The schema that `schema` refers to within `root`, with what stands beside the reference. */
export function resolved(schema, root) {
  let found = schema;
  for (let step = 0; typeof found?.$ref === 'string' && step < DEEPEST; step += 1) {
    const { $ref, ...beside } = found;
    const parts = $ref.replace(/^#\/?/, '').split('/').filter(Boolean);
    const target = parts.reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], root);
    found = { ...target, ...beside };
  }
  return found;
}

/**
 * The alternatives of a union, flat and resolved; one if it is none. `within` has the unions that this one is found in: one
 * that leads back to itself adds nothing.
 * @returns {any[]}
 */
export function optionsOf(schema, root, within = new Set()) {
  const found = resolved(schema, root);
  if (typeof found !== 'object' || found === null) return found === false ? [] : [{}];
  const branches = found.anyOf ?? found.oneOf;
  if (!branches) return [found];
  if (within.has(branches)) return [];
  const inner = new Set(within).add(branches);
  return branches.flatMap((branch) => optionsOf(branch, root, inner));
}

/** `items[0].price`: the path of what stands in `path` under `key`. */
export function childPath(path, key) {
  if (typeof key === 'number') return `${path}[${key}]`;
  if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(key)) return path ? `${path}[${JSON.stringify(key)}]` : key;
  return path ? `${path}.${key}` : key;
}

export function shown(value) {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS - 1)}…`;
}

function choices(schema) {
  return 'const' in schema ? [schema.const] : schema.enum;
}

/** How many there are, as the server writes it. @param {any[]} values */
export function countedOf(values) {
  return values.length.toLocaleString('en');
}

/** The words for each choice; for many in one, with the first of them. @param {any[]} given */
function choiceWords(given) {
  if (given.length <= SHOWN_CHOICES) return given.map(shown);
  return [`one of ${given.slice(0, SHOWN_CHOICES).map(shown).join(', ')}, … (${countedOf(given)} in all)`];
}

/** How a text of that format looks, in words; nothing for one that isn't known. @param {string} [format] */
export function formatWords(format) {
  return FORMATS[format]?.[0];
}

/** What a value of `schema` is, for a sentence: "a whole number or null". */
export function noun(schema, root) {
  const words = new Set();
  for (const option of optionsOf(schema, root)) {
    const kinds = [option.type ?? 'anything'].flat();
    const given = choices(option);
    const names = given ? choiceWords(given) : (FORMATS[option.format] ? [FORMATS[option.format][0]] : kinds.map((kind) => KINDS[kind] ?? kind));
    for (const name of names) words.add(name);
  }
  const list = [...words].sort((a, b) => Number(a === 'null') - Number(b === 'null'));
  return list.length > 1 ? `${list.slice(0, -1).join(', ')} or ${list.at(-1)}` : list[0] ?? 'nothing';
}

function isKind(kind, value) {
  switch (kind) {
    case 'null': return value === null;
    case 'boolean': return typeof value === 'boolean';
    case 'integer': return Number.isInteger(value);
    case 'number': return typeof value === 'number';
    case 'string': return typeof value === 'string';
    case 'array': return Array.isArray(value);
    case 'object': return typeof value === 'object' && value !== null && !Array.isArray(value);
    default: return true;
  }
}

function fitsKind(schema, value) {
  const given = choices(schema);
  if (given) return given.some((choice) => typeof choice === typeof value);
  if (schema.format === 'decimal' && typeof value === 'number') return true;
  return schema.type === undefined || [schema.type].flat().some((kind) => isKind(kind, value));
}

/** The first fault of `value`, {path, message}, or undefined. @returns {{path: string, message: string} | undefined} */
export function faultOf(schema, value, root, path = '') {
  const found = resolved(schema, root);
  if (found === false) return { path, message: 'must not be there' };
  if (typeof found !== 'object' || found === null) return undefined;
  if (found.anyOf ?? found.oneOf) return unionFault(found, value, root, path);
  const given = choices(found);
  const must = (words) => ({ path, message: `must be ${words}, not ${shown(value)}` });
  if (given) return given.includes(value) ? undefined : must(noun(found, root));
  if (!fitsKind(found, value)) return must(noun(found, root));
  if (Array.isArray(value)) return listFault(found, value, root, path);
  if (typeof value === 'object' && value !== null) return objectFault(found, value, root, path);
  if (typeof value === 'string') return textFault(found, value, path);
  if (typeof value === 'number') return numberFault(found, value, path);
  return undefined;
}

function unionFault(schema, value, root, path) {
  const options = optionsOf(schema, root);
  if (options.some((option) => !faultOf(option, value, root, path))) return undefined;
  const like = options.filter((option) => fitsKind(option, value));
  if (like.length === 1) return faultOf(like[0], value, root, path);
  return { path, message: `must be ${noun(schema, root)}, not ${shown(value)}` };
}

function objectFault(schema, value, root, path) {
  const properties = schema.properties ?? {};
  const missing = (schema.required ?? []).find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return { path: childPath(path, missing), message: 'is missing' };
  for (const [name, one] of Object.entries(value)) {
    const isKnown = Object.hasOwn(properties, name);
    if (!isKnown && schema.additionalProperties === false) return { path: childPath(path, name), message: 'is not known here' };
    const fault = faultOf(isKnown ? properties[name] : schema.additionalProperties ?? true, one, root, childPath(path, name));
    if (fault) return fault;
  }
  return sizeFault(schema, Object.keys(value).length, path, 'Properties', 'entries');
}

function listFault(schema, value, root, path) {
  const first = schema.prefixItems ?? [];
  for (const [index, one] of value.entries()) {
    const fault = faultOf(first[index] ?? schema.items ?? true, one, root, childPath(path, index));
    if (fault) return fault;
  }
  return sizeFault(schema, value.length, path, 'Items', 'items');
}

function textFault(schema, value, path) {
  const format = FORMATS[schema.format];
  if (format) return format[1].test(value) ? undefined : { path, message: `must be ${format[0]}, not ${shown(value)}` };
  const fault = sizeFault(schema, [...value].length, path, 'Length', 'characters');
  if (fault || schema.pattern === undefined || !isQuickPattern(schema.pattern, value.length)) return fault;
  let pattern;
  try {
    pattern = new RegExp(schema.pattern, 'u');
  } catch {
    return undefined; // of another dialect
  }
  const wanted = schema.examples?.length ? `be like ${schema.examples[0]}, not` : `match ${schema.pattern}, not be`;
  return pattern.test(value) ? undefined : { path, message: `must ${wanted} ${shown(value)}` };
}

function numberFault(schema, value, path) {
  /** @type {[string, (bound: number) => boolean, string][]} */
  const bounds = [
    ['minimum', (bound) => value >= bound, 'at least'], ['maximum', (bound) => value <= bound, 'at most'],
    ['exclusiveMinimum', (bound) => value > bound, 'more than'], ['exclusiveMaximum', (bound) => value < bound, 'less than'],
  ];
  for (const [keyword, holds, words] of bounds) {
    const bound = schema[keyword];
    if (typeof bound === 'number' && !holds(bound)) return { path, message: `must be ${words} ${bound}, not ${shown(value)}` };
  }
  const step = schema.multipleOf;
  if (Number.isInteger(step) && Number.isInteger(value) && value % step) return { path, message: `must be a multiple of ${step}, not ${shown(value)}` };
  return undefined;
}

function sizeFault(schema, size, path, keyword, things) {
  const [least, most] = [schema[`min${keyword}`], schema[`max${keyword}`]];
  if (size < least) return { path, message: `must have at least ${least} ${things}, not ${size}` };
  if (size > most) return { path, message: `must have at most ${most} ${things}, not ${size}` };
  return undefined;
}
