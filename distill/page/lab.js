// The lab: what `retort modes`, `exact` and `sinkhorn` show. Every number is the program's.

const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

// A slider over the steps of what is shown, `names` are theirs. It keeps its place when the page is drawn again. With
// `play` it begins at the first step and a button runs through all, at once unless less motion is asked for; else it
// begins at the last.
function slider({ key, label, names, play, show }) {
  const last = names.length - 1, fresh = page.choices[key] === undefined;
  const input = element("input", { type: "range", name: key, min: 0, max: last, step: 1 });
  const said = element("span", { "aria-hidden": "true" }); // aria-valuetext says it
  const set = (i) => {
    page.choices[key] = input.value = i;
    input.setAttribute("aria-valuetext", names[i]);
    said.textContent = names[i];
    show(i);
  };
  const slide = element("div", { class: "slider" }, element("label", {}, label + " ", input), said);
  if (play) {
    let timer = null;
    const button = element("button", { type: "button" }, "Play");
    const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
    const next = () => { if (!input.isConnected || +input.value >= last) stop(); else set(+input.value + 1); };
    const run = () => {
      if (+input.value >= last) set(0);
      timer = setInterval(next, 150);
      button.textContent = "Pause";
    };
    button.addEventListener("click", () => (timer ? stop() : run()));
    input.addEventListener("input", stop);
    slide.prepend(button);
    if (fresh && !calm()) setTimeout(run);
  }
  input.addEventListener("input", () => set(+input.value));
  set(Math.min(last, page.choices[key] ?? (play && !calm() ? 0 : last)));
  return slide;
}

// A logarithmic axis: powers of ten, of a short one 2 and 5 as well.
const logarithmic = { type: "logarithmic", ticks: { maxRotation: 0, autoSkipPadding: 12, callback: (v, _, all) => {
  const first = Number(v.toExponential()[0]), round = Number(v.toPrecision(1)) === Number(v.toPrecision(6));
  const told = round && (first === 1 || ([2, 5].includes(first) && all[all.length - 1].value < 1000 * all[0].value));
  return !told ? "" : v < 1e-3 || v >= 1e5 ? v.toExponential() : short(v);
} } };
const shownNames = (kind, names) => names.filter((n) => !page.hidden[kind].has(n));

// ---- Modes

const lossStyle = (name) => styleAt(page.data.divergences.findIndex((d) => d.name === name.split(":")[0]));
const lossNames = () => [...new Set([...page.data.shown, ...page.data.divergences.map((d) => d.name)])];

