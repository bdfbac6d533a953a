"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const dialog = document.getElementById("details");
const body = document.getElementById("details-body");
const buttons = [...document.querySelectorAll("button.cell")];
const keys = buttons.map((button) => button.dataset.cell);
let shown = null;

// Elements; text is always text, so no label can bring markup along.
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}
function when(condition, make) {
  return condition ? make() : null;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
function time(seconds) {
  return seconds === null ? "not recorded" : duration(seconds);
}
function brief(value) {
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}
function readable(name) {
  return name.replaceAll("_", " ");
}
function links(files) {
  return files.map((file) => el("a", { href: file.href }, file.label));
}
function command(text) {
  return el("div", { class: "command" }, el("code", {}, text), el("button", { type: "button", class: "copy" }, "Copy"));
}
function pairs(entries, own = new Set(), kind = "") {
  return el("dl", { class: `pairs ${kind}` }, entries.map(([name, value]) => {
    const mark = own.has(name) ? { class: "own" } : {};
    return [el("dt", mark, name), el("dd", mark, value)];
  }).flat());
}
function seedColour(index) {
  return `var(--seed-${index % 5})`;
}

// A small chart of one column of the logs, a line a run.
function chart(name, series) {
  const [width, height, left, bottom] = [260, 112, 36, 14];
  const points = series.map((log) => log.epoch.map((x, i) => [x, (log[name] || [])[i]])
    .filter(([x, y]) => x !== null && y !== null && y !== undefined));
  const all = points.flat();
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [first, last] = range(all.map((point) => point[0]));
  const [low, high] = range(all.map((point) => point[1]));
  const atX = (x) => left + (width - left - 4) * (last > first ? (x - first) / (last - first) : 0.5);
  const atY = (y) => 6 + (height - bottom - 12) * (high > low ? (high - y) / (high - low) : 0.5);
  const place = ([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`;
  const label = `${readable(name)} over epochs ${first} to ${last}, between ${brief(low)} and ${brief(high)}`;
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("path", { class: "axis", d: `M${left} 4V${height - bottom}H${width}` }),
    svg("text", { x: left - 4, y: atY(high) + 3, "text-anchor": "end" }, brief(high)),
    when(high > low, () => svg("text", { x: left - 4, y: atY(low) + 3, "text-anchor": "end" }, brief(low))),
    svg("text", { x: left, y: height - 3 }, String(first)),
    svg("text", { x: width, y: height - 3, "text-anchor": "end" }, `epoch ${last}`),
    points.map((line, i) => line.length > 1
      ? svg("polyline", { class: "curve", points: line.map(place).join(" "), style: `stroke: ${seedColour(i)}` })
      : line.map(([x, y]) => svg("circle", { cx: atX(x), cy: atY(y), r: 2.5, style: `fill: ${seedColour(i)}` }))).flat());
  return el("figure", {}, el("figcaption", {}, readable(name)), drawn);
}
function curves(cell) {
  const logged = cell.runs.filter((run) => run.run && (page.runs[run.run].curves.epoch || []).length);
  if (!logged.length) return null;
  const series = logged.map((run) => page.runs[run.run].curves);
  const logs = new Set(series.flatMap((log) => Object.keys(log)));
  const last = ["lr", "images_per_s"].filter((name) => logs.has(name));  // losses come first
  const names = [...[...logs].filter((name) => name !== "epoch" && !last.includes(name)), ...last];
  return el("section", { style: "padding: 0" }, el("h3", {}, "Curves"),
    el("p", { class: "legend" }, logged.map((run, i) =>
      el("span", {}, el("i", { style: `background: ${seedColour(i)}` }), `seed ${run.seed}`))),
    el("div", { class: "charts" }, names.map((name) => chart(name, series))));
}

function runTable(cell) {
  const has = cell.runs.some((run) => run.run);
  const heads = has ? ["seed", "value", "state", "training", "evaluation", "scored on", "code", "files"]
    : ["value", "evaluation", "scored on", "code", "files"];
  const rows = cell.runs.map((run) => {
    const own = run.run ? page.runs[run.run] : { seconds: null, files: [] };
    const value = run.value === null ? "–" : run.value.toFixed(2);
    const date = run.date ? run.date.slice(0, 10) : "–";
    const end = [time(run.seconds), date, run.version || "–", el("div", { class: "files" }, links([...run.files, ...own.files]))];
    return has ? [String(run.seed ?? "–"), value, run.stage, time(own.seconds), ...end] : [value, ...end];
  });
  return el("div", { class: "wide" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value, i) => el("td", { "data-head": heads[i] }, value)))))));
}
function totalCost(cell) {
  const known = cell.runs.flatMap((run) => [run.run ? page.runs[run.run].seconds : null, run.seconds])
    .filter((seconds) => seconds !== null);
  if (!known.length) return null;
  const total = duration(known.reduce((sum, seconds) => sum + seconds, 0));
  return el("p", { class: "what" }, `All of it took ${total}. Cells that share these runs share their training.`);
}

function commands(cell) {
  const missing = cell.status === "missing";
  const parts = [el("h3", {}, missing ? "Build it" : "Rebuild it"),
    el("p", { class: "what" }, missing ? "What this cell needs, and nothing else:"
      : "Does nothing while the cell is up to date; builds it where it is deleted or a setting was changed:"),
    command(cell.build)];
  if (!missing) {
    parts.push(el("p", { class: "what" }, cell.method ? "Train its runs again, and score them:" : "Score it again:"),
      command(cell.rebuild));
  }
  const byHand = cell.runs.filter((run) => run.run && page.runs[run.run].command);
  if (byHand.length) {
    parts.push(el("details", {}, el("summary", {}, "Train by hand, without Snakemake"),
      byHand.map((run) => command(page.runs[run.run].command))));
  }
  return parts;
}
function headline(cell) {
  if (cell.status === "missing") return el("p", { class: "number missing" }, "missing");
  const [mean, deviation] = cell.text.split(" ± ");
  return el("p", { class: "number" }, mean,
    when(deviation, () => el("span", { class: "sd" }, ` ± ${deviation}`)), el("span", { class: "unit" }, " %"));
}
function content(cell) {
  const seeds = cell.method ? `, ${cell.runs.length} ${cell.runs.length === 1 ? "seed" : "seeds"}` : "";
  const source = cell.is_generated ? "target at the paper's scale" : "published";
  const published = cell.published ? `; ${source}: ${cell.published} %` : "";
  const own = new Set(Object.keys(cell.overrides));
  const settings = Object.entries(cell.configuration);
  return [
    headline(cell),
    el("p", { class: "under" }, `${cell.metric} by ${readable(cell.protocol)} on ${cell.dataset}${seeds}${published}`),
    when(cell.is_generated, () => el("p", { class: "demo" },
      el("strong", {}, "Demo number, generated data, not a reproduction."),
      " It changes with seed and machine.")),
    when(cell.status === "outdated", () => el("p", { class: "demo" }, "Outdated: made with other settings than the "
      + "table file now asks for. The command below makes it anew.")),
    commands(cell),
    el("h3", {}, cell.method ? "Runs and cost" : "Score and cost"), runTable(cell), totalCost(cell),
    curves(cell),
    el("h3", {}, "Configuration"),
    when(own.size, () => [el("p", { class: "what" }, "What the table sets for this cell:"),
      pairs(Object.entries(cell.overrides), own, "settings")]),
    when(Object.keys(cell.settings).length, () => [el("p", { class: "what" }, `How ${readable(cell.protocol)} scored it:`),
      pairs(Object.entries(cell.settings), new Set(), "settings")]),
    when(settings.length, () => el("details", {}, el("summary", {}, `All ${settings.length} settings of its runs`),
      pairs(settings, own, "settings"))),
    when(cell.provenance.length, () => [el("h3", {}, "Provenance"),
      pairs(cell.provenance.map((entry) => [entry.label, entry.values.join("; ")]))]),
    when(cell.files.length, () => el("p", { class: "links" }, links(cell.files))),
  ].flat(2).filter((part) => part !== null);
}

function address(key) {
  return `#cell/${key.split("/").map(encodeURIComponent).join("/")}`;
}
function addressed() {
  const [kind, ...parts] = location.hash.slice(1).split("/");
  try {
    const key = parts.map(decodeURIComponent).join("/");
    return kind === "cell" && Object.hasOwn(page.cells, key) ? key : null;
  } catch {
    return null;  // not an address of ours
  }
}
function show(key) {
  const cell = page.cells[key];
  const at = keys.indexOf(key);
  document.getElementById("details-place").textContent = `${cell.title}, preset ${page.preset}`;
  document.getElementById("details-title").textContent = `${cell.row} · ${cell.column}`;
  body.replaceChildren(...content(cell));
  document.getElementById("previous").disabled = at <= 0;
  document.getElementById("next").disabled = at === keys.length - 1;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  shown = key;
}
function hide() {
  if (shown === null) return;
  const key = shown;
  shown = null;
  if (dialog.open) dialog.close();
  if (addressed()) history.replaceState(null, "", `#${key.split("/")[0]}`);
  buttons[keys.indexOf(key)]?.focus();
}
function follow() {
  const key = addressed();
  if (key === null) hide();
  else if (key !== shown) show(key);
}
function step(by) {
  history.replaceState(null, "", address(keys[keys.indexOf(shown) + by]));
  follow();
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    location.hash = address(button.dataset.cell);
    follow();  // now; the event of the changed address comes later, and finds nothing to do
  });
}
document.getElementById("previous").addEventListener("click", () => step(-1));
document.getElementById("next").addEventListener("click", () => step(1));
document.getElementById("close").addEventListener("click", hide);
dialog.addEventListener("click", (event) => { if (event.target === dialog) hide(); });
dialog.addEventListener("cancel", (event) => { event.preventDefault(); hide(); });  // Escape
// A browser may close it regardless. The event comes late: by then another cell may be shown.
dialog.addEventListener("close", () => { if (!dialog.open) hide(); });
window.addEventListener("hashchange", follow);

// The clipboard is closed to some pages from the file system; what is selected can always be copied.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const code = button.previousElementSibling;
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
follow();
