"use strict";
// Elements, numbers and tables. All text goes in as text, none as HTML.

// What is shown; of each kind of name those that are hidden; what was chosen, by key.
const page = { data: null, hidden: {}, choices: {} };

// element("p", { class: "quiet" }, "text", child...); null and undefined are left out.
function element(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  e.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return e;
}

const isNumber = (x) => typeof x === "number" && Number.isFinite(x);
const list = (x) => (Array.isArray(x) ? x : []);
const table_of = (x) => (x && typeof x === "object" && !Array.isArray(x) ? x : {});

function fixed(x, digits = 3) {
  return isNumber(x) ? x.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "–";
}
const probability = (p) => (isNumber(p) && p < 0.0005 ? "< 0.001" : fixed(p, 3));
function short(x) {
  if (!isNumber(x)) return x === null || x === undefined ? "–" : String(x);
  return Number.isInteger(x) ? x.toLocaleString("en") : String(Number(x.toPrecision(5)));
}
// A recipe's value as it would be written.
const written = (x) => (x === null || x === undefined ? "–" : typeof x === "string" ? x : JSON.stringify(x));

// rows: lists of cells, a text, an element, or { text, class }; the first of each is its header.
function table(caption, head, rows) {
  const cell = (tag, c, attributes) => {
    const plain = c instanceof Node || c === null || typeof c !== "object";
    return element(tag, { ...attributes, class: plain ? null : c.class }, plain ? (c ?? "–") : c.text);
  };
  const body = rows.map((row) => element("tr", {}, row.map((c, i) => (i === 0 ? cell("th", c, { scope: "row" }) : cell("td", c, {})))));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    element("table", {}, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, head.map((h) => element("th", { scope: "col" }, h)))),
      element("tbody", {}, body)));
}

function details(summary, ...children) {
  return element("details", { "data-key": summary }, element("summary", {}, summary), ...children);
}

// A labelled choice that stays chosen when the page is drawn again.
function choice(key, label, options, draw) {
  const chosen = options.some((o) => o[0] === page.choices[key]) ? page.choices[key] : options[0][0];
  const select = element("select", { name: key },
    options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  const place = element("div");
  const redraw = () => { page.choices[key] = select.value; place.replaceChildren(); draw(select.value, place); };
  select.addEventListener("change", redraw);
  redraw();
  return element("div", {}, element("label", {}, label + " ", select), place);
}

// ---- Styles: each name its colour, mark and dash

// Okabe and Ito 2008, the most different first; on white the bright ones darker, for contrast.
const okabeIto = {
  light: ["#0072b2", "#d55e00", "#00845f", "#b5588f", "#a87800", "#3b93cc", "#8c8206"],
  dark: ["#3d9bdc", "#e66a0f", "#00a87b", "#cc79a7", "#e69f00", "#8bcdf2", "#f0e442"],
};
const dark = () => window.matchMedia("(prefers-color-scheme: dark)").matches;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const points = ["circle", "triangle", "rect", "rectRot", "star", "cross", "crossRot", "rectRounded"];
const signs = ["●", "▲", "■", "◆", "✶", "+", "✕", "▬"]; // the same in text

// That of the i-th name.
function styleAt(i, turn = 0) {
  const colours = okabeIto[dark() ? "dark" : "light"], mark = i % (points.length - 1);
  return { colour: colours[i % colours.length], point: points[mark], sign: signs[mark], dash: dashes[(turn + Math.floor(i / colours.length)) % dashes.length] };
}

// ---- What is said while the pointer is over, or the focus on, an element

function hoverable(e, text) {
  const box = document.getElementById("hover");
  const show = () => {
    box.textContent = text;
    box.hidden = false;
    const at = e.getBoundingClientRect(), width = box.offsetWidth;
    box.style.left = `${window.scrollX + Math.max(4, Math.min(at.left, document.documentElement.clientWidth - width - 4))}px`;
    box.style.top = `${window.scrollY + at.bottom + 6}px`;
  };
  const hide = () => { box.hidden = true; };
  for (const [event, act] of [["mouseenter", show], ["focus", show], ["mouseleave", hide], ["blur", hide]]) e.addEventListener(event, act);
  e.addEventListener("keydown", (key) => { if (key.key === "Escape") hide(); });
  return e;
}