function training(section) {
  const d = page.data, names = shownNames("divergences", d.shown), L = d.length, teacher = d.teacher;
  if (!names.length) return void section.append(element("p", { class: "quiet" }, `Hidden by the boxes above: ${d.shown.join(", ")}.`));
  const starts = d.paths[names[0]][0].mass.length, lines = d.paths[names[0]][0].letters.length;
  const axes = { min: 0, max: 1 };
  const mass = (i) => names.map((n) => d.paths[n][i].mass.map(([x, y], s) => ({ x, y, note: `start ${s + 1}: ${x} on A^${L}, ${y} on B^${L}` })));
  const massRows = (i) => names.flatMap((n) => d.paths[n][i].mass.map(([x, y], s) => [`${n}, start ${s + 1}`, short(x), short(y)]));
  const modes = chart({
    title: `The student's mass on both modes, ${starts} of ${d.starts} starts`, height: 420,
    note: "Lower right: collapsed onto the big mode; upper left: onto the small one; near 0: the mass lies on neither, as averaging does. On the dashed diagonal nothing is off the modes.",
    config: {
      type: "scatter", plugins: [pointNames],
      data: { datasets: [
        ...names.map((n) => line({ ...lossStyle(n), label: n, dash: [] }, [], { showLine: false, backgroundColor: `${lossStyle(n).colour}66`, pointRadius: 5, pointHoverRadius: 7 })),
        { ...line({ label: "teacher", colour: css("--text"), point: "rectRounded", dash: [] }, [{ x: teacher.big_mode, y: teacher.small_mode, note: `${short(teacher.big_mode)} on A^${L}, ${short(teacher.small_mode)} on B^${L}` }], { pointRadius: 8, named: 0 }) },
        guide("no mass off the modes", [{ x: 0, y: 1 }, { x: 1, y: 0 }]),
      ] },
      options: {
        interaction: { mode: "nearest", axis: "xy", intersect: false },
        scales: { x: axis(`mass on A^${L}, the big mode`, axes), y: axis(`mass on B^${L}, the small mode`, axes) },
        plugins: { tooltip: { filter: (item, i) => i === 0 && item.raw.note, callbacks: { label: (item) => `${item.dataset.label}: ${item.raw.note}` } } },
      },
    },
    data: { head: ["divergence and start", `A^${L}`, `B^${L}`], rows: [] },
  });
  const end = element("div");
  let at = 0, letters = () => {};
  const show = (i) => {
    at = i;
    modes.replace(mass(i), massRows(i));
    letters(i);
    end.replaceChildren(table(`After ${short(d.frames[i])} steps: means over ${d.starts} starts`, ["", "big mode", "small mode", "off-mode", "coverage risk", "likelihood risk", "starts on big / small / neither"],
      [["teacher", teacher, ""], ...names.map((n) => { const m = d.paths[n][i].mean; return [n, m, `${m.starts.big} / ${m.starts.small} / ${m.starts.neither}`]; })]
        .map(([n, m, counts]) => [n, fixed(m.big_mode, 4), short(m.small_mode), fixed(m.off_mode, 4), fixed(m.coverage_risk, 4), fixed(m.likelihood_risk, 4), counts])));
  };
  const one = choice("start", "Start", Array.from({ length: lines }, (_, s) => [String(s), String(s + 1)]), (start, place) => {
    dropCharts(place);
    const points = (values) => values.map((y, x) => ({ x, y }));
    const series = (i) => names.map((n) => ({ ...lossStyle(n), label: n, data: points(d.paths[n][i].letters[start]) }));
    const own = { label: "teacher", colour: css("--text"), point: "rectRounded", dash: [], data: points(teacher.letters) };
    const figure = lineChart({ title: "Sequences by how many of their letters are B", x: "letters B", y: "probability", height: 420, of: "distribution",
      note: "0: A only, the big mode; all: B only, the small mode. Between them the teacher makes almost nothing: what lies there is averaged.",
      radius: 4, scales: { x: { ticks: { stepSize: 1 } }, y: axes }, series: [...series(at), own] });
    letters = (i) => { const now = [...series(i), own]; figure.replace(now.map((s) => s.data), lineRows(now)); };
    place.append(figure);
    drawCharts();
  });
  section.append(element("p", {}, d.facts), slider({ key: "step", label: "Step", names: d.frames.map(short), play: true, show }),
    element("div", { class: "charts" }, element("div", {}, modes), one), end);
}

const tuple = (q) => `(${q.map((x) => short(x)).join(", ")})`;

// Arrows are segments with a triangle at their end, apart from each other by a point that is none.
function fieldChart(f) {
  const d = page.data, style = lossStyle(f.name), corner = (label, x, y) => ({ label, data: [{ x, y }], pointRadius: 0, pointHoverRadius: 0, named: 0 });
  const arrows = f.field.flatMap((a) => {
    const [x, y] = a.from, [u, v] = a.to, says = [`q ${tuple(a.q)}: ${f.name} ${a.loss}`, `dq/dt ${tuple(a.flow)}`];
    return [{ x, y, says }, { x: u, y: v, says, turn: (Math.atan2(u - x, v - y) * 180) / Math.PI, still: u === x && v === y }, { x: NaN, y: NaN }];
  });
  return chart({
    title: `${f.name}: where its gradient moves the student`, aspect: 1.14,
    note: `D = ${f.formula}. Lengths are like the root of |dq/dt|, so that weak arrows are seen.`,
    config: {
      type: "scatter", plugins: [pointNames],
      data: { datasets: [
        { label: f.name, data: arrows, showLine: true, borderColor: style.colour, backgroundColor: style.colour, borderWidth: 1.5, pointStyle: "triangle",
          pointRadius: (c) => (c.raw?.turn === undefined || c.raw.still ? 0 : 4), pointRotation: (c) => c.raw?.turn ?? 0, pointHoverRadius: 6 },
        { label: "teacher", data: [{ x: d.p_at[0], y: d.p_at[1], says: [`teacher ${tuple(d.p)}`] }], pointStyle: "rectRounded", pointRadius: 7, backgroundColor: css("--text"), borderColor: css("--text"), named: 0 },
        guide("triangle", [{ x: 0, y: 0 }, { x: 1, y: 0 }, { x: 0.5, y: Math.sqrt(3) / 2 }, { x: 0, y: 0 }]),
        corner("only A", 0, -0.01), corner("only the rest", 0.5, Math.sqrt(3) / 2), corner("only B", 1, -0.01),
      ] },
      options: {
        interaction: { mode: "nearest", axis: "xy", intersect: false },
        scales: { x: { display: false, min: -0.06, max: 1.06 }, y: { display: false, min: -0.06, max: 0.92 } },
        plugins: { tooltip: { filter: (item, i) => i === 0 && item.raw.says, callbacks: { label: (item) => item.raw.says } } },
      },
    },
    data: { head: ["q of A, B, rest", f.name, "dq/dt"], rows: f.field.map((a) => [tuple(a.q), short(a.loss), tuple(a.flow)]) },
  });
}

