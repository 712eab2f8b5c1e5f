"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { path, folder, width, height, bytes, quality, cluster } = data.pictures;
const n = path.length, side = data.side, across = data.across;
const xs = Float32Array.from(data.pictures.x, v => v / 65535), ys = Float32Array.from(data.pictures.y, v => v / 65535);
const vectors = Int8Array.from(atob(data.vectors.bytes), c => c.charCodeAt(0));
const bpp = Float32Array.from(bytes, (b, i) => 8 * b / (width[i] * height[i]));
const map = byId("map"), context = map.getContext("2d", { alpha: false });
const COLOURS = 12, NEIGHBOURS = 12, CELL = 24, MARGIN = 60;  // CELL: pixels of the grid that finds points
const MANY = 3000;  // points that are drawn as squares, which takes half the time

let view = { scale: 1, x: 0, y: 0 };  // screen = scale * point + (x, y)
let hovered = -1, focused = -1, opened = -1, results = [], shown = null;
const selected = new Set();
let colours = [], styles = {}, groups = [];  // groups: [name, colour, members] of the legend

// Colours

function readStyles() {
  const own = getComputedStyle(document.documentElement);
  for (const name of ["back", "card", "ink", "soft", "line", "accent", "none", "low", "high"]) {
    styles[name] = own.getPropertyValue("--" + name).trim();
  }
  styles.list = Array.from({ length: COLOURS }, (_, k) => own.getPropertyValue("--c" + k).trim());
}

function mix(share) {
  const parts = [styles.low, styles.high].map(c => [1, 3, 5].map(k => parseInt(c.slice(k, k + 2), 16)));
  return "#" + parts[0].map((low, k) => Math.round(low + (parts[1][k] - low) * share).toString(16).padStart(2, "0")).join("");
}

function colourBy(kind) {
  const legend = byId("legend");
  legend.replaceChildren();
  groups = [];
  if (kind === "folder" || kind === "cluster") {
    const values = kind === "folder" ? folder : cluster, members = new Map();
    values.forEach((value, i) => members.has(value) ? members.get(value).push(i) : members.set(value, [i]));
    const ranked = [...members.keys()].filter(v => v >= 0).sort((a, b) => members.get(b).length - members.get(a).length || a - b);
    const rest = ranked.slice(COLOURS).flatMap(v => members.get(v)).concat(members.get(-1) || []);
    ranked.slice(0, COLOURS).forEach((v, k) => {
      groups.push([kind === "folder" ? data.folders[v] || "." : "cluster " + (v + 1), styles.list[k], members.get(v)]);
    });
    if (rest.length) groups.push([kind === "folder" ? "other folders" : "in no cluster", styles.none, rest]);
    colours = new Array(n);
    for (const [, colour, list] of groups) for (const i of list) colours[i] = colour;
    for (const [name, colour, list] of groups) legend.append(legendButton(name, colour, list));
    return;
  }
  const values = kind === "quality" ? quality : bpp, steps = 32;
  const known = [...values].filter(v => v !== null).sort((a, b) => a - b);
  const low = known[0], high = known[Math.floor(0.99 * (known.length - 1))] ?? low;  // a few huge ones must not hide all others
  colours = Array.from(values, v => {
    if (v === null) return styles.none;
    const share = high > low ? Math.min(1, (v - low) / (high - low)) : 0.5;
    return mix(Math.round(share * steps) / steps);
  });
  if (known.length) {
    const item = document.createElement("li");
    item.className = "scale";
    const digits = kind === "bpp" ? 2 : 0;
    item.innerHTML = "<div></div><p><span></span><span></span></p>";
    item.querySelectorAll("span")[0].textContent = low.toFixed(digits);
    item.querySelectorAll("span")[1].textContent = high.toFixed(digits) + (known.at(-1) > high ? " and more" : "");
    legend.append(item);
  }
  const without = [...values.keys()].filter(i => values[i] === null);
  if (without.length) legend.append(legendButton("no .aec file", styles.none, without));
}

function legendButton(name, colour, members) {
  const item = document.createElement("li"), button = document.createElement("button");
  button.innerHTML = "<i></i><span></span><small></small>";
  button.querySelector("i").style.background = colour;
  button.querySelector("span").textContent = name;
  button.querySelector("small").textContent = members.length;
  button.title = "Select: " + name;
  button.onclick = () => { for (const i of members) if (isShown(i)) selected.add(i); changed(); };
  item.append(button);
  return item;
}

