// The tools above the list: a search, which tasks by their state, and which by their type.
import { element, glyph } from './elements.js';
import { LIVE } from './live_tasks.js';

/** @type {[string, string, (task: {status: string}) => boolean][]} */
const FILTERS = [
  ['all', 'All', () => true],
  ['live', 'Live', ({ status }) => LIVE.has(status)],
  ['completed', 'Completed', ({ status }) => status === 'completed'],
  ['failed', 'Failed', ({ status }) => status === 'failed'],
  ['aborted', 'Aborted', ({ status }) => status === 'aborted'],
];

/** What a search looks through. */
function wordsOf(task) {
  return [task.name, task.taskType, task.taskId, task.message, task.error, task.code, task.origin?.notebook, ...(task.tags ?? []).map((tag) => `#${tag}`)]
    .filter(Boolean).join('\n').toLowerCase();
}

/**
 * `test()` gives a function that tells whether a task is wanted now; `offer(tasks)` says which types there are.
 * @returns {{node: HTMLElement, search: HTMLInputElement, test: () => (task: object) => boolean, offer: (tasks: Iterable<object>) => void, reset: () => void}}
 */
export function makeFilter({ onChange }) {
  let chosen = FILTERS[0][0];
  const search = element('input', 'List-search', { type: 'search', placeholder: 'Search', 'aria-label': 'Search tasks', spellcheck: 'false', autocomplete: 'off' });
  const chips = FILTERS.map(([name, label]) => element('button', 'List-chip', { type: 'button', 'data-filter': name }, label));
  const kinds = element('select', 'List-kinds', { 'aria-label': 'Task type' });
  const node = element('div', 'List-tools', {}, element('div', 'List-searchBox', {}, glyph('search'), search),
    element('div', 'List-chips', { role: 'group', 'aria-label': 'Which tasks' }, ...chips, kinds));

  function choose(name) {
    chosen = name;
    for (const chip of chips) chip.setAttribute('aria-pressed', String(chip.dataset.filter === name));
  }

  function offer(tasks) {
    const names = [...new Set([...tasks].map(({ taskType }) => taskType))].sort();
    if (kinds.value && !names.includes(kinds.value)) names.push(kinds.value);
    kinds.hidden = names.length < 2;
    const key = names.join(' ');
    if (kinds.dataset.for === key) return;
    kinds.dataset.for = key;
    const { value } = kinds;
    kinds.replaceChildren(element('option', '', { value: '' }, 'All types'), ...names.map((name) => element('option', '', { value: name }, name)));
    kinds.value = value;
  }

  function test() {
    const [, , isWanted] = FILTERS.find(([name]) => name === chosen);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return (task) => isWanted(task) && (!kinds.value || task.taskType === kinds.value)
      && (!words.length || words.every((word) => wordsOf(task).includes(word)));
  }

  for (const chip of chips) {
    chip.addEventListener('click', () => {
      choose(chip.dataset.filter);
      onChange();
    });
  }
  search.addEventListener('input', onChange);
  kinds.addEventListener('change', onChange);
  choose(chosen);
  return {
    node, search, test, offer,
    reset() {
      search.value = kinds.value = '';
      choose(FILTERS[0][0]);
    },
  };
}
