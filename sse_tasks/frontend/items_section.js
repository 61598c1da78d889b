// A task's partial results: a table that grows, and all of them as a file.
import { LineSplitter, PartFollower, readWhole } from './part_follower.js';
import { Section, actionButton, save, savedName } from './section.js';
import { csvOf, jsonOf, rowOf, shortCellText } from './item_rows.js';
import { formatNumber } from './figures.js';
import { WRITTEN, make, setText } from './task_card.js';

const FIRST_COLUMNS = 6;
const SHOWN_ROWS = 50;
const MORE_ROWS = 200;
const KEPT_ROWS = 2000;
const ITEMS_TAIL_BYTES = 1 << 18;
const EARLIER_BYTES = 1 << 18;
const SAVED_BYTES = 32 << 20;

/** @typedef {{number: number | undefined, cells: Record<string, unknown>}} Row */

/** @param {import('./section.js').SectionHost} host */
export function itemsSection(host) {
  const { hub, taskType, taskId, isLooking } = host;
  const section = new Section('Items', () => follower.look());
  const table = make('table', '-table');
  const frame = make('div', '-tableFrame', { tabindex: '0', role: 'group', 'aria-label': 'Items' });
  const head = document.createElement('thead');
  const body = document.createElement('tbody');
  const about = make('span', '-about');
  table.append(head, body);
  frame.append(table);

  /** @type {Row[]} the last that are known, in order */
  let rows = [];
  let begins = 0; // the byte at which the first of them begins
  let visible = SHOWN_ROWS;
  let splitter = new LineSplitter();
  /** @type {string[]} */
  let columns = [];
  let allColumns = new Set();
  /** @type {Map<Row, HTMLElement>} */
  let drawn = new Map();
  let count = 0;

  const read = (place) => hub.items(taskType, taskId, place);
  const follower = new PartFollower({
    read,
    isLookedAt: () => section.isOpen && isLooking(),
    tailBytes: ITEMS_TAIL_BYTES,
    isLines: true,
    onError: (message) => section.say(message),
    onText(text, anew, from) {
      if (anew) {
        rows = [];
        begins = from;
        allColumns = new Set();
        visible = SHOWN_ROWS;
        splitter = new LineSplitter();
      }
      const next = rows.length ? rows.at(-1).number : begins > 0 ? undefined : 0;
      const came = splitter.split(text).map((line, index) => ({
        number: next === undefined ? undefined : next + index + 1, cells: rowOf(line),
      }));
      rows.push(...came);
      if (rows.length > KEPT_ROWS && visible <= KEPT_ROWS) rows.splice(0, rows.length - KEPT_ROWS);
      draw();
    },
  });

  const earlier = actionButton(section, 'Show earlier ones', async () => {
    if (rows.length <= visible && begins > 0 && isFirstKnown()) {
      const after = Math.max(0, begins - EARLIER_BYTES);
      const { bytes } = await read({ after, limit: begins - after });
      const cut = after > 0 ? bytes.indexOf(10) + 1 : 0;
      const lines = new TextDecoder().decode(bytes.subarray(cut)).split('\n');
      begins = after + cut;
      rows.unshift(...lines.filter(Boolean).map((line) => ({ number: undefined, cells: rowOf(line) })));
      if (begins === 0) rows.forEach((row, index) => { row.number = index + 1; });
      drawn.clear();
      body.replaceChildren();
    }
    visible += MORE_ROWS;
    draw();
  });
  const saveAs = (ending, type, make) => async () => {
    const { pieces, isWhole } = await readWhole(read, SAVED_BYTES);
    const text = await new Blob(pieces).text();
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter(Boolean);
    save(new Blob(make(lines), { type }), savedName(host, ending));
    if (!isWhole) section.say(`The file has the first ${formatNumber(lines.length)} items. In Python all of them are in the task’s .items().`);
  };
  actionButton(section, 'Download CSV', saveAs('.csv', 'text/csv', csvOf));
  actionButton(section, 'JSON', saveAs('.json', 'application/json', jsonOf)).title = 'Download JSON';
  section.actions.append(about);
  section.panel.append(frame, section.problem, section.actions);

  /** Rows that were let go can't be found again by their byte. */
  const isFirstKnown = () => rows.length < KEPT_ROWS || visible > KEPT_ROWS;

  function draw() {
    for (const { cells } of rows) for (const name of Object.keys(cells)) allColumns.add(name);
    const first = [...allColumns].slice(0, FIRST_COLUMNS);
    if (first.join('\n') !== columns.join('\n')) {
      columns = first;
      drawn.clear();
      body.replaceChildren();
      const line = document.createElement('tr');
      line.append(make('td', undefined), ...columns.map((name) => {
        const cell = make('th', undefined, { scope: 'col' });
        cell.textContent = shortCellText(name);
        if (typeof rows[0]?.cells[name] === 'number') cell.className = 'sse-mod-number';
        return cell;
      }));
      head.replaceChildren(line);
    }
    const follows = frame.scrollTop + frame.clientHeight >= frame.scrollHeight - 8;
    const shown = rows.slice(-visible);
    const there = new Set(shown);
    for (const [row, node] of drawn) {
      if (there.has(row)) continue;
      node.remove();
      drawn.delete(row);
    }
    const isGrowing = body.childElementCount > 0 && drawn.has(shown[0]);
    if (!isGrowing) body.replaceChildren();
    for (const row of shown) {
      let node = drawn.get(row);
      if (!node) drawn.set(row, (node = drawRow(row)));
      if (node.parentNode !== body) body.append(node);
    }
    if (follows) frame.scrollTop = frame.scrollHeight;
    showAbout();
  }

  /** @param {Row} row */
  function drawRow({ number, cells }) {
    const line = document.createElement('tr');
    const place = make('td', '-rowNumber');
    place.textContent = number === undefined ? '' : formatNumber(number);
    line.append(place, ...columns.map((name) => {
      const value = Object.hasOwn(cells, name) ? cells[name] : undefined;
      const cell = make('td', undefined, WRITTEN);
      cell.textContent = shortCellText(value); // as it is, not in the locale: a year or an id is no amount
      if (typeof value === 'number') cell.className = 'sse-mod-number';
      if (cell.textContent.length > 24) cell.title = cell.textContent;
      return cell;
    }));
    return line;
  }

  function showAbout() {
    const shown = Math.min(visible, rows.length);
    const hidden = allColumns.size - columns.length;
    const parts = [];
    if (count > shown) parts.push(`the last ${formatNumber(shown)} of ${formatNumber(count)}`);
    if (hidden > 0) parts.push(`${formatNumber(hidden)} more ${hidden === 1 ? 'column' : 'columns'} in the files`);
    setText(about, parts.join(' · '));
    earlier.hidden = rows.length <= visible && (begins === 0 || !isFirstKnown());
  }

  return {
    section,
    show(task) {
      count = task.items ?? 0;
      section.show(Boolean(hub.items) && count > 0);
      section.setCount(count ? formatNumber(count) : '');
      follower.grown(task.itemsBytes ?? 0);
      showAbout();
    },
    look: () => follower.look(),
    dispose() {},
  };
}
