// How far the bars of cards and rows are filled.

/** Steps that come more often look smooth by themselves: their transitions would never end, and cost every frame. */
const SMOOTH_FROM_MS = 400;

/** The filled part of a bar. */
export class BarFill {
  /** @param {HTMLElement} bar @param {HTMLElement} fill */
  constructor(bar, fill) {
    this.bar = bar;
    this.fill = fill;
    this.width = '';
    /** @type {number | undefined} */
    this.movedAt = undefined;
  }

  /** @param {number | undefined} percentage undefined: nobody knows @param {boolean} isUnderWay */
  show(percentage, isUnderWay) {
    this.bar.classList.toggle('sse-mod-indeterminate', percentage === undefined && isUnderWay);
    const width = percentage === undefined ? '' : `${percentage}%`;
    if (width === this.width) return;
    const now = Date.now();
    this.bar.classList.toggle('sse-mod-smooth', this.movedAt !== undefined && now - this.movedAt >= SMOOTH_FROM_MS);
    this.movedAt = now;
    this.width = width;
    this.fill.style.width = width;
  }
}
