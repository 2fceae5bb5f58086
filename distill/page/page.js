// The page: recipe, environment, and all sections in their order; what is shown; watching a run.

function recipe(section) {
  const differences = table_of(page.data.differences), settings = Object.entries(table_of(page.data.settings));
  if (!settings.length) return false;
  const runs = list(differences.runs);
  if (page.data.runs.length > 1)
    section.append(runs.length ? table("What differs between the runs", ["setting", ...page.data.runs.map((r) => r.label)], runs.map(([key, values]) => [key, ...values.map(written)]))
      : element("p", {}, differences.runs ? "The runs have the same settings." : "Not all runs have their recipe: what differs between them cannot be told."));
  const students = table_of(differences.students);
  if (list(students.rows).length)
    section.append(table("What differs between the students", ["setting", ...list(students.names)], students.rows.map(([key, values]) => [key, ...values.map(written)])));
  section.append(details("All settings", table(`All settings of ${page.data.runs[0].label}`, ["setting", "value"], settings.map(([key, value]) => [key, { text: written(value), class: "text" }]))));
}

function environment(section) {
  const stages = shownStages().filter((s) => s.stage.facts || s.stage.manifest);
  if (!stages.length) return false;
  const keys = ["seed", "commit", "version", "machine", "weights", "tokenizer", "fingerprint", "recipe_fingerprint"];
  const value = (s, key) => table_of(s.stage.facts)[key] ?? table_of(s.stage.manifest)[key];
  section.append(table("What made each model; hashes are XXH3-128", ["model", ...keys.map((k) => k.replace("_", " "))], stages.map((s) => [s.label, ...keys.map((k) => written(value(s, k)))])));
  const sums = page.data.runs.flatMap((run) => {
    const found = run.stages.map((s) => table_of(table_of(s.manifest).checksums)).find((c) => Object.keys(c).length);
    return Object.entries(table_of(found)).map(([split, sum]) => [`${run.label}: ${split}`, written(sum)]);
  });
  if (sums.length) section.append(table("Checksums of the data", ["split", "XXH3-128"], sums));
}

// Title, what draws it (false: the runs do not have it), and where that comes from.
const sections = [
  ["Results", results], ["Claims", claims, "results of the models that the claims compare"], ["Risks", risks, "risks, which need a teacher"],
  ["Models", models, "stages"], ["Curves", curves, "metrics.jsonl"], ["Entropy", entropy, "inspection.json"], ["Calibration", calibration, "calibration of classes or tokens"],
  ["Lengths", lengths, "outputs"], ["Token by token", tokens, "inspection.json"], ["Samples", samples, "inspection.json"], ["Transport", plan, "inspection.json"],
  ["Time and memory", phases, "timings"], ["Recipe", recipe, "recipe.toml"], ["Environment", environment, "results or manifests"],
];

function draw() {
  dropCharts();
  chartDefaults();
  const main = document.getElementById("report"), open = new Set([...main.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  main.replaceChildren();
  const problems = list(page.data.problems);
  if (problems.length)
    main.append(element("div", { class: "problems" }, element("p", {}, "Some of it cannot be read or belongs to others:"), element("ul", {}, problems.map((p) => element("li", {}, p)))));
  for (const [title, fill, from] of sections) {
    const id = title.toLowerCase().replaceAll(" ", "-");
    const section = element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title` }, title));
    main.append(section);
    try {
      if (fill(section) === false) section.append(element("p", { class: "quiet" }, `Not recorded by what is shown: ${from}.`));
    } catch (e) {
      section.append(element("p", { class: "quiet" }, `Cannot be shown, its data is not as expected: ${e.message}`));
    }
  }
  for (const d of main.querySelectorAll("details")) d.open = open.has(d.dataset.key);
  drawCharts();
}

function boxes(name, kind, values, decorate) {
  return element("fieldset", {}, element("legend", {}, name), values.map((v) => {
    const box = element("input", { type: "checkbox", name: kind, value: v });
    box.checked = !page.hidden[kind].has(v);
    box.addEventListener("change", () => { box.checked ? page.hidden[kind].delete(v) : page.hidden[kind].add(v); draw(); });
    return element("label", {}, box, decorate(v), v);
  }));
}
function swatch(model) {
  const s = styleOf(model), e = element("span", { "aria-hidden": "true" }, s.sign);
  e.style.color = s.colour;
  return e;
}
function dash(run) {
  const e = element("span", { class: "dash", "aria-hidden": "true" });
  e.style.borderTopStyle = ["solid", "dashed", "dotted", "double"][run % 4];
  return e;
}

function frame() {
  const runs = page.data.runs, title = runs.map((r) => r.label).join(", ");
  document.title = `${title}: Retort report`;
  document.getElementById("title").textContent = title;
  document.getElementById("made").textContent = `Made by Retort ${page.data.version}, commit ${page.data.commit}.`;
  document.getElementById("contents").replaceChildren(...sections.map(([t]) => element("a", { href: `#${t.toLowerCase().replaceAll(" ", "-")}` }, t)));
  const form = document.getElementById("shown"), labels = runs.map((r) => r.label);
  form.replaceChildren(boxes("Models", "models", modelNames(), swatch), runs.length > 1 ? boxes("Runs", "runs", labels, (r) => dash(labels.indexOf(r))) : "");
}

// A page that `retort watch` serves asks for its data anew, and is drawn again where that changed.
function watch() {
  const box = element("input", { type: "checkbox", checked: true }), status = document.getElementById("status");
  let last = null;
  document.querySelector("header").append(element("p", {}, element("label", {}, box, " Refresh every five seconds while the run goes on")));
  setInterval(async () => {
    if (!box.checked) return;
    try {
      const text = await (await fetch("page.json")).text();
      if (last !== null && text !== last) { page.data = JSON.parse(text); frame(); draw(); status.textContent = "The report was refreshed."; }
      last = text;
    } catch (e) {
      status.textContent = "The program that serves this page does not answer.";
    }
  }, 5000);
}

page.data = JSON.parse(document.getElementById("data").textContent);
frame();
draw();
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { frame(); draw(); });
if (page.data.watch) watch();