// Thumbnails: sheets are opened when the first of them is needed

const sheets = data.sheets.map(() => null);

function sheetOf(i) {
  const k = Math.floor(i / (across * across));
  if (!sheets[k]) {
    sheets[k] = new Image();
    sheets[k].onload = () => { redraw(); drawPanel(); drawTip(); };
    sheets[k].src = "data:image/webp;base64," + data.sheets[k].image;
  }
  return sheets[k];
}

function drawThumbnail(target, i, x, y, size) {
  const sheet = sheetOf(i), place = i % (across * across);
  const [w, h] = data.sheets[Math.floor(i / (across * across))].sizes[place];
  const zoom = size / side, dx = x + (size - w * zoom) / 2, dy = y + (size - h * zoom) / 2;
  if (sheet.complete && sheet.naturalWidth) {
    const left = place % across * side, top = Math.floor(place / across) * side;
    target.drawImage(sheet, left, top, w, h, dx, dy, w * zoom, h * zoom);
  } else {
    target.fillStyle = colours[i];
    target.fillRect(dx, dy, w * zoom, h * zoom);
  }
  return [dx, dy, w * zoom, h * zoom];
}

// Drawing

let asked = false, grid = null, near = [];  // grid: the shown points by cell, made when the pointer asks

function redraw() {
  if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; draw(); }); }
}

function isShown(i) { return !shown || shown.has(i); }

