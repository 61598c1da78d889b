// Numbers, sizes, durations, moments and a task's pace as people read them, in the browser's own locale.

const NUMBERS = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const SHARES = new Intl.NumberFormat(undefined, { style: 'percent' });
const TWO_DIGITS = new Intl.NumberFormat(undefined, { minimumIntegerDigits: 2 });
const MEASURED = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
const TINY_OR_HUGE = new Intl.NumberFormat(undefined, { notation: 'scientific', maximumSignificantDigits: 3 });
const TIMES = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const DAYS_AND_TIMES = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
const EXACTLY = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @param {number} value */
export function formatNumber(value) {
  return NUMBERS.format(value);
}

/** A measured value: four digits that count, however small or large. @param {number} value */
export function formatValue(value) {
  const magnitude = Math.abs(value);
  return (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e9) ? TINY_OR_HUGE : MEASURED).format(value);
}

/** @param {number} percentage 0 to 100; never rounded up, so that 100 is the end */
export function formatPercentage(percentage) {
  return SHARES.format(Math.floor(percentage) / 100);
}

/** @param {number} seconds */
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours) return `${formatNumber(hours)} h ${TWO_DIGITS.format(minutes)} min`;
  return minutes ? `${formatNumber(minutes)} min ${TWO_DIGITS.format(rest)} s` : `${formatNumber(rest)} s`;
}

/** @param {number} bytes */
export function formatSize(bytes) {
  if (bytes === 1) return '1 byte';
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${formatNumber(bytes / 1024 ** step)} ${UNITS[step]}`;
}

/** The time of day, with the day where that is another one. @param {number} moment milliseconds @param {number} now */
export function formatMoment(moment, now) {
  const sameDay = new Date(moment).toDateString() === new Date(now).toDateString();
  return (sameDay ? TIMES : DAYS_AND_TIMES).format(moment);
}

/** @param {number} moment milliseconds */
export function formatExactly(moment) {
  return EXACTLY.format(moment);
}

/** Seconds of work that the pace is taken from: long enough to be steady, short enough to follow a change. */
const PACE_SECONDS = 60;
const LEAST_PACE_SECONDS = 5;

/** How fast a count grows, by the last minute of work. What was done before this was watched doesn't count. */
export class Pace {
  constructor() {
    /** @type {{seconds: number, value: number}[]} */
    this.samples = [];
  }

  /** @param {number} seconds of work so far @param {number} value the count so far */
  add(seconds, value) {
    const last = this.samples.at(-1);
    if (last && value < last.value) this.samples = []; // a further attempt goes back
    if (!last || value !== last.value) {
      if (last && seconds - last.seconds < 0.25) this.samples.pop(); // as many as four a second will do
      this.samples.push({ seconds, value });
    }
    while (this.samples.length > 2 && this.samples[1].seconds < seconds - PACE_SECONDS) this.samples.shift();
  }

  /**
   * The count's growth per second, or undefined where that isn't known yet.
   * @param {number} seconds @param {number} value @param {boolean} fromNothing whether the task began with nothing
   */
  perSecond(seconds, value, fromNothing) {
    const first = this.samples[0];
    const watched = first ? seconds - first.seconds : 0;
    if (watched >= LEAST_PACE_SECONDS && value > first.value) return (value - first.value) / watched;
    return fromNothing && seconds > 2 && value > 0 ? value / seconds : undefined;
  }
}
