// Items as rows: the columns that they share, a cell's text, and a spreadsheet's file of them.

/** In a spreadsheet a text that begins so is a formula, and would be run. */
const FORMULA = /^[=+\-@\t\r]/;
const LONGEST_TEXT_CELL = 200;
const MOST_CELLS = 20_000_000;

/** An item as named cells. @param {unknown} item @returns {Record<string, unknown>} */
export function cellsOf(item) {
  return item !== null && typeof item === 'object' && !Array.isArray(item) ? /** @type {Record<string, unknown>} */ (item) : { item };
}

/** What a line of JSON says; damage is taken as it is. @param {string} line @returns {unknown} */
function valueOf(line) {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}

/** A line of JSON as named cells. @param {string} line */
export function rowOf(line) {
  return cellsOf(valueOf(line));
}

/** Whatever a cell holds, as text; nested values as compact JSON. @param {unknown} value */
export function cellText(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** For a cell of a table: on one line, and not endless. @param {unknown} value */
export function shortCellText(value) {
  const text = cellText(value);
  return text.length > LONGEST_TEXT_CELL ? `${text.slice(0, LONGEST_TEXT_CELL)}…` : text;
}

/** One field of a CSV file: a text that a spreadsheet would take for a formula is marked as text. @param {unknown} value */
function csvField(value) {
  const text = cellText(value);
  const safe = typeof value === 'string' && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * A CSV file's pieces: a column for each name that occurs, in order of its first occurrence. Raises where that would be far
 * more cells than anybody can open.
 * @param {string[]} lines JSON
 */
export function csvOf(lines) {
  const rows = lines.map(rowOf);
  /** @type {Set<string>} */
  const names = new Set();
  for (const row of rows) for (const name of Object.keys(row)) names.add(name);
  const columns = [...names];
  if (rows.length * columns.length > MOST_CELLS) throw new Error(`These items have ${columns.length.toLocaleString()} different names: too many columns for a CSV file. The JSON has them all.`);
  // Spreadsheets take a file without this mark for one of the system's old encoding.
  return ['\uFEFF', `${columns.map(csvField).join(',')}\r\n`,
    ...rows.map((row) => `${columns.map((name) => csvField(Object.hasOwn(row, name) ? row[name] : undefined)).join(',')}\r\n`)];
}

/** A JSON file's pieces; the items stay as they were written, and a damaged line is a text. @param {string[]} lines JSON */
export function jsonOf(lines) {
  const items = lines.map((line) => (typeof valueOf(line) === 'string' ? JSON.stringify(valueOf(line)) : line));
  return ['[\n', items.join(',\n'), '\n]\n'];
}
