"use strict";

// What pages share: elements, numbers, the axes of a plot, and tables.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const drawing = ["svg", "g", "path", "line", "circle", "rect", "polygon", "text", "title"].includes(tag);
  const node = drawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const options = (select, entries) =>
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
const known = (value) => value !== null && value !== undefined;
const percent = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1) + " %";
const plain = (value, digits = 3) => Number(value.toPrecision(digits)).toString();
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const size = (bytes) => Math.round(bytes).toLocaleString("en").replaceAll(",", "\u202f") + " bytes";

function ticksOf(low, high, logarithmic) {
  const ticks = [];
  if (logarithmic) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
  } else {
    const rough = (high - low) / 6;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
    for (let at = Math.ceil(low / step); at * step <= high; at++) ticks.push(at * step);
  }
  return ticks.filter((tick) => tick >= low * 0.999999 - 1e-12 && tick <= high * 1.000001 + 1e-12);
}


/**
 * Starts a plot in host: axes, their ticks and titles.  x and y are {low, high, logarithmic, title}; an axis without ticks
 * has ticks: [], and shown(tick) is what stands at one.  Returns {root, width, box, px, py}, where px and py map values to
 * places.
 */
function axes(host, x, y) {
  const width = Math.max(300, host.clientWidth || 700);
  const height = Math.round(Math.min(480, Math.max(300, width * 0.52)));
  const box = { left: 52, right: width - 14, top: 26, bottom: height - 42 };
  const scale = ({ low, high, logarithmic }, from, to) => {
    const way = logarithmic ? Math.log : (value) => value, [start, end] = [way(low), way(high)];
    return (value) => from + ((way(value) - start) / (end - start)) * (to - from);
  };
  const px = scale(x, box.left, box.right), py = scale(y, box.bottom, box.top);
  const label = ({ shown, logarithmic }, tick, digits) =>
    (shown ? shown(tick) : plain(tick, logarithmic ? 3 : digits)).replace("-", "−");
  const root = make("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y.title} over ${x.title}`,
  });
  let last = -100;
  for (const tick of x.ticks ?? ticksOf(x.low, x.high, x.logarithmic)) {
    root.append(make("line", { class: "grid", x1: px(tick), x2: px(tick), y1: box.top, y2: box.bottom }));
    if (px(tick) - last < 34) continue;
    last = px(tick);
    root.append(make("text", { x: px(tick), y: box.bottom + 18, "text-anchor": "middle" }, label(x, tick, 4)));
  }
  last = height + 100;
  for (const tick of y.ticks ?? ticksOf(y.low, y.high, y.logarithmic)) {
    root.append(make("line", { class: "grid", x1: box.left, x2: box.right, y1: py(tick), y2: py(tick) }));
    if (last - py(tick) < 13) continue;
    last = py(tick);
    root.append(make("text", { x: box.left - 8, y: py(tick) + 4, "text-anchor": "end" }, label(y, tick, 4)));
  }
  root.append(make("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  root.append(make("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, x.title));
  root.append(make("text", { x: 4, y: 14 }, y.title));
  return { root, width, box, px, py };
}

/**
 * Puts a plot into host and lets its spots {x, y, tip: [title, line, ...]} answer to the pointer, the nearest first, and to
 * the arrow keys, in their order.
 */
function answer(host, root, width, spots) {
  const ring = make("circle", { r: 8, fill: "none", stroke: "currentColor", "stroke-width": 1.5, visibility: "hidden" });
  root.append(ring);
  const tip = make("div", { class: "tip", hidden: "", role: "status" });
  const leave = () => { tip.hidden = true; ring.setAttribute("visibility", "hidden"); };
  let at = -1;
  const show = (spot) => {
    const scale = width / root.getBoundingClientRect().width, [title, ...lines] = spot.tip;
    at = spots.indexOf(spot);
    tip.replaceChildren(make("b", {}, title), ...lines.flatMap((text, line) => (line ? [make("br"), text] : [text])));
    tip.hidden = false;
    ring.setAttribute("cx", spot.x);
    ring.setAttribute("cy", spot.y);
    ring.setAttribute("visibility", "visible");
    const left = spot.x / scale + 14, room = host.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(left > room ? spot.x / scale - tip.offsetWidth - 14 : left, room))}px`;
    tip.style.top = `${Math.max(0, spot.y / scale - tip.offsetHeight - 10)}px`;
  };
  const point = (event) => {
    const frame = root.getBoundingClientRect(), scale = width / frame.width;
    const x = (event.clientX - frame.left) * scale, y = (event.clientY - frame.top) * scale;
    const far = (spot) => Math.hypot(spot.x - x, spot.y - y);
    const spot = spots.reduce((best, each) => (far(each) < far(best) ? each : best));
    if (far(spot) > 60) leave();
    else show(spot);
  };
  root.addEventListener("pointermove", point);
  root.addEventListener("pointerdown", point);
  root.addEventListener("pointerleave", leave);
  root.setAttribute("tabindex", 0);
  root.addEventListener("blur", leave);
  root.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") leave();
    if (!step) return;
    event.preventDefault();
    show(spots[Math.min(spots.length - 1, Math.max(0, at + step))]);
  });
  host.append(root, tip);
}

/**
 * Fills a table whose columns {title, value, show, words} are sorted by a click.  value(row) is sorted by, null last;
 * show(row) is what stands in the cell, value's text without it.
 */
function fill(table, columns, rows, sorted = null, own = () => false) {
  const order = [...rows];
  if (sorted) {
    const value = columns[sorted.at].value, sign = sorted.down ? -1 : 1;
    order.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (!known(x) || !known(y)) return known(y) - known(x);
      return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
    });
  }
  const heads = columns.map(({ title, words }, at) => {
    const here = sorted && sorted.at === at;
    const again = () => fill(table, columns, rows, { at, down: here ? !sorted.down : false }, own);
    const arrow = here ? (sorted.down ? " ↓" : " ↑") : "";
    const ariaSort = here ? (sorted.down ? "descending" : "ascending") : null;
    return make("th", { scope: "col", class: words ? "words" : null, "aria-sort": ariaSort },
      sorted ? make("button", { onclick: again }, title + arrow) : title);
  });
  const cell = (row, { value, show, words }) => {
    const content = show ? show(row) : value(row);
    return make("td", { class: words ? "words" : null }, known(content) ? content : "–");
  };
  const body = order.map((row) =>
    make("tr", { class: own(row) ? "own" : null }, ...columns.map((column) => cell(row, column))));
  table.replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
}
