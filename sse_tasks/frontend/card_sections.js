// The folded parts of a card, for the one task that it shows.
import { outputSection, tracebackSection } from './output_section.js';
import { filesSection } from './files_section.js';
import { itemsSection } from './items_section.js';
import { metricsSection } from './metrics_section.js';
import { resultSection } from './result_section.js';

/**
 * @param {any} parts the card's elements
 * @param {import('./section.js').SectionHost & {onLastLine: (line: string) => void}} host
 */
export function cardSections(parts, host) {
  const result = resultSection(host);
  const fetched = [outputSection(host), itemsSection(host), metricsSection(host), filesSection(host)];
  const traceback = tracebackSection(host);
  const inRow = [...fetched, result];
  const all = [...inRow, traceback];
  parts.folds.replaceChildren(...inRow.map(({ section }) => section.button));
  parts.panels.replaceChildren(...inRow.map(({ section }) => section.panel));
  parts.traceback.replaceChildren(traceback.section.button, traceback.section.panel);

  return {
    /** @param {import('./task_words.js').Task} task @param {boolean} isServed whether there is somebody to fetch from */
    show(task, isServed) {
      for (const one of [...fetched, traceback]) {
        if (isServed) one.show(task);
        else if (!one.section.isOpen) one.section.show(false); // what is open keeps what it has
      }
      result.show(task);
    },
    look() {
      for (const { look } of all) look();
    },
    dispose() {
      for (const { dispose } of all) dispose();
    },
  };
}
