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

// A figure with a chart of `height` pixels and its table: { caption, head, rows }.
function chart({ title, note, height = 320, aspect, config, data }) {
  const canvas = element("canvas", { role: "img", "aria-label": `${title}. The numbers are in the table below.` });
  const box = element("div", { class: "canvas" }, canvas);
  box.style.height = aspect ? "auto" : `${height}px`;
  const figure = element("figure", {}, element("figcaption", {}, title), note ? element("p", { class: "quiet" }, note) : null, box,
    details(`Table: ${title}`, table(data.caption || title, data.head, data.rows)));
  if (aspect) config.options = { ...config.options, maintainAspectRatio: true, aspectRatio: aspect };
  charts.push({ canvas, config });
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
  borderWidth: 2, pointStyle: s.point, pointRadius: 0, pointHoverRadius: 5, ...more,
});

// The mark of a long line's model at some of its points, of others' elsewhere, so that colour does not stand alone.
function marked(c) {
  const n = c.dataset.data.length, every = Math.ceil(n / 8);
  return n < 40 || (c.dataIndex + Math.floor((c.datasetIndex * every) / 3)) % every === 0 ? 4 : 0;
}

// Lines of numbers over numbers: series are { label, colour, dash, point, data: [{ x, y }] }.
function lineChart({ title, note, x, y, series, height, extra = [], scales = {}, radius = marked }) {
  return chart({
    title, note, height,
    config: {
      type: "scatter",
      data: { datasets: [...series.map((s) => line(s, s.data, { pointRadius: radius })), ...extra] },
      options: {
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis(x, scales.x), y: axis(y, scales.y) },
        plugins: { tooltip: { callbacks: {
          title: (items) => (items.length ? `${x} ${short(items[0].parsed.x)}` : ""),
          label: (item) => `${item.dataset.label}: ${item.raw.note ?? item.parsed.y}`,
        } } },
      },
    },
    data: { head: ["model", x, y], rows: thin(series.flatMap((s) => s.data.filter((d) => d.y !== null).map((d) => [s.label, short(d.x), short(d.y)])), 400) },
  });
}
// At most so many of a table's rows, evenly spread.
function thin(rows, most) {
  const step = Math.ceil(rows.length / most);
  return rows.filter((_, i) => i % step === 0);
}

// A score with its interval for each model, one below the other.
function intervalChart({ title, note, x, series, digits }) {
  const label = (i) => series[i]?.label ?? "";
  return chart({
    title, note, height: 70 + 30 * series.length,
    config: {
      type: "scatter",
      data: { datasets: series.map((s, i) => line(s, [{ x: s.low, y: i }, { x: s.score, y: i }, { x: s.high, y: i }].filter((d) => isNumber(d.x)),
        { borderDash: [], pointRadius: (c) => (c.raw?.x === s.score ? 6 : 0), pointHoverRadius: 7 })) },
      options: {
        interaction: { mode: "nearest", axis: "y", intersect: false },
        scales: { x: axis(x), y: { min: -0.5, max: series.length - 0.5, reverse: true, grid: { display: false },
          afterBuildTicks: (a) => { a.ticks = series.map((_, i) => ({ value: i })); }, ticks: { callback: label, autoSkip: false } } },
        plugins: { tooltip: {
          filter: (item, i) => i === 0,
          callbacks: { label: (item) => { const s = series[item.datasetIndex]; return `${s.label}: ${s.score}${isNumber(s.low) ? ` [${s.low}, ${s.high}]` : ""}`; } },
        } },
      },
    },
    data: { head: ["model", x, "95 % interval"], rows: series.map((s) => [s.label, fixed(s.score, digits), `${fixed(s.low, digits)} to ${fixed(s.high, digits)}`]) },
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
