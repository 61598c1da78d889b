// What can be done with the tasks that are selected, each with how many it means.
import { countOf, element, iconButton, write } from './elements.js';
import { actionsOf } from './task_row.js';

const VERBS = { pause: 'Pause', resume: 'Resume', abort: 'Abort', restart: 'Restart', forget: 'Forget' };

/**
 * `onAct` is told an action, `onAll` whether all that are listed are wanted, `onNone` that none is.
 * @returns {{node: HTMLElement, show: (chosen: object[], listedIds: string[]) => void}}
 */
export function makeSelectionBar({ onAct, onAll, onNone }) {
  const all = element('input', 'Row-check', { type: 'checkbox', 'aria-label': 'Select all that are listed' });
  const text = element('span', 'List-chosen');
  const buttons = Object.entries(VERBS).map(([action, verb]) => iconButton('List-verb', action, verb, verb));
  const none = iconButton('List-verb', 'close', 'Select none');
  const node = element('div', 'List-bar', { role: 'group', 'aria-label': 'Selected tasks' }, all, text, ...buttons, none);
  all.addEventListener('click', () => onAll(all.checked));
  none.addEventListener('click', onNone);
  for (const button of buttons) button.addEventListener('click', () => onAct(button.dataset.glyph));

  return {
    node,
    show(chosen, listedIds) {
      node.hidden = !chosen.length;
      write(text, `${chosen.length.toLocaleString()} selected`);
      const ids = new Set(chosen.map(({ taskId }) => taskId));
      const listed = listedIds.filter((id) => ids.has(id)).length;
      all.checked = listed > 0 && listed === listedIds.length;
      all.indeterminate = listed > 0 && listed < listedIds.length;
      for (const button of buttons) {
        const verb = VERBS[button.dataset.glyph];
        const count = chosen.filter((task) => actionsOf(task).includes(button.dataset.glyph)).length;
        button.hidden = !count;
        const label = `${verb} ${countOf(count)}`;
        if (button.title === label) continue;
        button.title = label;
        button.setAttribute('aria-label', label);
        write(button.lastElementChild, `${verb} ${count.toLocaleString()}`);
      }
    },
  };
}
