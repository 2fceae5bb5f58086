// What the trained models do: entropy, calibration, lengths; token by token; samples; transport.

const inspection = (s) => table_of(s.stage.inspection);

function entropy(section) {
  const stages = shownStages().filter((s) => list(table_of(inspection(s).positions).student_entropy).length);
  if (!stages.length) return false;
  const data = (p, key) => list(p[key]).map((y, i) => ({ x: i + 1, y, note: `${y} nats, ${list(p.count)[i]} tokens` }));
  section.append(lineChart({ title: "Entropy of the next-token distribution by position", x: "position in the target", y: "nats",
    note: "On the gold text of some test examples; later positions are of fewer, longer ones.",
    series: stages.map((s) => ({ ...s, data: data(inspection(s).positions, "student_entropy") })) }));
}

function calibration(section) {
  const stages = shownStages().filter((s) => list(s.stage.calibration).length);
  if (!stages.length) return false;
  const diagonal = guide("calibrated", [{ x: 0, y: 0 }, { x: 1, y: 1 }]);
  section.append(lineChart({ title: "Calibration: how often the likeliest token is right", x: "mean probability of the likeliest token", y: "share right",
    note: "In bins of that probability; below the dashed diagonal a model is too sure.", radius: 4, extra: [diagonal],
    scales: { x: { min: 0, max: 1 }, y: { min: 0, max: 1 } },
    series: stages.map((s) => ({ ...s, data: s.stage.calibration.map(([n, x, y]) => ({ x, y, note: `${y} right of ${n} tokens` })) })) }));
}

function lengths(section) {
  const stages = shownStages().filter((s) => list(table_of(s.stage.lengths).own).length);
  if (!stages.length) return false;
  const spread = (pairs) => {
    const most = Math.max(...pairs.map((p) => p[0])), counts = new Map(pairs);
    return Array.from({ length: most + 1 }, (_, x) => ({ x, y: counts.get(x) || 0 }));
  };
  const reference = { label: "reference", data: spread(list(stages[0].stage.lengths.reference)), showLine: true, borderColor: css("--quiet"), borderWidth: 3, borderDash: [2, 3], pointRadius: 0, pointHoverRadius: 4 };
  section.append(lineChart({ title: "Lengths of outputs", x: "tokens", y: "outputs", note: "Dotted and grey: the references.", extra: [reference],
    series: stages.map((s) => ({ ...s, data: spread(s.stage.lengths.own) })) }));
  const figure = (s, name) => table_of(table_of(s.stage.figures)[name]).score;
  section.append(table("Lengths, ends and variety of the outputs", ["model", "ended %", "length ratio", "distinct-1", "distinct-2", "student entropy", "teacher entropy"],
    stages.map((s) => [s.label, fixed(figure(s, "end_rate"), 2), fixed(figure(s, "length_ratio")), fixed(table_of(s.stage.distinct)[1]), fixed(table_of(s.stage.distinct)[2]),
      fixed(figure(s, "student_entropy")), fixed(figure(s, "teacher_entropy"))])));
}

// ---- Token by token

const measures = [ // name, title, of which share of the colour a value gets
  ["js", "Jensen-Shannon", (x) => x / Math.LN2], ["tvd", "total variation", (x) => x],
  ["kl", "KL(teacher ‖ student)", (x) => 1 - Math.exp(-x)], ["rkl", "KL(student ‖ teacher)", (x) => 1 - Math.exp(-x)],
];
const shownPiece = (piece) => String(piece).replaceAll("▁", "␣");
const likeliest = (tokens) => list(tokens).map(([piece, p]) => `${shownPiece(piece)} ${fixed(p, 3)}`).join("   ");

function tokenOf(t, [key, title, share]) {
  const value = isNumber(t[key]) ? t[key] : 0;
  const says = `${shownPiece(t.token)}\n${title}: ${short(t[key])} nats\nteacher: ${likeliest(t.teacher)}\nstudent: ${likeliest(t.student)}`.replace(key === "tvd" ? " nats" : "\u0000", "");
  const e = element("span", { class: "token", tabindex: 0, role: "img", "aria-label": says.replaceAll("\n", "; "), "data-value": short(t[key]) }, shownPiece(t.token));
  e.style.backgroundColor = `rgba(${css("--strip")}, ${(0.55 * Math.min(1, Math.max(0, share(value)))).toFixed(3)})`;
  return hoverable(e, says);
}

function tokens(section) {
  const stages = shownStages().filter((s) => list(inspection(s).sentences).some((t) => list(t)[0]?.teacher));
  if (!stages.length) return false;
  section.append(element("p", {}, "The gold text, each token coloured by how far the two next-token distributions before it are apart: the stronger, the farther. Hover, or move the focus, to see each model's likeliest tokens."));
  section.append(choice("measure", "Divergence", measures.map((m) => [m[0], m[1]]), (key, place) => {
    const measure = measures.find((m) => m[0] === key);
    const count = Math.max(...stages.map((s) => inspection(s).sentences.length));
    for (let i = 0; i < count; i++) {
      const source = list(inspection(stages[0]).samples)[i]?.source;
      place.append(element("h3", {}, `Sentence ${i + 1}${source ? `: ${source}` : ""}`));
      for (const s of stages)
        place.append(element("div", { class: "strip" }, element("span", { class: "quiet" }, s.label),
          element("div", { role: "group", "aria-label": `${s.label}, sentence ${i + 1}` }, list(inspection(s).sentences[i]).map((t) => tokenOf(t, measure)))));
    }
  }));
}

function samples(section) {
  const examples = new Map();
  for (const s of shownStages())
    for (const x of list(inspection(s).samples)) {
      const key = `${x.source}\u0000${x.reference}`;
      if (!examples.has(key)) examples.set(key, { ...x, outputs: [] });
      examples.get(key).outputs.push([s.label, x.output]);
    }
  if (!examples.size) return false;
  const row = (name, text) => [element("dt", {}, name), element("dd", { dir: "auto" }, String(text ?? ""))];
  const place = element("div", { class: "charts" });
  section.append(place);
  for (const x of examples.values())
    place.append(element("div", { class: "example" }, element("dl", {}, row("source", x.source), row("reference", x.reference), x.outputs.flatMap(([name, text]) => row(name, text)))));
}

// ---- Transport

function plan(section) {
  const stages = shownStages().filter((s) => list(table_of(inspection(s).transport).plan).length);
  if (!stages.length) return false;
  section.append(choice("plan", "Student", stages.map((s) => [s.label, s.label]), (label, place) => {
    dropCharts(place);
    const t = inspection(stages.find((s) => s.label === label)).transport;
    const most = Math.max(...t.plan.flat()), of = (i) => shownPiece(list(t.rows)[i] ?? "");
    place.append(element("p", {}, `${t.loss}, eps ${short(t.eps)}, temperature ${short(t.temperature)}: value ${short(t.value)} after ${short(t.iterations)} iterations; marginal errors (L1) ${short(t.row_error)} of rows, ${short(t.column_error)} of columns; duality gap ${short(t.gap)}.`));
    place.append(heatMap({ title: `${label}: transport plan of ${t.plan.length} positions`, plan: t.plan, most, rows: { title: "student", of }, columns: { title: "teacher", of },
      note: `Rows: the student's distributions; columns: the teacher's; both named by the gold token there. The stronger the colour, the more mass; at most ${short(most)}.` }));
    drawCharts();
  }));
}