function field(section) {
  const all = page.data.divergences, options = all.map((f) => [f.name, f.name]);
  page.choices["field right"] ??= "rkl";
  const one = (key, label) => choice(key, label, options, (name, place) => {
    dropCharts(place);
    place.append(fieldChart(all.find((f) => f.name === name)));
    drawCharts();
  });
  section.append(element("p", {}, `A vocabulary of three tokens: each corner is all mass on one, the teacher is at ${tuple(page.data.p)}. An arrow begins at a student q and points where a small step against the gradient of its logits takes it: dq/dt = (diag(q) − q qᵀ)(−dD/dz).`),
    element("div", { class: "charts" }, one("field left", "Left divergence"), one("field right", "Right divergence")));
}

// Every divergence that is not hidden, as a line over xs.
const lossLines = (xs, key) => page.data.divergences.filter((f) => !page.hidden.divergences.has(f.name))
  .map((f) => ({ ...lossStyle(f.name), label: f.name, data: xs.map((x, i) => ({ x, y: f[key][i] })) }));

function dropped(section) {
  const d = page.data;
  section.append(lineChart({ title: `|gradient| of a token that the teacher gives ${d.p[1]} and the student q`, x: "q", y: "|dD/dz|", height: 440, of: "divergence",
    note: `A vocabulary of two tokens. Left, where the student has dropped the token: the gradient of kl stays, p − q; those that fall with q do not bring it back. Boxes above show further divergences.`,
    scales: { x: logarithmic, y: logarithmic }, series: lossLines(d.dropped_q, "dropped") }));
}

function temperature(section) {
  const d = page.data, tokens = ["A", "B", "rest"];
  const norms = (key, y, note) => lineChart({ title: `${y} against T`, x: "temperature", y, note, of: "divergence", scales: { x: logarithmic, y: logarithmic }, series: lossLines(d.temperatures, key) });
  section.append(element("p", {}, `The teacher ${tuple(d.p)} and a student that has collapsed, ${tuple(d.student)} at temperature 1, both divided by T.`),
    element("div", { class: "charts" },
      norms("norms", "norm of the gradient", "In the student's logits, as the loss gives it."),
      norms("scaled_norms", "T² times the norm", "Where T is large it no longer depends on T: there each smooth divergence has the gradient of kl times a constant. tvd has a kink, and goes on growing."),
      lineChart({ title: "The teacher's softened target", x: "temperature", y: "probability", of: "token", legend: true, scales: { x: logarithmic, y: { min: 0, max: 1 } },
        series: tokens.map((label, v) => ({ ...styleAt(v), label, data: d.temperatures.map((x, i) => ({ x, y: d.targets[i][v] })) })) })));
}

// ---- Exact

const sequenceDivergences = () => ["kl", "rkl", "js", "tvd"].filter((n) => page.data.divergences[n]);

