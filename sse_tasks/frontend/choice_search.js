// A field for one of very many choices: one types a part of it, and the browser offers those that have it.
import { element } from './elements.js';

/** A list of more is nothing that one looks through. */
export const LONG_LIST = 200;
const OFFERED = 50;

/**
 * Reads as the choice that is written there in full, else as the text, which is then none of them.
 * @param {any[]} values @param {(value: any) => string} name @param {Record<string, string>} attributes of the field
 * @returns {{control: HTMLInputElement, beside: HTMLElement, read: () => any, fill: (value: any) => boolean}}
 */
export function choiceSearch(values, name, attributes) {
  const offered = element('datalist', '', { id: `${attributes.id}-choices` });
  const control = element('input', 'Form-input', { ...attributes, type: 'text', list: offered.id });
  const byName = new Map();
  for (const value of values) if (!byName.has(name(value))) byName.set(name(value), value);
  const names = [...byName.keys()];
  const lowered = names.map((one) => one.toLowerCase());

  function offer() {
    const part = control.value.trim().toLowerCase();
    const found = [];
    for (let index = 0; index < names.length && found.length < OFFERED; index += 1) {
      if (lowered[index].includes(part)) found.push(element('option', '', { value: names[index] }));
    }
    offered.replaceChildren(...found);
  }
  control.addEventListener('input', offer);
  control.addEventListener('focus', offer);

  return {
    control, beside: offered,
    read() {
      const given = control.value.trim();
      return given === '' ? undefined : byName.has(given) ? byName.get(given) : given;
    },
    fill(value) {
      if (value !== undefined && byName.get(name(value)) !== value) return false;
      control.value = value === undefined ? '' : name(value);
      return true;
    },
  };
}