function draw() {
  const ratio = window.devicePixelRatio || 1, w = map.clientWidth, h = map.clientHeight;
  if (map.width !== Math.round(w * ratio) || map.height !== Math.round(h * ratio)) {
    map.width = Math.round(w * ratio);
    map.height = Math.round(h * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = styles.back;
  context.fillRect(0, 0, w, h);
  grid = null;
  near = [];
  const size = thumbnailSize(), batches = new Map();
  for (let i = 0; i < n; i++) {
    const x = view.scale * xs[i] + view.x, y = view.scale * ys[i] + view.y;
    if (x < -side || y < -side || x > w + side || y > h + side) continue;
    if (isShown(i)) near.push(i);
    const colour = isShown(i) ? colours[i] : styles.line;
    batches.has(colour) ? batches.get(colour).push(x, y) : batches.set(colour, [x, y]);
  }
  const dot = Math.max(2, Math.min(5, 90 / Math.sqrt(n + 1) + 1.5));
  for (const [colour, list] of batches) {
    context.fillStyle = colour;
    context.beginPath();
    for (let k = 0; k < list.length; k += 2) {
      if (near.length > MANY) {
        context.rect(list[k] - dot, list[k + 1] - dot, 2 * dot, 2 * dot);
      } else {
        context.moveTo(list[k] + dot, list[k + 1]);
        context.arc(list[k], list[k + 1], dot, 0, 6.2832);
      }
    }
    context.fill();
  }
  if (size) {
    const taken = new Set();  // no two thumbnails in one place: the rest stay points
    const above = [focused, opened, hovered].filter(i => i >= 0 && isShown(i));
    for (const [i, always] of [...near.map(i => [i, false]), ...above.map(i => [i, true])]) {
      const x = view.scale * xs[i] + view.x, y = view.scale * ys[i] + view.y;
      const cell = Math.floor(x / size) * 65536 + Math.floor(y / size);
      if (taken.has(cell) && !always) continue;
      taken.add(cell);
      const box = drawThumbnail(context, i, x - size / 2, y - size / 2, size);
      context.strokeStyle = selected.has(i) ? styles.accent : colours[i];
      context.lineWidth = selected.has(i) ? 4 : 1.5;
      context.strokeRect(...box);
    }
  }
  context.lineWidth = 2.5;
  for (const [list, colour] of [[selected, styles.accent], [results, styles.ink]]) {
    context.strokeStyle = colour;
    context.beginPath();
    for (const i of list) {
      const x = view.scale * xs[i] + view.x, y = view.scale * ys[i] + view.y;
      context.moveTo(x + dot + 3, y);
      context.arc(x, y, dot + 3, 0, 6.2832);
    }
    context.stroke();
  }
  for (const i of new Set([focused, opened, hovered])) {
    if (i < 0) continue;
    context.strokeStyle = styles.ink;
    context.beginPath();
    context.arc(view.scale * xs[i] + view.x, view.scale * ys[i] + view.y, dot + 7, 0, 6.2832);
    context.stroke();
  }
  if (frame) {
    context.strokeStyle = styles.accent;
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.strokeRect(frame.x0, frame.y0, frame.x1 - frame.x0, frame.y1 - frame.y0);
    context.setLineDash([]);
  }
}

function thumbnailSize() {  // 0 where they would cover each other
  const room = view.scale / Math.sqrt(n + 1);
  return room < 20 ? 0 : Math.min(side, room * 1.1);
}

function cellOf(x, y) { return Math.floor(x / CELL) * 65536 + Math.floor(y / CELL); }

function nearest(x, y, reach) {
  if (!grid) {
    grid = new Map();
    for (const i of near) {
      const cell = cellOf(view.scale * xs[i] + view.x, view.scale * ys[i] + view.y);
      grid.has(cell) ? grid.get(cell).push(i) : grid.set(cell, [i]);
    }
  }
  let best = -1, least = reach * reach;
  const cells = Math.ceil(reach / CELL);
  for (let a = -cells; a <= cells; a++) for (let b = -cells; b <= cells; b++) {
    for (const i of grid.get(cellOf(x + a * CELL, y + b * CELL)) || []) {
      const d = (view.scale * xs[i] + view.x - x) ** 2 + (view.scale * ys[i] + view.y - y) ** 2;
      if (d < least) { least = d; best = i; }
    }
  }
  return best;
}

// Moving

function fit() {
  const w = map.clientWidth, h = map.clientHeight;
  view.scale = Math.max(50, Math.min(w - MARGIN, h - 2 * MARGIN));
  view.x = (w - view.scale) / 2;
  view.y = (h - view.scale) / 2;
  redraw();
}

function zoomAtFocus(factor) {
  if (focused < 0) zoom(factor);
  else zoom(factor, view.scale * xs[focused] + view.x, view.scale * ys[focused] + view.y);
}

function zoom(factor, x = map.clientWidth / 2, y = map.clientHeight / 2) {
  const scale = Math.max(50, Math.min(2e6, view.scale * factor)), part = scale / view.scale;
  view.x = x - (x - view.x) * part;
  view.y = y - (y - view.y) * part;
  view.scale = scale;
  redraw();
}

function reveal(i) {
  const x = view.scale * xs[i] + view.x, y = view.scale * ys[i] + view.y, w = map.clientWidth, h = map.clientHeight;
  const panel = byId("panel").hidden ? null : byId("panel").getBoundingClientRect(), wide = panel && panel.width < w / 2;
  const right = wide ? panel.left : w, bottom = panel && !wide ? panel.top : h;
  if (x < MARGIN || x > right - MARGIN) view.x += right / 2 - x;
  if (y < MARGIN || y > bottom - MARGIN) view.y += bottom / 2 - y;
  redraw();
}

const fingers = new Map();
let frame = null, moved = 0, framing = false;

map.addEventListener("pointerdown", event => {
  map.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  moved = fingers.size > 1 ? 100 : 0;
  frame = null;
  if ((event.shiftKey || framing) && fingers.size === 1) {
    frame = { x0: event.offsetX, y0: event.offsetY, x1: event.offsetX, y1: event.offsetY };
  }
});
map.addEventListener("pointermove", event => {
  const old = fingers.get(event.pointerId);
  if (!old) { if (event.pointerType !== "touch") hover(event.offsetX, event.offsetY); return; }
  const now = [event.offsetX, event.offsetY];
  moved += Math.abs(now[0] - old[0]) + Math.abs(now[1] - old[1]);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const before = Math.hypot(old[0] - other[0], old[1] - other[1]), after = Math.hypot(now[0] - other[0], now[1] - other[1]);
    view.x += (now[0] - old[0]) / 2;
    view.y += (now[1] - old[1]) / 2;
    if (before > 0) zoom(after / before, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  } else if (frame) {
    [frame.x1, frame.y1] = now;
  } else if (moved > 4) {
    view.x += now[0] - old[0];
    view.y += now[1] - old[1];
    hover(-1e9, 0);
  }
  fingers.set(event.pointerId, now);
  redraw();
});
map.addEventListener("pointerup", event => {
  fingers.delete(event.pointerId);
  if (frame && moved > 4) {
    const [left, right] = [frame.x0, frame.x1].sort((a, b) => a - b), [top, bottom] = [frame.y0, frame.y1].sort((a, b) => a - b);
    for (let i = 0; i < n; i++) {
      const x = view.scale * xs[i] + view.x, y = view.scale * ys[i] + view.y;
      if (isShown(i) && x >= left && x <= right && y >= top && y <= bottom) selected.add(i);
    }
    changed();
  } else if (moved <= 4 && !fingers.size) {
    const i = nearest(event.offsetX, event.offsetY, event.pointerType === "touch" ? 24 : 12 + thumbnailSize() / 2);
    if (i >= 0 && (event.ctrlKey || event.metaKey)) toggle(i);
    else if (i >= 0) open(i);
  }
  frame = null;
  redraw();
});
map.addEventListener("pointercancel", event => { fingers.delete(event.pointerId); frame = null; redraw(); });
map.addEventListener("pointerleave", () => hover(-1e9, 0));
map.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
}, { passive: false });

