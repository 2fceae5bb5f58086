// What a report is of: figures, models by name, runs by label.

page.hidden = { models: new Set(), runs: new Set() };

const figureOf = (name) => table_of(page.data.figures)[name] || { title: name, decimals: 3, lower_is_better: false };
const titleOf = (name) => figureOf(name).title + (figureOf(name).lower_is_better ? " ↓" : "");

function modelNames() {
  const names = [];
  for (const run of page.data.runs) for (const s of run.stages) if (!names.includes(s.stage)) names.push(s.stage);
  return names;
}
function styleOf(model, run = 0) {
  const students = modelNames().filter((n) => n !== "teacher" && n !== "predistilled");
  const at = students.indexOf(model), last = points.length - 1;
  if (at >= 0) return styleAt(at, run);
  return { colour: css(model === "teacher" ? "--text" : "--quiet"), point: points[last], sign: signs[last], dash: dashes[run % dashes.length] };
}

// Each stage that is not hidden: its run, label and style.
function shownStages() {
  const many = page.data.runs.length > 1;
  return page.data.runs.flatMap((run, r) => run.stages.map((stage) => ({
    stage, run, label: many ? `${stage.stage} · ${run.label}` : stage.stage, ...styleOf(stage.stage, r),
  }))).filter((s) => !page.hidden.models.has(s.stage.stage) && !page.hidden.runs.has(s.run.label));
}
const shownModel = (name) => !page.hidden.models.has(name);
