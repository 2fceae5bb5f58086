// The report: recipe, environment, and all sections in their order; watching a run.

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

function dash(run) {
  const e = element("span", { class: "dash", "aria-hidden": "true" });
  e.style.borderTopStyle = ["solid", "dashed", "dotted", "double"][run % 4];
  return e;
}

// A page that `retort watch` serves asks for its data anew, and is drawn again where that changed.
function watch() {
  const box = element("input", { type: "checkbox", checked: true }), status = document.getElementById("status");
  let last = null;
  document.querySelector("header").append(element("p", {}, element("label", {}, box, " Refresh every five seconds while the run goes on")));
  const say = (text, failed) => { status.textContent = text; status.classList.toggle("hidden", !failed); };
  setInterval(async () => {
    if (!box.checked) return;
    try {
      const answer = await fetch("page.json"), text = await answer.text();
      if (!answer.ok) return say(text, true);
      if (last !== null && text !== last) { page.data = JSON.parse(text); frame(); draw(); say("The report was refreshed."); }
      else say("");
      last = text;
    } catch (e) {
      say("The program that serves this page does not answer.", true);
    }
  }, 5000);
}

openPage({
  name: "report", sections,
  title: () => (page.data.runs.length > 8 ? `${page.data.runs.length} runs` : page.data.runs.map((r) => r.label).join(", ")),
  boxes: () => {
    const labels = page.data.runs.map((r) => r.label);
    return [boxes("Models", "models", modelNames(), (m) => swatch(styleOf(m))), labels.length > 1 && boxes("Runs", "runs", labels, (r) => dash(labels.indexOf(r)))];
  },
});
if (page.data.watch) watch();
