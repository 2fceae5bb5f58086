// Charts: what all have in common. Each is drawn by Chart.js, has a description, and a table of the
// same numbers.

const charts = [];

function chartDefaults() {
  const d = Chart.defaults;
  d.animation = false;
  d.color = css("--text");
  d.borderColor = css("--line");
  d.font.family = getComputedStyle(document.body).fontFamily;
  d.maintainAspectRatio = false;
  d.plugins.legend.display = false;
  d.plugins.tooltip.backgroundColor = css("--text");
  d.plugins.tooltip.titleColor = d.plugins.tooltip.bodyColor = css("--paper");
  d.plugins.tooltip.usePointStyle = true;
  d.interaction.intersect = false;
}

// A figure with a chart of `height` pixels and its table: { caption, head, rows }. Its replace(values, rows) puts other
// numbers into both: values are the datasets' data, as many as it has.
function chart({ title, note, height = 320, aspect, config, data }) {
  const numbers = (rows) => table(data.caption || title, data.head, rows);
  const canvas = element("canvas", { role: "img", "aria-label": `${title}. The numbers are in the table below.` });
  const box = element("div", { class: "canvas" }, canvas);
  box.style.height = aspect ? "auto" : `${height}px`;
  const figure = element("figure", {}, element("figcaption", {}, title), note ? element("p", { class: "quiet" }, note) : null, box,
    details(`Table: ${title}`, numbers(data.rows)));
  if (aspect) config.options = { ...config.options, maintainAspectRatio: true, aspectRatio: aspect };
  const own = { canvas, config };
  charts.push(own);
  figure.replace = (values, rows) => {
    values.forEach((v, i) => { config.data.datasets[i].data = v; });
    figure.querySelector(".scroll").replaceWith(numbers(rows));
    own.chart?.update("none");
  };
  return figure;
}

// Chart.js measures what it draws on, so that charts are made when their figures are on the page.
function drawCharts() {
  for (const c of charts) if (!c.chart && c.canvas.isConnected) c.chart = new Chart(c.canvas, c.config);
}
function dropCharts(within) {
  for (let i = charts.length - 1; i >= 0; i--)
    if (!within || within.contains(charts[i].canvas)) { charts[i].chart?.destroy(); charts.splice(i, 1); }
}

const axis = (text, more = {}) => ({ title: { display: true, text }, grid: { color: css("--line") }, ...more });
const line = (s, data, more = {}) => ({
  label: s.label, data, showLine: true, borderColor: s.colour, backgroundColor: s.colour, borderDash: s.dash,
  borderWidth: 2, pointStyle: s.point, pointRadius: 0, pointHoverRadius: 5, clip: 8, ...more,
});

// A thin dashed line to read others against, without marks.
const guide = (label, data) => ({ label, data, showLine: true, borderColor: css("--quiet"), borderWidth: 1, borderDash: [4, 4], pointRadius: 0, pointHoverRadius: 0 });

// The mark of a long line's model at some of its points, of others' elsewhere, so that colour does not stand alone.
function marked(c) {
  const n = c.dataset.data.length, every = Math.ceil(n / 8);
  return n < 40 || (c.dataIndex + Math.floor((c.datasetIndex * every) / 3)) % every === 0 ? 4 : 0;
}

// Lines of numbers over numbers: series are { label, colour, dash, point, data: [{ x, y }] }, `of` says what each is of.
function lineChart({ title, note, x, y, series, height, extra = [], scales = {}, radius = marked, of = "model", legend = false }) {
  return chart({
    title, note, height,
    config: {
      type: "scatter",
      data: { datasets: [...series.map((s) => line(s, s.data, { pointRadius: radius })), ...extra] },
      options: {
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis(x, scales.x), y: axis(y, scales.y) },
        plugins: { legend: { display: legend, position: "bottom", labels: { usePointStyle: true } }, tooltip: { callbacks: {
          title: (items) => (items.length ? `${x} ${short(items[0].parsed.x)}` : ""),
          label: (item) => `${item.dataset.label}: ${item.raw.note ?? item.parsed.y}`,
        } } },
      },
    },
    data: { head: [of, x, y], rows: lineRows(series) },
  });
}
const lineRows = (series) => thin(series.flatMap((s) => s.data.filter((d) => d.y !== null).map((d) => [s.label, short(d.x), short(d.y)])), 400);
// At most so many of a table's rows, evenly spread.
function thin(rows, most) {
  const step = Math.ceil(rows.length / most);
  return rows.filter((_, i) => i % step === 0);
}