function hover(x, y) {
  const i = x < -1e8 ? -1 : nearest(x, y, 12 + thumbnailSize() / 2);
  if (i !== hovered) { hovered = i; drawTip(); redraw(); }
  if (i >= 0) placeTip(x, y);
}

function placeTip(x, y) {
  const tip = byId("tip"), w = map.clientWidth, h = map.clientHeight;
  tip.style.left = Math.max(4, Math.min(x + 14, w - tip.offsetWidth - 4)) + "px";
  tip.style.top = (y + 14 + tip.offsetHeight > h ? y - tip.offsetHeight - 10 : y + 14) + "px";
}

function drawTip() {
  byId("tip").hidden = hovered < 0;
  if (hovered < 0) return;
  const small = byId("small").getContext("2d");
  small.clearRect(0, 0, 96, 96);
  drawThumbnail(small, hovered, 0, 0, 96);
  byId("name").textContent = words(hovered);
}

function words(i) {
  const size = bytes[i] >= 1e6 ? (bytes[i] / 1e6).toFixed(1) + " MB" : (bytes[i] / 1e3).toFixed(1) + " kB";
  const coded = quality[i] === null ? "" : ", quality " + quality[i];
  return `${path[i]}\n${width[i]} × ${height[i]}, ${size}\n${bpp[i].toFixed(2)} bits per pixel${coded}`;
}

// Search and selection

function similarTo(i) {
  const length = data.length, own = vectors.subarray(i * length, (i + 1) * length), found = new Float32Array(n);
  for (let j = 0, k = 0; j < n; j++) {
    let sum = 0;
    for (let m = 0; m < length; m++, k++) sum += own[m] * vectors[k];
    found[j] = sum * data.vectors.unit ** 2;
  }
  const order = [...found.keys()].filter(j => j !== i && isShown(j)).sort((a, b) => found[b] - found[a]);
  return order.slice(0, NEIGHBOURS).map(j => [j, found[j]]);
}

function open(i) {
  focused = opened = i;
  const found = similarTo(i);
  results = found.map(([j]) => j);
  const list = byId("similar");
  list.replaceChildren(...found.map(([j, similarity]) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    canvas.dataset.picture = j;
    button.append(canvas, `${similarity.toFixed(2)}  ${path[j].split("/").at(-1)}`);
    button.title = path[j];
    button.onclick = () => { open(j); };
    item.append(button);
    return item;
  }));
  byId("panel").hidden = false;
  byId("panel").scrollTop = 0;
  drawPanel();
  reveal(i);
  say(`${path[i]}. Most like it: ${found.slice(0, 3).map(([j]) => path[j]).join(", ")}`);
}

function drawPanel() {
  if (opened < 0) return;
  const large = byId("large").getContext("2d");
  large.clearRect(0, 0, 192, 192);
  drawThumbnail(large, opened, 0, 0, 192);
  byId("about").textContent = words(opened);
  byId("toggle").textContent = selected.has(opened) ? "deselect" : "select";
  for (const canvas of byId("similar").querySelectorAll("canvas")) {
    const target = canvas.getContext("2d");
    target.clearRect(0, 0, side, side);
    drawThumbnail(target, +canvas.dataset.picture, 0, 0, side);
  }
}

