// What the page does where scripts run; where they do not, everything below is simply not there.
"use strict";

const NEAR = 22; // points of a picture: a curve that is further from the pointer is not meant
const OF_A_RUN = ["curve", "dot", "ring"]; // kinds that are of one seed; of all where it is -1

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function draw(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function button(words, act) {
  return make("button", { type: "button", onclick: act }, words);
}

function press(toggle, isOn) {
  toggle.setAttribute("aria-pressed", String(isOn));
}

function flip(set, value) {
  if (!set.delete(value)) set.add(value);
}

// The digits that matter, as in the tables.
function number(value) {
  const size = Math.abs(value);
  if (size >= 1e7) return value.toExponential(1);
  if (size >= 100) return value.toFixed(0);
  return size >= 1 ? String(Number(value.toPrecision(3))) : value.toFixed(3);
}

function unique(values) {
  return [...new Set(values)];
}

// --- data to take away ---

function csvLine(cells) {
  const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`;
  return cells.map((cell) => (/[",\n]/.test(cell) ? quoted(cell) : cell)).join(",");
}

function curvesAsCsv(data) {
  const lines = [["task", "measure", "curve", "seed", data.x, "value"]];
  for (const panel of data.panels)
    for (const curve of panel.curves)
      curve.x.forEach((x, i) => {
        const whose = [panel.task, panel.metric, data.labels[curve.of] ?? curve.of];
        lines.push([...whose, String(curve.seed), String(x), String(curve.y[i] ?? "")]);
      });
  return lines.map(csvLine).join("\n") + "\n";
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { download: name, href: address }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function downloads(data) {
  const drawn = data.smooth ? "curves as drawn (csv)" : "curves (csv)";
  const made = [button("final values (csv)", () => download(`${data.name}.csv`, data.final))];
  if (data.panels.some(({ curves }) => curves[0].kind === "curve"))
    made.unshift(button(drawn, () => download(`${data.name}-curves.csv`, curvesAsCsv(data))));
  return make("span", { className: "group" }, "Download ", ...made);
}

// --- which curves are shown ---

// A choice of curves: entries of the legend that are off, and seeds that are picked (none: all).
class Choice {
  constructor(svg) {
    this.svg = svg;
    this.off = new Set();
    this.picked = new Set();
    this.marked = [...svg.querySelectorAll("[data-kind]")];
  }

  shows(kind, of, seed) {
    if (this.off.has(of)) return false;
    if (OF_A_RUN.includes(kind)) return !this.picked.size || this.picked.has(seed);
    return kind === "published" || !this.picked.size; // line and band are of all seeds
  }

  update() {
    for (const each of this.marked) {
      const { kind, of, seed } = each.dataset;
      if (kind === "legend") each.classList.toggle("off", this.off.has(of));
      else each.classList.toggle("hidden", !this.shows(kind, of, Number(seed)));
    }
    this.svg.classList.toggle("picked", this.picked.size > 0);
  }
}

// Each entry of a legend becomes a button that hides its curves.
function legend(svg, data, choice) {
  const entries = choice.marked.filter((each) => each.dataset.kind === "legend");
  for (const of of unique(entries.map((each) => each.dataset.of))) {
    const boxes = entries.filter((each) => each.dataset.of === of).map((each) => each.getBBox());
    const [x, y] = [Math.min(...boxes.map((b) => b.x)), Math.min(...boxes.map((b) => b.y)) - 3];
    const width = Math.max(...boxes.map((b) => b.x + b.width)) - x;
    const height = Math.max(...boxes.map((b) => b.y + b.height)) + 3 - y;
    const label = `show ${data.labels[of] ?? of}`;
    const target = draw("rect", { x, y, width, height, class: "target", "aria-label": label });
    target.setAttribute("role", "button");
    target.setAttribute("tabindex", "0");
    const toggle = () => {
      flip(choice.off, of);
      press(target, !choice.off.has(of));
      choice.update();
    };
    target.addEventListener("click", toggle);
    target.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    press(target, true);
    svg.append(target);
  }
}

function seedButtons(data, choice) {
  const curves = data.panels.flatMap((panel) => panel.curves);
  const seeds = unique(curves.map((curve) => curve.seed)).filter((seed) => seed >= 0);
  seeds.sort((a, b) => a - b);
  const made = seeds.map((seed) => {
    const toggle = button(String(seed), () => {
      flip(choice.picked, seed);
      press(toggle, choice.picked.has(seed));
      choice.update();
    });
    press(toggle, false);
    return toggle;
  });
  return make("span", { className: "group", hidden: !made.length }, "Seeds ", ...made);
}

// --- what the pointer is at ---

// Where a value stands in the picture.
function place(panel, x, y) {
  const [left, top, width, height] = panel.box;
  const scale = panel.log ? Math.log : (value) => value;
  const [low, high] = panel.y.map(scale);
  const across = (x - panel.x[0]) / (panel.x[1] - panel.x[0]);
  return { x: left + across * width, y: top + ((high - scale(y)) / (high - low)) * height };
}

// The first index whose value is not below the wanted one.
function bisect(values, wanted) {
  let [from, to] = [0, values.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (values[middle] < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}

function isIn([left, top, width, height], { x, y }) {
  return x >= left && x <= left + width && y >= top && y <= top + height;
}

function nearest(panels, at, choice) {
  let best = { distance: NEAR };
  for (const panel of panels.filter(({ box }) => isIn(box, at))) {
    const across = (at.x - panel.box[0]) / panel.box[2];
    const wanted = panel.x[0] + across * (panel.x[1] - panel.x[0]);
    for (const curve of panel.curves) {
      if (!choice.shows(curve.kind, curve.of, curve.seed)) continue;
      const i = bisect(curve.x, wanted);
      for (const k of [i - 1, i]) {
        if (curve.y[k] === null || curve.y[k] === undefined) continue;
        const spot = place(panel, curve.x[k], curve.y[k]);
        const distance = Math.hypot(spot.x - at.x, spot.y - at.y);
        if (distance > best.distance) continue; // of equals the one that lies on top
        best = { distance, spot, curve, x: curve.x[k], y: curve.y[k] };
      }
    }
  }
  return best;
}

function hover(figure, svg, data, choice) {
  const tip = make("div", { className: "tip", role: "status", hidden: true });
  const dot = draw("circle", { r: 3, class: "dot hidden" });
  svg.append(dot);
  figure.append(tip);
  const lineOf = ({ kind, of, panel, seed }) =>
    choice.marked.find(({ dataset: d }) =>
      d.kind === kind && d.of === of && Number(d.panel) === panel && Number(d.seed) === seed);
  let near = null;
  const leave = () => {
    near?.classList.remove("near");
    tip.hidden = true;
    dot.classList.add("hidden");
  };
  const move = (event) => {
    const toPicture = svg.getScreenCTM().inverse();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(toPicture);
    const found = nearest(data.panels, at, choice);
    leave();
    if (!found.curve) return;
    near = lineOf(found.curve);
    near.classList.add("near");
    dot.setAttribute("cx", found.spot.x);
    dot.setAttribute("cy", found.spot.y);
    dot.classList.remove("hidden");
    const { of, seed } = found.curve;
    const name = `${data.labels[of] ?? of}${seed < 0 ? "" : `, seed ${seed}`}`;
    const when = `${found.x.toLocaleString("en")} ${data.x.split(" (")[0]}`;
    tip.textContent = `${name}: ${near.dataset.words ?? `${number(found.y)} at ${when}`}`;
    tip.hidden = false;
    const frame = figure.getBoundingClientRect();
    const left = Math.min(event.clientX - frame.left + 14, frame.width - tip.offsetWidth - 2);
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${event.clientY - frame.top + 16}px`;
  };
  for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, move);
  svg.addEventListener("pointerleave", leave);
}

function enliven(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg");
  const tools = make("div", { className: "tools" });
  if (svg && data.panels.length) {
    const choice = new Choice(svg);
    legend(svg, data, choice);
    hover(figure, svg, data, choice);
    tools.append(seedButtons(data, choice));
  }
  tools.append(downloads(data));
  figure.append(tools);
  if (data.sharing.length) figure.append(player(data));
}
