// Results: what the models are worth, which differ, which claims hold, where they err.

function scoreCell(entry, name, best) {
  const f = table_of(entry[name]);
  if (!isNumber(f.score)) return "–";
  const digits = figureOf(name).decimals;
  return element("span", { class: f.score === best ? "best" : null }, fixed(f.score, digits),
    isNumber(f.low) ? element("span", { class: "interval" }, ` [${fixed(f.low, digits)}, ${fixed(f.high, digits)}]`) : null);
}

const entryLabel = (s) => (s.method && s.method !== s.stage ? `${s.stage} (${s.method})` : s.stage);

function scoreTable(recipe, columns, markBest) {
  const stages = list(recipe.stages).filter((s) => shownModel(s.stage));
  const best = Object.fromEntries(columns.map((c) => {
    const scores = stages.filter((s) => s.stage !== "teacher").map((s) => table_of(s[c]).score).filter(isNumber);
    return [c, markBest && scores.length ? (figureOf(c).lower_is_better ? Math.min(...scores) : Math.max(...scores)) : null];
  }));
  return table(`${recipe.recipe}: scores with 95 per cent intervals${markBest ? "; the best student's in bold" : ""}`, ["model", ...columns.map(titleOf)],
    stages.map((s) => [entryLabel(s), ...columns.map((c) => scoreCell(s, c, best[c]))]));
}

function testTable(recipe) {
  const figures = [recipe.metric, "likelihood_risk", "coverage_risk"].filter((f) => list(recipe.tests).some((t) => t[f]));
  return table("Paired bootstrap tests: the first less the second, its interval, and p", ["pair", ...figures.flatMap((f) => [titleOf(f), "p"])],
    list(recipe.tests).map((t) => [`${t.first} − ${t.second}`, ...figures.flatMap((f) => {
      const d = figureOf(f).decimals, c = t[f];
      return c ? [element("span", {}, fixed(c.difference, d), element("span", { class: "interval" }, ` [${fixed(c.low, d)}, ${fixed(c.high, d)}]`)), probability(c.p)] : ["–", "–"];
    })]));
}

function results(section) {
  const comparison = page.data.comparison;
  if (!comparison || !list(comparison.recipes).length) return section.append(element("p", {}, "No stage has results that can be read yet."));
  for (const recipe of comparison.recipes) {
    const columns = list(recipe.columns), further = list(recipe.further);
    section.append(element("h3", {}, recipe.recipe), element("p", { class: "quiet" }, recipe.facts));
    for (const left of list(recipe.left_out)) section.append(element("p", { class: "quiet" }, `Left out: ${left}`));
    section.append(choice(`figure ${recipe.recipe}`, "Figure", [...columns, ...further].map((c) => [c, titleOf(c)]), (name, place) => {
      dropCharts(place);
      const series = list(recipe.stages).filter((s) => shownModel(s.stage) && isNumber(table_of(s[name]).score))
        .map((s) => ({ ...styleOf(s.stage), label: entryLabel(s), ...s[name] }));
      place.append(intervalChart({ title: `${recipe.recipe}: ${titleOf(name)}`, x: titleOf(name), series, digits: figureOf(name).decimals,
        note: "Point: score; line: the middle 95 per cent of the resamples." }));
      drawCharts();
    }));
    section.append(scoreTable(recipe, columns, true));
    if (further.length) section.append(details(`Further figures of ${recipe.recipe}`, scoreTable(recipe, further, false)));
    if (list(recipe.tests).length) section.append(details(`Paired tests of ${recipe.recipe}`, testTable(recipe)));
  }
}

const verdictClass = (v) => (v === "holds" ? "holds" : v === "does not hold" ? "fails" : "");

function claims(section) {
  const all = list(table_of(page.data.comparison).claims);
  if (!all.length) return false;
  section.append(element("p", {}, "A comparison holds where the whole interval of the difference lies on the claimed side of 0, does not hold where it lies on the other; a claim holds where all of its comparisons do."));
  for (const paper of new Set(all.map((c) => c.paper))) {
    const own = all.filter((c) => c.paper === paper);
    section.append(element("h3", {}, paper), table(`Claims of ${paper}`, ["claim", "verdict", "comparisons that hold", "do not", "not decided"], own.map((c) => {
      const count = (v) => String(list(c.comparisons).filter((f) => f.verdict === v).length);
      return [{ text: c.claim, class: "wide" }, { text: c.verdict, class: verdictClass(c.verdict) }, count("holds"), count("does not hold"), count("not decided")];
    })), details(`Comparisons behind the claims of ${paper}`, own.flatMap((c) => [c.note ? element("p", {}, `${c.claim}: ${c.note}`) : null,
      list(c.comparisons).length ? table(`${c.claim}: ${c.verdict}`, ["comparison", "in", "difference", "interval", "p", "verdict"], c.comparisons.map((f) => {
        const d = figureOf(f.figure).decimals;
        return [`${f.recipe}: ${f.first} better than ${f.second}`, titleOf(f.figure), fixed(f.difference, d), `${fixed(f.low, d)} to ${fixed(f.high, d)}`,
          probability(f.p), { text: f.verdict, class: verdictClass(f.verdict) }];
      })) : null])));
  }
}

// Mode averaging to the right, mode collapse upwards.
function risks(section) {
  let any = false;
  for (const recipe of list(table_of(page.data.comparison).recipes)) {
    const models = list(recipe.stages).filter((s) => shownModel(s.stage) && isNumber(table_of(s.likelihood_risk).score) && isNumber(table_of(s.coverage_risk).score));
    if (!models.length) continue;
    any = true;
    const datasets = models.flatMap((s) => {
      const style = { ...styleOf(s.stage), label: entryLabel(s) }, l = s.likelihood_risk, c = s.coverage_risk;
      const bar = (data) => line(style, data, { borderWidth: 1, borderDash: [], pointRadius: 0, pointHoverRadius: 0, interval: true });
      return [
        { ...line(style, [{ x: l.score, y: c.score }], { pointRadius: 7, pointHoverRadius: 9, borderDash: [], named: 0 }) },
        bar([{ x: l.low, y: c.score }, { x: l.high, y: c.score }]), bar([{ x: l.score, y: c.low }, { x: l.score, y: c.high }]),
      ];
    });
    section.append(chart({
      title: `${recipe.recipe}: likelihood risk against coverage risk`, height: 440,
      note: "Both in nats per token, lower is better. Right: the student's samples are unlikely under the teacher (mode averaging). Up: the teacher's samples are unlikely under the student (mode collapse).",
      config: {
        type: "scatter", data: { datasets }, plugins: [pointNames],
        options: {
          layout: { padding: { top: 12 } },
          interaction: { mode: "nearest", axis: "xy", intersect: false },
          scales: { x: axis("likelihood risk (mode averaging →)", { grace: "8%" }), y: axis("coverage risk (mode collapse →)", { grace: "8%" }) },
          plugins: { tooltip: { filter: (item, i) => i === 0, callbacks: { label: (item) => {
            const s = models[Math.floor(item.datasetIndex / 3)];
            return [entryLabel(s), `likelihood risk ${s.likelihood_risk.score}`, `coverage risk ${s.coverage_risk.score}`];
          } } } },
        },
      },
      data: { head: ["model", "likelihood risk", "coverage risk"], rows: models.map((s) => [entryLabel(s), scoreCell(s, "likelihood_risk"), scoreCell(s, "coverage_risk")]) },
    }));
  }
  return any;
}