// A score with its interval for each model, one below the other; `mark` is a value that all are compared with.
function intervalChart({ title, note, x, series, digits, mark, of = "model", interval = "95 % interval" }) {
  const label = (i) => series[i]?.label ?? "";
  return chart({
    title, note, height: 70 + 30 * series.length,
    config: {
      type: "scatter",
      data: { datasets: series.map((s, i) => line(s, [{ x: s.low, y: i }, { x: s.score, y: i }, { x: s.high, y: i }].filter((d) => isNumber(d.x)),
        { borderDash: [], pointRadius: (c) => (c.raw?.x === s.score ? 6 : 0), pointHoverRadius: 7 })).concat(isNumber(mark) ? [guide("", [{ x: mark, y: -0.5 }, { x: mark, y: series.length - 0.5 }])] : []) },
      options: {
        interaction: { mode: "nearest", axis: "y", intersect: false },
        scales: { x: axis(x), y: { min: -0.5, max: series.length - 0.5, reverse: true, grid: { display: false },
          afterBuildTicks: (a) => { a.ticks = series.map((_, i) => ({ value: i })); }, ticks: { callback: label, autoSkip: false } } },
        plugins: { tooltip: {
          filter: (item, i) => i === 0 && item.datasetIndex < series.length,
          callbacks: { label: (item) => { const s = series[item.datasetIndex]; return `${s.label}: ${s.score}${isNumber(s.low) ? ` [${s.low}, ${s.high}]` : ""}`; } },
        } },
      },
    },
    data: series.some((s) => isNumber(s.low))
      ? { head: [of, x, interval], rows: series.map((s) => [s.label, fixed(s.score, digits), `${fixed(s.low, digits)} to ${fixed(s.high, digits)}`]) }
      : { head: [of, x], rows: series.map((s) => [s.label, fixed(s.score, digits)]) },
  });
}

// Bars of several parts for each of the names.
function barChart({ title, note, x, names, parts, digits = 1 }) {
  const colours = okabeIto[dark() ? "dark" : "light"];
  return chart({
    title, note, height: 110 + 26 * names.length,
    config: {
      type: "bar",
      data: { labels: names, datasets: parts.map((p, i) => ({ label: p.label, data: p.data, backgroundColor: colours[i % colours.length] })) },
      options: {
        indexAxis: "y",
        interaction: { mode: "index", axis: "y", intersect: false },
        scales: { x: axis(x, { stacked: true }), y: { stacked: true, grid: { display: false } } },
        plugins: { legend: { display: parts.length > 1, position: "bottom" }, tooltip: { callbacks: { label: (i) => `${i.dataset.label}: ${short(i.parsed.x)}` } } },
      },
    },
    data: { head: ["model", ...parts.map((p) => p.label)], rows: names.map((n, i) => [n, ...parts.map((p) => fixed(p.data[i], digits))]) },
  });
}

// Names beside the points of a scatter's datasets that have one; Chart.js itself has no such labels.
const pointNames = {
  id: "pointNames",
  afterDatasetsDraw(c) {
    c.ctx.save();
    c.ctx.fillStyle = css("--text");
    c.ctx.font = `13px ${Chart.defaults.font.family}`;
    c.data.datasets.forEach((d, i) => {
      const at = d.named !== undefined ? c.getDatasetMeta(i).data[d.named] : null;
      if (!at) return;
      const left = at.x > c.chartArea.right - 90;
      c.ctx.textAlign = left ? "right" : "left";
      c.ctx.fillText(d.label, at.x + (left ? -10 : 10), at.y + (i % 2 ? 18 : -8));
    });
    c.ctx.restore();
  },
};

// Masses as a heat map of n x n cells, colours relative to `most`: names of rows and columns are { title, of: (i) => text }.
function heatMap({ title, note, plan, most, rows, columns }) {
  const n = plan.length, name = (those, i) => `${those.title} ${i + 1} ${those.of(i)}`.trim();
  const ticks = ({ title, of }) => ({ min: -0.5, max: n - 0.5, grid: { display: false }, title: { display: true, text: title },
    afterBuildTicks: (a) => { a.ticks = plan.map((_, i) => ({ value: i })); }, ticks: { callback: (_, i) => of(i) || i + 1, autoSkip: true, font: { size: 10 } } });
  const figure = chart({
    title, note, aspect: 1,
    config: {
      type: "scatter",
      data: { datasets: [{ label: title, data: cellsOf(plan), pointStyle: "rect", pointBorderWidth: 0, pointHoverBorderWidth: 2,
        pointRadius: (c) => side(c.chart, n), pointHoverRadius: (c) => side(c.chart, n), backgroundColor: (c) => `rgba(${css("--strip")}, ${((c.raw?.p ?? 0) / most).toFixed(3)})` }] },
      options: { interaction: { mode: "nearest", intersect: false }, scales: { x: ticks(columns), y: { ...ticks(rows), reverse: true } },
        plugins: { tooltip: { filter: (_, i) => i === 0, callbacks: { label: ({ raw }) => `${name(rows, raw.y)} to ${name(columns, raw.x)}: ${raw.p}` } } } },
    },
    data: { head: [`${rows.title} \\ ${columns.title}`, ...plan.map((_, i) => `${i + 1} ${columns.of(i)}`)], rows: heatRows(plan, rows) },
  });
  figure.style.maxWidth = "40rem";
  return figure;
}
const cellsOf = (plan) => plan.flatMap((row, i) => row.map((p, j) => ({ x: j, y: i, p })));
const heatRows = (plan, rows) => plan.map((row, i) => [`${i + 1} ${rows.of(i)}`, ...row.map(short)]);
// The radius of a square point that fills a cell: Chart.js gives it a side of the radius' square root of two.
function side(c, n) {
  const a = c.chartArea;
  return a ? Math.min(a.width, a.height) / n / Math.SQRT2 : 1;
}
