// Training: the models, their curves, time and memory by phase.

function models(section) {
  const stages = shownStages();
  if (!stages.length) return false;
  const fact = (s, key) => table_of(s.stage.facts)[key];
  section.append(table("Models and where their training stands; parameters without embeddings", ["model", "state", "updates", "parameters", "perplexity", "accuracy", "training tokens/s", "minutes"],
    stages.map((s) => {
      const curves = table_of(s.stage.curves), total = s.stage.total || fact(s, "updates");
      const at = fact(s, "updates") ?? curves.last_step;
      return [s.label, s.stage.state, at === undefined ? "–" : short(at) + (total ? ` of ${short(total)}` : ""), short(fact(s, "non_embedding_parameters")),
        fixed(fact(s, "perplexity")), fixed(fact(s, "accuracy") ?? table_of(table_of(s.stage.figures).accuracy).score, 4), fixed(fact(s, "tokens_per_second"), 0), fixed(fact(s, "minutes"), 1)];
    })));
  for (const s of stages) {
    const c = table_of(s.stage.curves);
    if (c.unreadable || c.not_finite)
      section.append(element("p", { class: "quiet" }, `${s.label}: of metrics.jsonl ${short(c.unreadable)} lines cannot be read and ${short(c.not_finite)} values are not finite; both are left out.`));
  }
}

function curves(section) {
  const stages = shownStages().filter((s) => list(table_of(table_of(s.stage.curves).training).step).length);
  if (!stages.length) return false;
  const kinds = [
    ["training.loss", "training loss", "Each method has a loss of its own: between methods they say nothing."],
    ["validation.loss", "validation loss (gold text, nats per token)"], ["validation.accuracy", "validation accuracy"],
    ["training.learning_rate", "learning rate"], ["training.grad_norm", "gradient norm before clipping"], ["training.tokens_per_second", "training tokens per second"],
    ["transport.row_error", "Sinkhorn: L1 error of the rows' marginal"], ["transport.column_error", "Sinkhorn: L1 error of the columns' marginal"],
  ];
  const series = ([path]) => {
    const [part, key] = path.split(".");
    return stages.map((s) => {
      const c = table_of(table_of(s.stage.curves)[part]), values = list(c[key]);
      return { ...s, data: list(c.step).map((x, i) => ({ x, y: values[i] ?? null })).filter(() => values.length), each: c.rows_each };
    }).filter((s) => s.data.length);
  };
  const draw = (kind) => {
    const found = series(kind);
    const each = Math.max(...found.map((s) => s.each || 1));
    return lineChart({ title: kind[1], note: [kind[2], each > 1 ? `Points are means of up to ${each} steps.` : null].filter(Boolean).join(" ") || null,
      x: "step", y: kind[1], series: found, radius: marked });
  };
  const there = kinds.filter((k) => series(k).length);
  const first = there.filter((k) => ["training.loss", "validation.loss", "training.learning_rate"].includes(k[0]));
  section.append(element("div", { class: "charts" }, first.map(draw)));
  const others = there.filter((k) => !first.includes(k));
  if (others.length)
    section.append(choice("curve", "Further curve", others.map((k) => [k[0], k[1]]), (path, place) => {
      dropCharts(place);
      place.append(draw(others.find((k) => k[0] === path)));
      drawCharts();
    }));
}

function phases(section) {
  const stages = shownStages().filter((s) => isNumber(table_of(s.stage.facts).minutes));
  if (!stages.length) return false;
  const split = stages.map((s) => {
    const f = s.stage.facts, c = table_of(s.stage.curves);
    const sampling = (c.sample_seconds || 0) / 60, validation = (c.valid_seconds || 0) / 60, evaluation = f.evaluation_minutes || 0;
    return [f.minutes - sampling, sampling, validation, evaluation, Math.max(0, (f.other_minutes || 0) - validation - evaluation)];
  });
  const names = ["updates", "sampling from the student or teacher", "validation", "evaluation", "the rest: loading, teacher's sequences, checkpoints"];
  section.append(barChart({ title: "Minutes by phase", x: "minutes", names: stages.map((s) => s.label), digits: 2,
    note: "Earlier versions tell evaluation and validation only as part of the rest.",
    parts: names.map((label, i) => ({ label, data: split.map((p) => p[i]) })).filter((p) => p.data.some((x) => x > 0)) }));
  const peaks = stages.filter((s) => isNumber(table_of(s.stage.peak_bytes).training));
  if (!peaks.length) return void section.append(element("p", { class: "quiet" }, "Not recorded by these runs: memory by phase."));
  section.append(table("Peak memory of tensors by phase, MB", ["model", "training", "evaluation"],
    peaks.map((s) => [s.label, fixed(s.stage.peak_bytes.training / 1e6, 1), fixed(s.stage.peak_bytes.evaluation / 1e6, 1)])));
}
