// The figures of a card: how far, how long, how fast, how long still, and when it ended.
import { ENDED, attemptOf, countsOf, percentageOf } from './task_words.js';
import { Pace, formatDuration, formatExactly, formatMoment, formatNumber, formatPercentage } from './figures.js';
import { setAttribute, setText } from './task_card.js';

/** What ten snapshots a second would make flicker is drawn anew at most this often. */
const SLOW_MS = 950;

/** Those of one task. */
export class CardFigures {
  /** @param {any} parts the card's elements @param {() => number} now the time by the clock that the task's times are of */
  constructor(parts, now) {
    this.parts = parts;
    this.now = now;
    this.pace = new Pace();
    /** @type {{at: number, texts: string[]}} */
    this.slow = { at: 0, texts: [] };
    this.drawnMoment = '';
    /** @type {number | undefined} seconds when last seen running: the snapshot of a pause doesn't say since when */
    this.held = undefined;
  }

  /** Seconds of work so far, where that is known. @param {import('./task_words.js').Task} task */
  elapsed(task) {
    const started = Date.parse(task.startedAt);
    if (Number.isNaN(started)) return undefined;
    if (task.status !== 'paused') {
      const until = task.endedAt ? Date.parse(task.endedAt) : this.now();
      this.held = Math.max(0, (until - started) / 1000 - (task.pausedSeconds ?? 0));
    }
    return this.held;
  }

  /** @param {import('./task_words.js').Task} task */
  draw(task) {
    const { progress = {}, status } = task;
    const value = percentageOf(progress);
    const seconds = this.elapsed(task);
    const figures = [attemptOf(task)];
    if (status === 'idle' && task.position > 1) figures.push(`place ${formatNumber(task.position)} in line`);
    if (!ENDED.has(status)) {
      figures.push(countsOf(progress) || (task.items && value === undefined ? `${formatNumber(task.items)} ${task.items === 1 ? 'item' : 'items'}` : ''));
      if (value !== undefined) figures.push(formatPercentage(value));
    }
    if (seconds !== undefined) figures.push(formatDuration(seconds));
    if (status === 'running' && seconds !== undefined) figures.push(...this.paceOf(task, value, seconds));
    setText(this.parts.numbers, figures.filter(Boolean).join(' · '));
    this.drawMoment(task);
  }

  /**
   * Rate and time left.
   * @param {import('./task_words.js').Task} task @param {number | undefined} value percentage @param {number} seconds
   */
  paceOf(task, value, seconds) {
    const { pace, slow } = this;
    const { current } = task.progress ?? {};
    const counted = Number.isFinite(current) ? current : value ?? task.items;
    if (!Number.isFinite(counted)) return [];
    pace.add(seconds, counted);
    if (Date.now() - slow.at < SLOW_MS) return slow.texts; // the page's own clock: the server's may be set anew
    slow.at = Date.now();
    slow.texts = [];
    const rate = pace.perSecond(seconds, counted, !task.restartOf && !(task.attempt > 1));
    if (!rate) return [];
    if (Number.isFinite(current) || value === undefined) {
      const perMinute = `${formatNumber(rate * 60)}/min`;
      slow.texts.push(rate * 60 < 1 ? `${formatNumber(rate * 3600)}/h` : rate < 0.1 ? perMinute : `${formatNumber(rate)}/s`);
    }
    const whole = Number.isFinite(current) ? current / (value / 100) : 100;
    const left = (whole - counted) / rate;
    if (value < 100 && Number.isFinite(left)) slow.texts.push(`${formatDuration(left)} left`);
    return slow.texts;
  }

  /** @param {import('./task_words.js').Task} task */
  drawMoment({ status, startedAt, endedAt }) {
    const key = `${startedAt} ${endedAt} ${status}`;
    if (key === this.drawnMoment && !ENDED.has(status)) return; // each snapshot comes here
    this.drawnMoment = key;
    const { figures, when } = this.parts;
    const [started, ended] = [Date.parse(startedAt), Date.parse(endedAt)];
    const isOver = ENDED.has(status) && !Number.isNaN(ended);
    setText(when, isOver ? formatMoment(ended, this.now()) : '');
    const said = [Number.isNaN(started) ? '' : `Started ${formatExactly(started)}`, isOver ? `ended ${formatExactly(ended)}` : ''];
    const title = said.filter(Boolean).join(', ');
    if (figures.title !== title) figures.title = title;
    if (isOver) setAttribute(when, 'datetime', endedAt);
  }
}