function values(section) {
  const d = page.data, exact = d.enumerated ? "exact" : "estimate";
  const series = sequenceDivergences().flatMap((n) => {
    const v = d.divergences[n];
    return [
      { ...styleAt(0), label: `${n}: ${exact}`, score: v.exact, low: v.low, high: v.high },
      { ...styleAt(1), label: `${n}: step-wise`, score: v.stepwise, low: v.stepwise_low, high: v.stepwise_high },
      { ...styleAt(2), label: `${n}: step-wise, exact mixture`, score: v.stepwise_exact_mixture },
    ].filter((s) => isNumber(s.score));
  });
  section.append(element("p", {}, d.facts), intervalChart({ title: "Sequence-level and step-wise values", x: "nats; tvd has no unit", series, digits: 6, of: "divergence",
    note: "●: of whole sequences; ▲: what step-wise training computes in expectation, equal or an upper bound; ■: with the sequence's own mixture, equal." }));
}

function gradients(section) {
  const names = sequenceDivergences().filter((n) => isNumber(page.data.divergences[n].grad_cosine));
  if (!names.length) return false;
  const one = (key, x, mark) => intervalChart({ title: `Gradients, step-wise against exact: ${x}`, x, mark, digits: 4, of: "divergence",
    series: names.map((n, i) => ({ ...styleAt(i), label: n, score: page.data.divergences[n][key] })) });
  section.append(element("p", {}, "In the student's distinct rows; the dashed line is 1: the same direction, the same length."),
    element("div", { class: "charts" }, one("grad_cosine", "cosine", 1), one("grad_norm_ratio", "norm ratio", 1)));
}

function estimators(section) {
  const all = list(page.data.estimators);
  if (!all.length) return false;
  const targets = [...new Set(all.map((e) => e.target))];
  section.append(choice("target", "Target", targets.map((t) => [t, t]), (target, place) => {
    dropCharts(place);
    const own = all.filter((e) => e.target === target), exact = own[0].exact;
    place.append(intervalChart({ title: `Estimators of ${target}: mean, and spread of one sequence's estimate`, x: "nats", digits: 4, mark: exact, of: "estimator", interval: "mean ± standard deviation",
      note: `Point: mean; line: one standard deviation to each side; dashed: ${short(exact)}, ${page.data.enumerated ? "the exact value; a mean beside it is biased" : "the estimate they are compared with"}.`,
      series: own.map((e, i) => ({ ...styleAt(i), label: e.name, score: e.mean, low: e.low, high: e.high })) }));
    drawCharts();
  }), table("All estimators, in nats; rows: the teacher's probabilities read for one sequence", ["estimator", "exact", "mean", "bias", "std", "rows"],
    all.map((e) => [`${e.target}: ${e.name}`, fixed(e.exact, 4), fixed(e.mean, 4), short(e.bias), fixed(e.std, 4), fixed(e.rows, 2)])));
}

// ---- Sinkhorn

const epsStyle = (eps) => styleAt(page.data.eps.indexOf(eps));
const rowOf = (e, i) => page.data.rows[e * page.data.iters.length + i];

function transportPlan(section) {
  const d = page.data, n = d.rows[0].plan.length, of = () => "", rows = { title: "student", of };
  const figure = heatMap({ title: `Transport plan${n < d.batch ? `, the first ${n} of ${d.batch} rows` : ` of ${n} rows`}`, plan: d.rows[0].plan, most: d.most, rows, columns: { title: "teacher", of },
    note: `Rows: the student's distributions; columns: the teacher's. The stronger the colour, the more mass; the same for all of the sweep, at most ${short(d.most)}. Smaller eps: a sharper plan, and more iterations until its rows have their mass.` });
  const says = element("p"), at = { e: 0, i: 0 };
  const show = (what) => (to) => {
    at[what] = to;
    const r = rowOf(at.e, at.i);
    figure.replace([cellsOf(r.plan)], heatRows(r.plan, rows));
    says.textContent = `eps ${short(r.eps)}, ${short(r.iters)} iterations: ⟨P, C⟩ ${short(r.sharp)}; marginal errors (L1) ${short(r.row_error)} of rows, ${short(r.column_error)} of columns; duality gap ${short(r.gap)}.`;
  };
  section.append(element("p", {}, `${d.facts}.`), slider({ key: "eps", label: "eps", names: d.eps.map(short), show: show("e") }),
    slider({ key: "iterations", label: "Iterations", names: d.iters.map(short), show: show("i") }), says, figure);
}

