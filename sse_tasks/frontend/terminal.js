// A small terminal: what captured output looks like after carriage returns, backspaces, cursor movements and colours.
// It knows lines, no screen: absolute positions mean nothing in a file and are passed over.

const PLAIN = /[^\x00-\x1f\x7f]+/y;
const CONTROL_SEQUENCE = /\x1b\[([0-?]*)[ -/]*([@-~])/y;
const SYSTEM_COMMAND = /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/y; // titles and links: only a link's text is shown
const OTHER_ESCAPE = /\x1b[ -/]*[0-Z\\^-~]/y;
/** What belongs to the character before it: accents, joiners, variation selectors. */
const COMBINING = /[\p{M}\u200d\ufe0e\ufe0f]/u;
const LONGEST_ESCAPE = 4096;
const LONGEST_LINE = 4000; // characters; what a line has beyond them is not kept
const LONGEST_CELL = 32; // a character with what belongs to it
const LONGEST_PARAMETERS = 200;
const SCREEN_ROWS = 100; // no movement goes further down
const TAB = 8;

/** @typedef {{classes: string, color: string, background: string}} Style */
/** @typedef {{cells: string[], styles: (Style | undefined)[], version: number}} Line */

/** The six levels of the 256 colours' cube. @param {number} level */
const cubeLevel = (level) => (level ? 55 + level * 40 : 0);

/**
 * A colour of `38;…` or `48;…`: a number for the sixteen that a theme decides, a CSS colour, or undefined.
 * @param {number[]} codes what follows the 38; what belongs to the colour is taken from it
 */
function extendedColor(codes) {
  const kind = codes.shift();
  if (kind === 2) {
    const channels = codes.splice(0, 3).map((value) => Math.min(255, value));
    return channels.length === 3 ? `rgb(${channels.join(' ')})` : undefined;
  }
  if (kind !== 5) return undefined;
  const index = codes.shift() ?? 0;
  if (index < 16) return index;
  if (index > 255) return undefined;
  if (index > 231) return `rgb(${Array(3).fill(8 + (index - 232) * 10).join(' ')})`;
  const cube = index - 16;
  return `rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(cubeLevel).join(' ')})`;
}

/** Output as a terminal would leave it: the last `rows` lines, each a run of styled characters. */
export class Terminal {
  /** @param {number} rows */
  constructor(rows = 500) {
    this.rows = rows;
    this.clear();
  }

  clear() {
    /** @type {Line[]} */
    this.lines = [{ cells: [], styles: [], version: 0 }];
    /** How many lines have left at the top. */
    this.dropped = 0;
    this.row = 0;
    this.column = 0;
    /** @type {{fg?: number | string, bg?: number | string, marks: Set<string>}} */
    this.pen = { marks: new Set() };
    /** @type {Style | undefined} */
    this.style = undefined;
    this.unfinished = ''; // an escape sequence that a piece's end has cut
  }

  /** @param {string} piece of the output; it may end anywhere */
  write(piece) {
    const text = this.unfinished + piece;
    this.unfinished = '';
    let at = 0;
    /** @param {RegExp} pattern */
    const take = (pattern) => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match) at = pattern.lastIndex;
      return match;
    };
    while (at < text.length) {
      if (this.lines.length > 2 * this.rows) this.dropOld(); // not at each line: of many thousands that takes long
      const plain = take(PLAIN);
      if (plain) {
        this.put(plain[0]);
      } else if (text[at] !== '\x1b') {
        this.control(text[at]);
        at += 1;
      } else {
        const sequence = take(CONTROL_SEQUENCE);
        if (sequence) this.command(sequence[2], sequence[1]);
        else if (!take(SYSTEM_COMMAND) && !take(OTHER_ESCAPE)) {
          if (text.length - at < LONGEST_ESCAPE && /^\x1b(?:\[[ -?]*|\][^\x07]*|[ -/]*)$/.test(text.slice(at))) {
            this.unfinished = text.slice(at);
            break;
          }
          at += 1; // damage: the rest of it is shown
        }
      }
    }
    this.dropOld();
  }

  /** Lets go of the lines that are too many, the oldest ones. */
  dropOld() {
    const tooMany = this.lines.length - this.rows;
    if (tooMany <= 0) return;
    this.lines.splice(0, tooMany);
    this.dropped += tooMany;
    this.row = Math.max(0, this.row - tooMany);
  }

  /** @param {string} text without control characters */
  put(text) {
    const line = this.lines[this.row];
    line.version += 1;
    for (const character of text) {
      const joins = character > '\u02ff' && COMBINING.test(character);
      if (joins && this.column > 0 && this.column <= line.cells.length) {
        if (line.cells[this.column - 1].length < LONGEST_CELL) line.cells[this.column - 1] += character;
      } else if (this.column < LONGEST_LINE) {
        while (line.cells.length < this.column) {
          line.cells.push(' ');
          line.styles.push(undefined);
        }
        line.cells[this.column] = character;
        line.styles[this.column] = this.style;
        this.column += 1;
      }
    }
  }

  /** @param {string} character */
  control(character) {
    if (character === '\r') this.column = 0;
    else if (character === '\b') this.column = Math.max(0, this.column - 1);
    else if (character === '\t') this.column = (Math.floor(this.column / TAB) + 1) * TAB;
    else if (character === '\n' || character === '\v' || character === '\f') {
      this.column = 0;
      this.moveDown(1);
    }
  }

  /** @param {number} count */
  moveDown(count) {
    this.row += Math.min(count, SCREEN_ROWS);
    while (this.lines.length <= this.row) this.lines.push({ cells: [], styles: [], version: 0 });
  }

  /** @param {string} name the sequence's last character @param {string} parameters */
  command(name, parameters) {
    const codes = parameters.slice(0, LONGEST_PARAMETERS).split(/[;:]/).map((code) => Number.parseInt(code, 10) || 0);
    const count = Math.max(1, codes[0]);
    const line = this.lines[this.row];
    if (name === 'm') this.select(codes);
    else if (name === 'A') this.row = Math.max(0, this.lines.length - this.rows, this.row - count);
    else if (name === 'B') this.moveDown(count);
    else if (name === 'C') this.column = Math.min(LONGEST_LINE, this.column + count);
    else if (name === 'D') this.column = Math.max(0, this.column - count);
    else if (name === 'E' || name === 'F') {
      this.command(name === 'E' ? 'B' : 'A', parameters);
      this.column = 0;
    }
    else if (name === 'G') this.column = Math.min(LONGEST_LINE, count - 1);
    else if (name === 'K') this.erase(line, codes[0]);
    else if (name === 'J' && codes[0] === 0) {
      this.erase(line, 0);
      for (const below of this.lines.slice(this.row + 1)) this.erase(below, 2);
    } else if (name === 'J' && codes[0] >= 2) { // a new screen: what stood there is over
      this.dropped += this.lines.length;
      this.lines = [{ cells: [], styles: [], version: 0 }];
      this.row = this.column = 0;
    }
  }

  /** @param {Line} line @param {number} part 0: from the cursor on, 1: up to it, 2: all */
  erase(line, part) {
    line.version += 1;
    const from = part === 0 ? this.column : 0;
    const to = part === 1 ? Math.min(this.column + 1, line.cells.length) : line.cells.length;
    if (to === line.cells.length) {
      line.cells.length = line.styles.length = Math.min(from, line.cells.length);
      return;
    }
    line.cells.fill(' ', from, to);
    line.styles.fill(undefined, from, to);
  }

  /** Colours and type: the sequence `m`. @param {number[]} codes */
  select(codes) {
    const { pen } = this;
    while (codes.length) {
      const code = /** @type {number} */ (codes.shift());
      if (code === 0) Object.assign(pen, { fg: undefined, bg: undefined, marks: new Set() });
      else if (MARKS[code]) pen.marks.add(MARKS[code]);
      else if (UNMARKS[code]) for (const mark of UNMARKS[code]) pen.marks.delete(mark);
      else if (code >= 30 && code <= 37) pen.fg = code - 30;
      else if (code >= 90 && code <= 97) pen.fg = code - 90 + 8;
      else if (code >= 40 && code <= 47) pen.bg = code - 40;
      else if (code >= 100 && code <= 107) pen.bg = code - 100 + 8;
      else if (code === 38) pen.fg = extendedColor(codes);
      else if (code === 48) pen.bg = extendedColor(codes);
      else if (code === 39) pen.fg = undefined;
      else if (code === 49) pen.bg = undefined;
    }
    const classes = [...pen.marks].map((mark) => `sse-mod-${mark}`);
    if (typeof pen.fg === 'number') classes.push(`sse-mod-fg${pen.fg}`);
    if (typeof pen.bg === 'number') classes.push(`sse-mod-bg${pen.bg}`);
    const color = typeof pen.fg === 'string' ? pen.fg : '';
    const background = typeof pen.bg === 'string' ? pen.bg : '';
    this.style = classes.length || color || background ? { classes: classes.join(' '), color, background } : undefined;
  }

  /** The last line that shows something. */
  lastLine() {
    for (const { cells } of [...this.lines].reverse()) {
      const text = cells.join('').trimEnd();
      if (text) return text;
    }
    return '';
  }
}

/** @type {Record<number, string>} */
const MARKS = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'struck' };
/** @type {Record<number, string[]>} */
const UNMARKS = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['struck'] };

/**
 * A line as runs of characters of one style; spaces at its end are left out.
 * @param {Line} line @returns {{text: string, style: Style | undefined}[]}
 */
export function runsOf({ cells, styles }) {
  /** @type {{text: string, style: Style | undefined}[]} */
  const runs = [];
  let end = cells.length;
  while (end > 0 && cells[end - 1] === ' ' && !styles[end - 1]) end -= 1;
  for (let column = 0; column < end; column += 1) {
    const last = runs.at(-1);
    if (last && last.style === styles[column]) last.text += cells[column];
    else runs.push({ text: cells[column], style: styles[column] });
  }
  return runs;
}

/** The last line that a terminal would show of some output's end. @param {string} text */
export function lastLineOf(text) {
  const terminal = new Terminal(50);
  terminal.write(text);
  return terminal.lastLine();
}
