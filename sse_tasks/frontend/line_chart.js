// A measured value over time, as a line that a small picture can hold.

/** @typedef {{x: number, y: number | null}} Point */

/**
 * At most about `most` points that keep the look of a line: of each stretch its lowest and its highest, in their order.
 * @param {Point[]} points @param {number} most @returns {Point[]}
 */
export function decimated(points, most) {
  if (points.length <= most) return points;
  const stretches = Math.max(1, Math.floor((most - 2) / 2));
  const kept = [points[0]];
  const inner = points.length - 2;
  for (let stretch = 0; stretch < stretches; stretch += 1) {
    const part = points.slice(1 + Math.floor((stretch * inner) / stretches), 1 + Math.floor(((stretch + 1) * inner) / stretches));
    const numbers = part.filter(({ y }) => y !== null);
    if (!numbers.length) {
      if (part.length) kept.push(part[0]); // a gap stays a gap
      continue;
    }
    let low = numbers[0];
    let high = numbers[0];
    for (const point of numbers) {
      if (point.y < low.y) low = point;
      if (point.y > high.y) high = point;
    }
    if (low === high) kept.push(low);
    else kept.push(...(part.indexOf(low) < part.indexOf(high) ? [low, high] : [high, low]));
  }
  kept.push(/** @type {Point} */ (points.at(-1)));
  return kept;
}

/**
 * The `d` of an svg path that shows the points in a box of that size; null is a gap.
 * @param {Point[]} points @param {number} width @param {number} height
 */
export function chartPath(points, width, height) {
  const numbers = points.filter(({ y }) => y !== null);
  if (!numbers.length) return '';
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of numbers) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  const across = (x) => (right > left ? ((x - left) / (right - left)) * width : width / 2);
  const down = (y) => (high > low ? (1 - (y - low) / (high - low)) * height : height / 2);
  let isOn = false;
  const parts = points.map(({ x, y }) => {
    if (y === null) {
      isOn = false;
      return '';
    }
    const place = `${across(x).toFixed(1)} ${down(y).toFixed(1)}`;
    const part = isOn ? `L${place}` : `M${place}h.01`; // a point of its own is a dot
    isOn = true;
    return part;
  });
  return parts.join('');
}

/** What is known of one measured value: its course, thinned out as it grows, and its last, lowest and highest number. */
export class Series {
  constructor() {
    /** @type {Point[]} */
    this.points = [];
    this.count = 0;
    /** @type {number | null} */
    this.last = null;
    this.bySteps = true; // else by time
    this.lowest = Infinity;
    this.highest = -Infinity;
  }

  /** @param {unknown} value a number; anything else is a gap @param {unknown} step @param {string} [timestamp] */
  add(value, step, timestamp) {
    const y = typeof value === 'number' && Number.isFinite(value) ? value : null;
    if (!this.count) this.bySteps = typeof step === 'number';
    const place = this.bySteps ? step : Date.parse(timestamp);
    const x = typeof place === 'number' && Number.isFinite(place) ? place : (this.points.at(-1)?.x ?? -1) + 1;
    this.points.push({ x, y });
    this.count += 1;
    this.last = y;
    if (y !== null) {
      this.lowest = Math.min(this.lowest, y);
      this.highest = Math.max(this.highest, y);
    }
    if (this.points.length > MOST_KEPT) this.points = decimated(this.points, MOST_KEPT / 2);
  }
}

const MOST_KEPT = 4000;