// A column of the table over the iterations, a line for each eps.
function overIterations(key, title, y, scales) {
  const d = page.data;
  return lineChart({ title, x: "iterations", y, of: "eps", scales: { x: logarithmic, ...scales },
    series: d.eps.map((eps, e) => ({ ...epsStyle(eps), label: `eps ${short(eps)}`, eps, data: d.iters.map((x, i) => ({ x, y: rowOf(e, i)[key] })) })).filter((s) => !page.hidden.eps.has(short(s.eps))) });
}

function convergence(section) {
  const columns = [["sharp", "⟨P, C⟩"], ["regularised", "regularised"], ["debiased", "debiased"], ["row_error", "rows off"], ["column_error", "columns off"], ["gap", "gap"], ["envelope_cosine", "envelope cosine"], ["implicit_cosine", "implicit cosine"]];
  section.append(element("p", {}, "How far the plan is from the optimum. The columns' marginal is exact to rounding. A plan whose marginals are off is not feasible, so that its gap may be negative: shown is its size. What is 0 has no place on these axes; the tables have it."),
    element("div", { class: "charts" }, overIterations("row_error", "Error of the rows' marginal", "L1 error", { y: logarithmic }), overIterations("gap_size", "Size of the duality gap", "|gap|", { y: logarithmic })),
    details("Table: the sweep", table("The sweep over eps and iterations", ["eps, iterations", ...columns.map((c) => c[1])], page.data.rows.map((r) => [`${short(r.eps)}, ${short(r.iters)}`, ...columns.map(([key]) => short(r[key]))]))));
}

function cosines(section) {
  section.append(element("p", {}, "Cosine to the unrolled gradient in the student's logits, of the same value. 1: the iterations have converged. Where the implicit gradient's system has not, it has no point."),
    element("div", { class: "charts" }, overIterations("envelope_cosine", "Envelope gradient of the regularised value", "cosine", { y: { max: 1 } }), overIterations("implicit_cosine", "Implicit gradient of ⟨P, C⟩", "cosine", { y: { max: 1 } })));
}

function transportValues(section) {
  const d = page.data, kinds = [["sharp", "⟨P, C⟩"], ["regularised", "regularised"], ["debiased", "debiased"]];
  page.choices["values iterations"] ??= String(d.iters.length - 1);
  section.append(choice("values iterations", "Iterations", d.iters.map((n, i) => [String(i), short(n)]), (i, place) => {
    dropCharts(place);
    place.append(lineChart({ title: `Values after ${short(d.iters[i])} iterations`, x: "eps", y: "value", of: "value", legend: true, scales: { x: logarithmic },
      series: kinds.map(([key, label], k) => ({ ...styleAt(k), label, data: d.eps.map((x, e) => ({ x, y: rowOf(e, +i)[key] })).sort((a, b) => a.x - b.x) })) }));
    drawCharts();
  }));
}

// ---- What each command's page is

const labs = {
  modes: {
    sections: [["Training", training], ["Gradient field", field], ["Dropped tokens", dropped], ["Temperature", temperature]],
    boxes: () => [boxes("Divergences", "divergences", lossNames(), (n) => swatch(lossStyle(n)))],
  },
  exact: {
    sections: [["Values", values], ["Gradients", gradients, "gradients, which need all sequences enumerated and a student that differs"], ["Estimators", estimators, "estimators, which --estimators N adds"]],
    boxes: () => [],
  },
  sinkhorn: {
    sections: [["Plan", transportPlan], ["Convergence", convergence], ["Gradients", cosines], ["Values", transportValues]],
    boxes: () => [boxes("eps", "eps", page.data.eps.map(short), (_, i) => swatch(epsStyle(page.data.eps[i])))],
  },
};
page.hidden = { divergences: new Set(), eps: new Set() };
if (page.data.kind === "modes") page.hidden.divergences = new Set(lossNames().filter((n) => !page.data.shown.includes(n)));
openPage({ name: "lab", title: () => page.data.title, ...labs[page.data.kind] });
