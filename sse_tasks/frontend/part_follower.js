// Reads a part of a task that grows (output, items, metrics) by pieces, and only while somebody looks at it.

/** @typedef {{bytes: Uint8Array, after: number}} Piece what was read, and the byte at which it begins */

const LEAST_MS = 500;
const PIECE_BYTES = 1 << 18;

export class PartFollower {
  /**
   * @param {object} options
   * @param {(place: {after: number, limit: number}) => Promise<Piece>} options.read
   * @param {() => boolean} options.isLookedAt
   * @param {(text: string, anew: boolean, from: number) => void} options.onText `anew`: forget what came before; the
   *   text begins with the line at the byte `from`
   * @param {(message: string) => void} options.onError an empty message: it works again
   * @param {number} options.tailBytes how much of what is there is read first
   * @param {boolean} [options.isLines] whether a line's rest means nothing without its beginning
   */
  constructor({ read, isLookedAt, onText, onError, tailBytes, isLines = false }) {
    this.read = read;
    this.isLookedAt = isLookedAt;
    this.onText = onText;
    this.onError = onError;
    this.tailBytes = tailBytes;
    this.isLines = isLines;
    this.isCut = false; // whether what is read begins inside a line
    this.decoder = new TextDecoder();
    this.size = 0;
    /** @type {number | undefined} the byte after the last one that was read */
    this.at = undefined;
    this.isBusy = false;
    this.next = 0;
  }

  /** What is there now has `size` bytes. @param {number} size */
  grown(size) {
    this.size = size;
    this.look();
  }

  /** Begins anew, with another tail. @param {number} tailBytes */
  restart(tailBytes) {
    this.tailBytes = tailBytes;
    this.at = undefined;
    this.look();
  }

  async look() {
    if (this.isBusy) return;
    this.isBusy = true;
    let wait = this.next - Date.now();
    while (this.isLookedAt() && this.size !== (this.at ?? 0)) {
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const came = await this.readPiece();
      this.next = Date.now() + LEAST_MS;
      if (!came) break; // the next snapshot looks again
      wait = this.size - this.at > PIECE_BYTES ? 0 : LEAST_MS;
    }
    this.isBusy = false;
  }

  async readPiece() {
    // Less is there than was read, since of a long output only head and tail are kept, or far more than is shown.
    const anew = this.at === undefined || this.size < this.at || this.size - this.at > 2 * this.tailBytes;
    const after = anew ? Math.max(0, this.size - this.tailBytes) : this.at;
    const tailBytes = this.tailBytes;
    if (this.size === after) { // emptied
      this.at = after;
      this.onText('', true, after);
      return false;
    }
    try {
      // Not beyond what is known: more than was known would look like less when the next snapshot comes.
      const piece = await this.read({ after, limit: Math.min(PIECE_BYTES, this.size - after) });
      if (tailBytes !== this.tailBytes) return true; // restarted meanwhile
      const begins = anew || piece.after !== after;
      if (begins) {
        this.decoder = new TextDecoder();
        this.isCut = piece.after > 0;
      }
      this.at = piece.after + piece.bytes.length;
      this.onError('');
      this.take(piece, begins);
      return piece.bytes.length > 0;
    } catch (reason) {
      this.onError(reason.message);
      return false;
    }
  }

  /** @param {Piece} piece @param {boolean} begins */
  take({ bytes, after }, begins) {
    const wasCut = this.isCut;
    let skipped = 0;
    if (wasCut) { // what comes before the first line's end is left out
      const newline = bytes.indexOf(10);
      this.isCut = newline < 0 && this.isLines;
      skipped = this.isCut ? bytes.length : newline + 1;
    }
    let text = this.decoder.decode(bytes.subarray(skipped), { stream: true });
    if (wasCut && !skipped) text = text.replace(/^\uFFFD+/, ''); // one long line, begun inside a character
    if (begins || wasCut || text) this.onText(text, begins || wasCut, after + skipped);
  }
}

/** Puts lines together from pieces of text. */
export class LineSplitter {
  constructor() {
    this.rest = '';
  }

  /** The lines that are whole by now. @param {string} text */
  split(text) {
    const lines = (this.rest + text).split('\n');
    this.rest = /** @type {string} */ (lines.pop());
    return lines.filter(Boolean);
  }
}

const WHOLE_PIECE_BYTES = 1 << 20;

/**
 * All that is there, up to `limit` bytes.
 * @param {(place: {after: number, limit: number}) => Promise<Piece>} read @param {number} limit
 */
export async function readWhole(read, limit) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const pieces = [];
  let at = 0;
  while (at < limit) {
    const { bytes, after } = await read({ after: at, limit: Math.min(WHOLE_PIECE_BYTES, limit - at) });
    if (after !== at || !bytes.length) return { pieces, isWhole: true }; // the end, or another file by now
    pieces.push(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
    at += bytes.length;
  }
  return { pieces, isWhole: false };
}
