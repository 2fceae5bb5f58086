// The page: its sections in their order, and what is shown of them. A kind of page is { name, title, sections, boxes }:
// sections are [title, what fills it (false: what is shown does not have it), where that comes from]; boxes is a
// function, as its fieldsets' names depend on the data.

function draw() {
  dropCharts();
  chartDefaults();
  const main = document.getElementById("content"), open = new Set([...main.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  main.replaceChildren();
  const problems = list(page.data.problems);
  if (problems.length)
    main.append(element("div", { class: "problems" }, element("p", {}, "Some of it cannot be read or belongs to others:"), element("ul", {}, problems.map((p) => element("li", {}, p)))));
  for (const left of list(page.data.left_out)) main.append(element("p", { class: "quiet" }, left));
  for (const [title, fill, from] of page.kind.sections) {
    const id = idOf(title);
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
  return element("fieldset", {}, element("legend", {}, name), values.map((v, i) => {
    const box = element("input", { type: "checkbox", name: kind, value: v });
    box.checked = !page.hidden[kind].has(v);
    box.addEventListener("change", () => { box.checked ? page.hidden[kind].delete(v) : page.hidden[kind].add(v); draw(); });
    return element("label", {}, box, decorate(v, i), v);
  }));
}
// The mark of a style, as a legend shows it.
function swatch(s) {
  const e = element("span", { "aria-hidden": "true" }, s.sign);
  e.style.color = s.colour;
  return e;
}

function frame() {
  const { name, sections } = page.kind, title = page.kind.title();
  document.title = `${title}: Retort ${name}`;
  document.getElementById("title").textContent = title;
  document.getElementById("made").textContent = `Made by Retort ${page.data.version}, commit ${page.data.commit}.`;
  document.getElementById("contents").replaceChildren(...sections.map(([t]) => element("a", { href: `#${idOf(t)}` }, t)));
  const form = document.getElementById("shown"), shown = page.kind.boxes().filter(Boolean);
  form.replaceChildren(...shown);
  form.hidden = !shown.length;
}
const idOf = (title) => title.toLowerCase().replaceAll(" ", "-");

page.data = JSON.parse(document.getElementById("data").textContent);
function openPage(kind) {
  page.kind = kind;
  frame();
  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { frame(); draw(); });
}