function close() {
  opened = -1;
  results = [];
  byId("panel").hidden = true;
  map.focus();
  redraw();
}

function toggle(i) {
  if (!selected.delete(i)) selected.add(i);
  changed();
}

function changed() {
  byId("copy").disabled = byId("clear").disabled = !selected.size;
  const some = shown ? `${shown.size} of ${n}` : `${n}`;
  byId("count").textContent = `${some} pictures` + (selected.size ? `, ${selected.size} selected` : "");
  if (opened >= 0) drawPanel();
  redraw();
}

async function copy() {
  if (!selected.size) return;
  const text = [...selected].sort((a, b) => a - b).map(i => path[i]).join("\n") + "\n", area = byId("paths");
  area.value = text;
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {  // a page that was opened from disk may not
    area.select();
    done = document.execCommand("copy");
    map.focus();
  }
  say(done ? `${selected.size} paths copied` : "the browser does not let this page copy");
  byId("copy").textContent = done ? "copied" : "not allowed";
  setTimeout(() => { byId("copy").textContent = "copy paths"; }, 1500);
}

function say(text) { byId("status").textContent = text; }

// Keys

function step(dx, dy) {
  if (focused < 0 || !isShown(focused)) {
    focused = [...Array(n).keys()].filter(isShown).sort((a, b) => Math.hypot(xs[a] - 0.5, ys[a] - 0.5)
      - Math.hypot(xs[b] - 0.5, ys[b] - 0.5))[0] ?? -1;
  } else {
    let best = -1, least = Infinity;
    for (let i = 0; i < n; i++) {
      if (i === focused || !isShown(i)) continue;
      const along = (xs[i] - xs[focused]) * dx + (ys[i] - ys[focused]) * dy;
      const aside = Math.abs((xs[i] - xs[focused]) * dy) + Math.abs((ys[i] - ys[focused]) * dx);
      if (along <= 0 || aside > 1.5 * along) continue;
      const d = along + 2 * aside;
      if (d < least) { least = d; best = i; }
    }
    if (best >= 0) focused = best;
  }
  if (focused < 0) return;
  hovered = focused;
  reveal(focused);
  draw();
  drawTip();
  placeTip(view.scale * xs[focused] + view.x, view.scale * ys[focused] + view.y);
  say(path[focused]);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.key === "Escape") {
    if (opened >= 0) close(); else { selected.clear(); changed(); }
    return;
  }
  if (event.target.closest("input, select, button") && !(event.key in ARROWS && event.target.closest("button"))) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) { view.x -= 80 * arrow[0]; view.y -= 80 * arrow[1]; redraw(); }
  else if (arrow) step(...arrow);
  else if (event.key === "Enter" && focused >= 0) open(focused);
  else if (event.key === " " && focused >= 0) toggle(focused);
  else if (event.key === "+" || event.key === "=") zoomAtFocus(1.4);
  else if (event.key === "-") zoomAtFocus(1 / 1.4);
  else if (event.key === "0") fit();
  else if (event.key === "c") copy();
  else if (event.key === "?") byId("help").showModal();
  else return;
  event.preventDefault();
});

byId("zoom-in").onclick = () => zoomAtFocus(1.5);
byId("zoom-out").onclick = () => zoomAtFocus(1 / 1.5);
byId("fit").onclick = fit;
byId("mode").onclick = () => {
  framing = !framing;
  byId("mode").setAttribute("aria-pressed", framing);
  map.classList.toggle("frame", framing);
};
byId("help-button").onclick = () => byId("help").showModal();
byId("close").onclick = close;
byId("toggle").onclick = () => toggle(opened);
byId("select-similar").onclick = () => { for (const i of [opened, ...results]) selected.add(i); changed(); };
byId("copy").onclick = copy;
byId("clear").onclick = () => { selected.clear(); changed(); };
byId("colour").onchange = () => { colourBy(byId("colour").value); redraw(); };
byId("filter").oninput = () => {
  const text = byId("filter").value.toLowerCase();
  shown = text ? new Set([...path.keys()].filter(i => path[i].toLowerCase().includes(text))) : null;
  changed();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readStyles();
  colourBy(byId("colour").value);
  redraw();
});
addEventListener("resize", redraw);

document.title = byId("title").textContent = data.title;
byId("title").title = data.title;
readStyles();
colourBy("folder");
fit();
changed();
