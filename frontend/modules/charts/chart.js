/**
 * uPlot in the product's colours: a chart is a `<figure data-chart="ID_OF_JSON">` and the JSON beside it.
 *
 * @typedef {{name: string, tone: "pass" | "reject" | "hold" | "accent" | "muted", values: (number | null)[],
 *   bars?: boolean}} Series
 * @typedef {{times: number[], unit: string, series: Series[]}} ChartData  times in epoch seconds
 */

import uPlot from "../../vendor/uPlot.esm.js";

const LONGEST_CLOCK_SPAN_S = 36 * 3600;
const MINUTES_S = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * 60);
const DAYS_S = [1, 2, 7, 14, 28].map((days) => days * 86_400);

/** @type {WeakMap<HTMLElement, {plot: uPlot, drawn: string}>} */
const drawn = new WeakMap();

/**
 * Draw or refresh every chart of the page.
 * @param {ParentNode} [root]
 */
export function drawCharts(root = document) {
  for (const figure of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-chart]"))) {
    drawChart(figure);
  }
}

/** @param {HTMLElement} figure */
function drawChart(figure) {
  const text = document.getElementById(figure.dataset.chart ?? "")?.textContent ?? "";
  const before = drawn.get(figure);
  if (!text || before?.drawn === text) {
    return;
  }
  /** @type {ChartData} */
  const data = JSON.parse(text);
  const rows = /** @type {uPlot.AlignedData} */ ([data.times, ...data.series.map(({ values }) => values)]);
  if (before) {
    before.plot.setData(rows);
    before.drawn = text;
    showLatest(before.plot);
    return;
  }
  figure.replaceChildren();
  const plot = new uPlot(options(figure, data), rows, figure);
  drawn.set(figure, { plot, drawn: text });
  new ResizeObserver(() => plot.setSize(sizeOf(figure))).observe(figure);
  figure.addEventListener("mouseleave", () => showLatest(plot));
}

/**
 * Without a pointer the legend tells the newest values.
 * @param {uPlot} plot
 */
function showLatest(plot) {
  plot.setLegend({ idx: plot.data[0].length - 1 });
}

/**
 * @param {HTMLElement} figure
 * @param {ChartData} data
 * @returns {uPlot.Options}
 */
function options(figure, data) {
  const axis = {
    stroke: colour(figure, "--ink-muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour(figure, "--line"), width: 1 },
    ticks: { show: false },
  };
  const { times } = data;
  const words = times[times.length - 1] - times[0] > LONGEST_CLOCK_SPAN_S ? day : clock;
  return {
    ...sizeOf(figure),
    padding: [8, 24, 0, 0],
    hooks: { ready: [showLatest], setSize: [showLatest] },
    cursor: { drag: { x: false, y: false }, points: { size: 8 } },
    legend: { live: true },
    scales: { y: { range: (_, __, top) => [0, Math.max(1, top * 1.15)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 72, incrs: words === day ? DAYS_S : MINUTES_S, values: (_, splits) => splits.map(words) },
      { ...axis, size: 44, space: 48 },
    ],
    series: [
      { value: (_, at) => (at === null ? "–" : `${words === day ? `${day(at)} ` : ""}${clock(at)}`), label: "Time" },
      ...data.series.map((series) => line(figure, series, data.unit)),
    ],
  };
}

/**
 * @param {HTMLElement} figure
 * @param {Series} series
 * @param {string} unit
 * @returns {uPlot.Series}
 */
function line(figure, { name, tone, bars }, unit) {
  const stroke = colour(figure, `--${tone}`);
  return {
    label: name,
    stroke,
    width: bars ? 0 : 2,
    fill: bars ? stroke : undefined,
    paths: bars ? uPlot.paths.bars?.({ size: [0.6, 24] }) : undefined,
    points: { show: false },
    value: (_, value) => (value === null ? "–" : `${Math.round(value * 10) / 10} ${unit}`),
  };
}

/** @param {number} seconds */
function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
}

/** @param {number} seconds */
function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** @param {HTMLElement} figure */
function sizeOf(figure) {
  const legend = /** @type {HTMLElement | null} */ (figure.querySelector(".u-legend"));
  return {
    width: Math.max(120, figure.clientWidth),
    height: Math.max(80, figure.clientHeight - (legend?.offsetHeight || 32)),
  };
}

/**
 * A canvas needs the colour itself, not the name of the token.
 * @param {HTMLElement} figure
 * @param {string} token
 */
function colour(figure, token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  figure.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return computed;
}
