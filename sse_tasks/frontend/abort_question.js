// The question before an abort that loses work, of one task or of several.
import { countOf, element } from './elements.js';
import { titleOf, workedSeconds } from './task_row.js';
import { lossOf } from './task_words.js';

/** What an abort of these would lose, in words; nothing where that isn't worth a question. @param {number} now milliseconds */
export function lossOfAll(tasks, now) {
  const losses = tasks.map((task) => lossOf(task, workedSeconds(task, now), now)).filter(Boolean);
  if (!losses.length || tasks.length === 1) return losses[0] ?? '';
  const which = losses.length === tasks.length ? 'All' : `${losses.length.toLocaleString()} of`;
  return `${which} ${countOf(tasks.length)} would lose work that no checkpoint holds.`;
}

/** `ask(text, tasks, onAnswer)` tells `onAnswer` whether they are to be aborted. The focus is on what loses nothing. */
export function makeQuestion() {
  const node = element('div', 'List-result', { role: 'alertdialog', 'aria-label': 'Abort?' });
  const close = () => { node.hidden = true; };
  return {
    node, close,
    ask(text, tasks, onAnswer) {
      const label = tasks.length === 1 ? `Abort ${titleOf(tasks[0])}` : `Abort ${countOf(tasks.length)}`;
      const abort = element('button', 'List-chip sse-mod-bad', { type: 'button' }, label);
      const keep = element('button', 'List-chip', { type: 'button' }, 'Keep');
      const answer = (isWanted) => {
        close();
        onAnswer(isWanted);
      };
      abort.addEventListener('click', () => answer(true));
      keep.addEventListener('click', () => answer(false));
      node.onkeydown = (event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        answer(false);
      };
      node.replaceChildren(element('p', '', {}, text), abort, keep);
      node.hidden = false;
      keep.focus();
    },
  };
}
