// What a task measures: a small chart for each name, which grows.
import { LineSplitter, PartFollower } from './part_follower.js';
import { Section } from './section.js';
import { Series, chartPath, decimated } from './line_chart.js';
import { formatNumber, formatValue } from './figures.js';
import { make, makeSvg, setText } from './task_card.js';

const CHART = { width: 300, height: 44, edge: 3, points: 300 };
const MOST_CHARTS = 24;
const METRICS_BYTES = 16 << 20;

/** One chart: its name, its line, its numbers. @param {string} name */
function newChart(name) {
  const figure = make('figure', '-chart');
  const caption = make('figcaption', '-chartName');
  const words = document.createElement('span');
  const last = make('span', '-chartLast');
  const range = make('div', '-chartRange');
  words.textContent = words.title = name;
  const { width, height, edge } = CHART;
  const svg = makeSvg('svg', {
    class: 'sse-tasks-TaskView-chartLine', viewBox: `${-edge} ${-edge} ${width + 2 * edge} ${height + 2 * edge}`,
    preserveAspectRatio: 'none', role: 'img',
  });
  const path = makeSvg('path', { 'vector-effect': 'non-scaling-stroke' });
  svg.append(path);
  caption.append(words, last);
  figure.append(caption, svg, range);
  return {
    figure,
    /** @param {Series} series */
    draw(series) {
      path.setAttribute('d', chartPath(decimated(series.points, CHART.points), width, height));
      const isKnown = series.highest >= series.lowest;
      const span = isKnown ? `${formatValue(series.lowest)} – ${formatValue(series.highest)}` : '';
      const points = `${formatNumber(series.count)} ${series.count === 1 ? 'point' : 'points'}`;
      setText(last, series.last === null ? '–' : formatValue(series.last));
      setText(range, [span, points].filter(Boolean).join(' · '));
      svg.setAttribute('aria-label', `${name}: last ${last.textContent}, ${span ? `from ${span.replace(' – ', ' to ')}, ` : ''}${points}`);
    },
  };
}

/** @param {import('./section.js').SectionHost} host */
export function metricsSection({ hub, taskType, taskId, isLooking }) {
  const section = new Section('Metrics', () => follower.look());
  const charts = make('div', '-charts');
  const about = make('div', '-about');
  section.panel.append(charts, about, section.problem);
  /** @type {Map<string, {series: Series, chart: ReturnType<typeof newChart> | undefined}>} */
  let all = new Map();
  let splitter = new LineSplitter();
  let isCut = false;

  const follower = new PartFollower({
    read: (place) => hub.metrics(taskType, taskId, place),
    isLookedAt: () => section.isOpen && isLooking(),
    tailBytes: METRICS_BYTES,
    isLines: true,
    onError: (message) => section.say(message),
    onText(text, anew, from) {
      if (anew) {
        all = new Map();
        splitter = new LineSplitter();
        isCut = from > 0;
        charts.replaceChildren();
      }
      const changed = new Set();
      for (const line of splitter.split(text)) {
        let point;
        try {
          point = JSON.parse(line);
        } catch {
          continue; // a line that a crash tore
        }
        if (typeof point?.name !== 'string') continue;
        const known = all.get(point.name) ?? { series: new Series(), chart: undefined };
        all.set(point.name, known);
        known.series.add(point.value, point.step, point.timestamp);
        changed.add(point.name);
      }
      for (const name of changed) draw(name);
      const left = all.size - MOST_CHARTS;
      setText(about, [isCut ? 'The latest part of them.' : '',
        left > 0 ? `${formatNumber(left)} more names. In Python they are in the task’s .metrics().` : ''].filter(Boolean).join(' '));
    },
  });

  /** @param {string} name */
  function draw(name) {
    const known = all.get(name);
    if (!known.chart) {
      if (charts.childElementCount >= MOST_CHARTS) return;
      known.chart = newChart(name);
      charts.append(known.chart.figure);
    }
    known.chart.draw(known.series);
  }

  return {
    section,
    show(task) {
      const count = task.metrics ?? 0;
      section.show(Boolean(hub.metrics) && count > 0);
      section.setCount(count ? formatNumber(count) : '');
      follower.grown(task.metricsBytes ?? 0);
    },
    look: () => follower.look(),
    dispose() {},
  };
}
