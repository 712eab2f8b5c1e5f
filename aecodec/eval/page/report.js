const report = JSON.parse(document.getElementById("data").textContent);
const column = Object.fromEntries(report.columns.map((name, index) => [name, index]));
const metrics = Object.keys(report.metrics);
const codecs = Object.keys(report.codecs);
const references = Object.keys(report.references);
const state = { metric: metrics[0], picture: "", hidden: new Set() };

// ---------------------------------------------------------------- small tools

// What curves have of a value, as CURVES of metrics.py; null where it is infinite.
const CURVES = {
  plain: (value) => value,
  similarity: (value) => (value < 1 ? -10 * Math.log10(1 - value) : null),
  jod: (value) => (value < 10 ? -Math.log(10 - value) : null),
};
const short = (metric) => report.metrics[metric].title.split(",")[0];

/** A metric's value as curves have it; null where it is infinite or undefined. */
function onCurve(metric, value) {
  return known(value) ? CURVES[report.metrics[metric].curve](value) : value;
}

function shown(metric, value) {
  if (!known(value)) return "∞ or none";
  const { curve } = report.metrics[metric];
  if (curve === "plain") return value.toFixed(2);
  if (curve === "jod") return `${value.toFixed(3)} JOD`;
  const decibels = onCurve(metric, value);
  return `${value.toFixed(4)} (${known(decibels) ? decibels.toFixed(2) : "∞"} dB)`;
}

const colour = (name) => {
  const index = codecs.indexOf(name);
  return index < 0 ? "var(--soft)" : `var(--c${index % 12})`;
};
const swatch = (name) => make("span", { class: "swatch", style: `background:${colour(name)}` });
const titled = (name) => (codecs.includes(name) ? name : `${name} (published)`);
const codecCell = (name) => make("span", {}, swatch(name), titled(name));
const bdOf = (name) => (report.codecs[name] ?? report.references[name]).bd;

// ---------------------------------------------------------------- plots

/** Shapes that tell codecs apart without colour. */
function marker(index, x, y, fill) {
  const r = 4.5;
  if (index % 4 === 1) return make("rect", { x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1, fill });
  if (index % 4 === 2) return make("polygon",
    { points: `${x},${y - r - 1} ${x + r},${y + r - 1} ${x - r},${y + r - 1}`, fill });
  if (index % 4 === 3) return make("polygon",
    { points: `${x},${y - r - 1} ${x + r + 1},${y} ${x},${y + r + 1} ${x - r - 1},${y}`, fill });
  return make("circle", { cx: x, cy: y, r, fill });
}

/**
 * Draws series of points {x, y, tip: [title, line, ...]} into host; x is logarithmic.  A series is
 * {name, points, line, names}: with line its points are joined, with names each bears its series' name.
 */
function plot(host, series, xTitle, yTitle) {
  const all = series.flatMap((each) => each.points);
  host.replaceChildren();
  if (!all.length) {
    host.append(make("p", { class: "note" }, "There is nothing to draw here."));
    return;
  }
  const range = (values, room) => {
    const low = Math.min(...values), high = Math.max(...values), more = (high - low || Math.abs(high) || 1) * room;
    return [low - more, high + more];
  };
  const [x0, x1] = range(all.map((point) => Math.log(point.x)), 0.05);
  const [y0, y1] = range(all.map((point) => point.y), 0.07);
  const { root, width, px, py } = axes(host,
    { low: Math.exp(x0), high: Math.exp(x1), logarithmic: true, title: xTitle }, { low: y0, high: y1, title: yTitle });
  const spots = [], labels = all.map((point) => ({ from: px(point.x) - 6, to: px(point.x) + 6, at: py(point.y) + 4 }));
  for (const { name, points, line, names } of series) {
    const index = codecs.indexOf(name), stroke = colour(name), last = points[points.length - 1];
    const path = points.map((point, at) => `${at ? "L" : "M"}${px(point.x).toFixed(1)},${py(point.y).toFixed(1)}`).join("");
    const dash = index < 0 ? "5 4" : null, thick = name.startsWith("aecodec") ? 2.8 : 1.8;
    if (line) root.append(make("path", { d: path, fill: "none", stroke, "stroke-width": thick, "stroke-dasharray": dash }));
    for (const point of points) {
      const x = px(point.x), y = py(point.y);
      if (index >= 0) root.append(marker(index, x, y, stroke));
      spots.push({ x, y, tip: point.tip });
      if (names) {
        const end = x > width * 0.7, from = end ? x - 9 - 7.5 * name.length : x + 9, to = from + 7.5 * name.length;
        const free = (at) => labels.every((each) => to < each.from || from > each.to || Math.abs(at - each.at) > 13);
        const at = [y + 4, y - 10, y + 18, y - 24, y + 32].find(free) ?? y + 4;
        labels.push({ from, to, at });
        root.append(
          make("text", { class: "name", x: x + (end ? -9 : 9), y: at, "text-anchor": end ? "end" : "start" }, name));
      }
    }
    if (line && index < 0 && last)
      root.append(make("text", { x: px(last.x), y: py(last.y) - 7, "text-anchor": "end" }, titled(name)));
  }
  answer(host, root, width, spots);
}

// ---------------------------------------------------------------- tables

/** A BD-rate for a cell: signed, green where bytes are saved; a reason instead of a number is told on hover. */
function bdCell(value, digits = 1) {
  if (!known(value)) return "–";
  if (typeof value === "string") return make("span", { class: "dim", title: value }, "none");
  const text = (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits) + " %";
  return make("span", { class: value < 0 ? "good" : value > 0 ? "bad" : null }, text);
}

// ---------------------------------------------------------------- sections

function drawHead() {
  const { environment, averaged, anchor } = report;
  const first = codecs.find((name) => name !== anchor);
  const saved = first && bdOf(first)?.[metrics[0]]?.pchip.mean.percent;
  if (known(saved))
    byId("headline").textContent = `${first} needs ${Math.abs(saved).toFixed(1)} % ${saved < 0 ? "fewer" : "more"} ` +
      `bytes than ${anchor} at equal ${short(metrics[0])}`;
  document.title = byId("headline").textContent;
  const pictures = Object.keys(report.images).length;
  byId("what").textContent = `${count(pictures, "picture")}, ${count(codecs.length, "codec")}; ` +
    (averaged.length === pictures ? "means are over all of them"
      : `means are over the ${averaged.length} that every codec ` +
      "coded at every quality and that are large enough for every metric") + `. ${environment.date}, ${environment.cpu}.`;
  const cards = codecs.filter((name) => name !== anchor).map((name) => {
    const value = bdOf(name)?.[metrics[0]]?.pchip.mean.percent;
    return make("li", {}, make("b", {}, bdCell(value)), codecCell(name));
  });
  byId("cards").append(...cards);
  if (cards.length)
    byId("cards-note").textContent = `Bytes against ${anchor} at equal ${short(metrics[0])}, by pchip on mean curves.`;
}

function drawMetricButtons() {
  byId("metrics").replaceChildren(...metrics.map((metric) => make("button", {
    "aria-pressed": String(metric === state.metric),
    onclick: () => { state.metric = metric; drawMetricButtons(); drawMetric(); },
  }, short(metric))));
}

function tipOf(name, row) {
  const pixelsPerSecond = (seconds) => (seconds ? `${plain(1000 * seconds)} ms` : "–");
  const lines = [`${row[column.bpp].toFixed(3)} bits per pixel`];
  const values = metrics.map((metric) => [metric, row[column[metric]]]);
  for (const [metric, value] of values) if (known(value)) lines.push(`${short(metric)} ${shown(metric, value)}`);
  if (known(row[column.encode_seconds]))
    lines.push(
      `CPU: ${pixelsPerSecond(row[column.encode_seconds])} to write, ` +
      `${pixelsPerSecond(row[column.decode_seconds])} to read`);
  return [known(row[column.quality]) ? `${name}, quality ${row[column.quality]}` : titled(name), ...lines];
}

function drawCurves() {
  const series = [...codecs, ...references].filter((name) => !state.hidden.has(name)).map((name) => {
    const source = report.codecs[name] ?? report.references[name];
    const rows = state.picture === "" ? source.points : source.images?.[state.picture] ?? [];
    const points = rows.map((row) => ({ x: row[column.bpp], y: onCurve(state.metric, row[column[state.metric]]),
      tip: tipOf(name, row) }));
    return { name, line: true, points: points.filter((point) => known(point.y)) };
  });
  plot(byId("curve-plot"), series, "bits per pixel", report.metrics[state.metric].title);
  byId("legend").replaceChildren(...[...codecs, ...references].map((name) => make("button", {
    "aria-pressed": String(!state.hidden.has(name)),
    onclick: () => { state.hidden.delete(name) || state.hidden.add(name); drawCurves(); },
  }, swatch(name), titled(name))));
}

/** aecodec, by the weights that are chosen, against everything else. */
function drawAgainst() {
  const ours = byId("against-codec").value, others = report.against[ours] ?? {};
  byId("against").hidden = !Object.keys(others).length;
  byId("against-note").textContent =
    `BD-rate of ${ours} against each: the difference in bytes at equal quality, averaged ` +
    "over the qualities that both curves reach, by pchip on mean curves. Negative is smaller files.";
  fill(byId("against-all"), [
    { title: "against", value: (row) => row, show: codecCell },
    { title: "settings", value: (row) => (report.codecs[row] ?? report.references[row]).settings ?? "published",
      words: true },
    ...metrics.map((metric) => ({
      title: short(metric),
      value: (row) => others[row][metric].percent,
      show: (row) => bdCell(others[row][metric].percent ?? others[row][metric].error),
    })),
  ], Object.keys(others));
}

function drawBd() {
  const { anchor } = report, others = [...codecs, ...references].filter((name) => name !== anchor && bdOf(name));
  byId("bd").hidden = !others.length;
  byId("bd-head").textContent = `Every codec against ${anchor}`;
  byId("bd-note").textContent = `BD-rate against ${anchor} (${report.codecs[anchor].settings}): the difference in ` +
    "bytes at equal quality, averaged over the qualities that both curves reach, by pchip. Negative is smaller files." +
    (references.length ? " Published curves mean something here only where they are of these same pictures." : "");
  const own = (name) => name.startsWith("aecodec");
  const name = { title: "codec", value: (row) => row, show: codecCell };
  fill(byId("bd-all"), [name, ...metrics.map((metric) => ({
    title: short(metric),
    value: (row) => bdOf(row)[metric].pchip.mean.percent,
    show: (row) => bdCell(bdOf(row)[metric].pchip.mean.percent ?? bdOf(row)[metric].pchip.mean.error),
  }))], others, { at: 1, down: false }, own);
  byId("bd-title").textContent = `${short(state.metric)} in detail`;
  const of = (row, method = "pchip") => bdOf(row)[state.metric][method];
  const values = others.flatMap((row) => Object.values(of(row).images)).filter((value) => typeof value === "number");
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  byId("bd-spread").textContent =
    "Overlap is the part of both curves' range that the average is over. Best, median and worst are " +
    `of single pictures, which are the dots, from ${percent(low)} to ${percent(high)} with a line at 0.`;
  const single = (title, value, show = null) => ({ title, value, show });
  const spread = (at) => (row) => of(row).spread?.[at];
  const range = ({ low, high }) => `${low.toFixed(2)} … ${high.toFixed(2)}`;
  fill(byId("bd-one"), [name,
    single("pchip", (row) => of(row).mean.percent, (row) => bdCell(of(row).mean.percent ?? of(row).mean.error, 2)),
    single("cubic", (row) => of(row, "cubic").mean.percent,
      (row) => bdCell(of(row, "cubic").mean.percent ?? of(row, "cubic").mean.error, 2)),
    single("overlap", (row) => of(row).mean.overlap,
      (row) => (known(of(row).mean.overlap) ? `${Math.round(100 * of(row).mean.overlap)} %` : "–")),
    single("from … to", (row) => of(row).mean.low,
      (row) => (known(of(row).mean.low) ? range(of(row).mean).replaceAll("-", "−") : "–")),
    ...["best", "median", "worst"].map((title, at) => single(title, spread(at), (row) => bdCell(spread(at)(row)))),
    single("each picture", spread(1), (row) => of(row).spread
      && strip(Object.entries(of(row).images), low, high, colour(row))),
  ], others, { at: 1, down: false }, own);
}

/** A dot for each picture's BD-rate between low and high; a line stands at 0. */
function strip(images, low, high, fillColour) {
  const x = (value) => 6 + (188 * (value - low)) / (high - low || 1);
  const dots = images.filter(([, value]) => typeof value === "number").map(([image, value]) =>
    make("circle", { cx: x(value), cy: 13, r: 4, fill: fillColour, "fill-opacity": 0.45 },
      make("title", {}, `${image} ${percent(value)}`)));
  return make("svg", { class: "strip", viewBox: "0 0 200 26" },
    make("line", { x1: x(0), x2: x(0), y1: 2, y2: 24, stroke: "var(--soft)" }), ...dots);
}

function drawSpeed() {
  const way = byId("speed-way").value;
  const value = (name) => (name === report.anchor ? 0 : bdOf(name)?.[state.metric]?.pchip.mean.percent);
  const series = codecs.filter((name) => known(value(name)) && report.codecs[name].speed[way]).map((name) => {
    const speed = report.codecs[name].speed, words = (each) => `${plain(speed[each])} MP/s ${each.slice(0, -1)}ing`;
    return { name, names: true, points: [{ x: speed[way], y: value(name),
      tip: [name, `${percent(value(name))} bytes at equal ${short(state.metric)}`, words("encode"), words("decode")] }] };
  });
  plot(byId("speed-plot"), series, `megapixels per CPU second, ${way.slice(0, -1)}ing`,
    `BD-rate of ${short(state.metric)}, %`);
}

function drawPictures() {
  const others = codecs.filter((name) => name !== report.anchor && bdOf(name));
  byId("pictures-note").textContent =
    `BD-rate of ${short(state.metric)} against ${report.anchor} on each picture, the worst ` +
    `for ${others[0] ?? "the first codec"} first. A click on a heading sorts, one on a name shows the picture's curves.`;
  const value = (codec, image) => bdOf(codec)[state.metric].pchip.images[image];
  const show = (image) => {
    byId("curve-picture").value = state.picture = image;
    drawCurves();
    byId("curves").scrollIntoView();
  };
  fill(byId("picture-table"), [
    { title: "picture", value: (row) => row, show: (row) => make("button", { onclick: () => show(row) }, row) },
    { title: "size", value: (row) => report.images[row][0] * report.images[row][1],
      show: (row) => report.images[row].join(" × ") },
    ...others.map((codec) => ({
      title: codec,
      value: (row) => (typeof value(codec, row) === "number" ? value(codec, row) : null),
      show: (row) => bdCell(value(codec, row)),
    })),
  ], Object.keys(report.images), { at: others.length ? 2 : 0, down: others.length > 0 });
}

function drawFailures() {
  const absent = Object.entries(report.absent).map(([name, reason]) => ({ picture: "every picture", codec: name, reason }));
  const all = [...absent, ...report.failures];
  if (!all.length) {
    byId("failure-list").append(make("p", { class: "note" },
      "Nothing: every codec measured every picture at every quality."));
    return;
  }
  const table = make("table");
  fill(table, [
    { title: "picture", value: (row) => row.picture },
    { title: "codec or metric", value: (row) => row.codec ?? "all", words: true },
    { title: "quality", value: (row) => row.quality ?? null },
    { title: "reason", value: (row) => row.reason, words: true },
  ], all);
  byId("failure-list").append(make("div", { class: "scroll" }, table));
}

function drawHow() {
  const { environment } = report;
  const list = (host, entries) => host.append(
    ...entries.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
  list(byId("environment"), [
    ["Command", make("code", {}, environment.command)],
    ["Date", environment.date],
    ["CPU",
      `${environment.cpu}, ${count(environment.cores, "core")}; ` +
      `${count(environment.processes, "measurement")} at a time, one thread each`],
    ["System", `${environment.system}, Python ${environment.python}`],
    ["Versions", Object.entries(environment.versions).map((pair) => pair.join(" ")).join(", ")],
    ["Published curves", references.map((name) =>
      `${name} (${report.references[name].source}: ${report.references[name].description})`).join("; ") || "none"],
    ["Rates", "whole files, without metadata; pictures are compared as 8-bit RGB, alpha left out"],
    ["Means",
      "of each metric over pictures at each quality, every picture the same weight; " +
      "curves in dB or logarithms are of that mean"],
  ]);
  fill(byId("codec-table"), [
    { title: "codec", value: (row) => row, show: codecCell },
    { title: "settings", value: (row) => report.codecs[row].settings, words: true },
    { title: "version", value: (row) => report.codecs[row].version, words: true },
    { title: "qualities", value: (row) =>
      (report.codecs[row].points.length ? report.codecs[row].points : Object.values(report.codecs[row].images)[0] ?? [])
      .map((point) => point[column.quality]).join(" "), words: true },
    ...["encode", "decode"].map((way) => ({ title: `${way}, MP/s`, value: (row) => report.codecs[row].speed[way],
      show: (row) => (report.codecs[row].speed[way] ? plain(report.codecs[row].speed[way]) : "–") })),
  ], codecs);
  list(byId("definitions"), metrics.map((metric) => [report.metrics[metric].title, report.metrics[metric].definition]));
}

// ---------------------------------------------------------------- side by side

const look = { divider: 50, zoom: 1, x: 0, y: 0, turn: 0 };
const ORIGINAL = "original";
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];  // black to yellow, dark is exact

async function pixelsOf(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Mean absolute difference of R, G and B, times 8, on RAMP. */
function errorMap(a, b) {
  const out = new ImageData(a.width, a.height);
  for (let at = 0; at < a.data.length; at += 4) {
    let error = 0;
    for (let channel = 0; channel < 3; channel++) error += Math.abs(a.data[at + channel] - b.data[at + channel]);
    const place = Math.min(1, ((error / 3) * 8) / 255) * (RAMP.length - 1),
      step = Math.min(RAMP.length - 2, Math.floor(place));
    for (let channel = 0; channel < 3; channel++)
      out.data[at + channel] = RAMP[step][channel] + (place - step) * (RAMP[step + 1][channel] - RAMP[step][channel]);
    out.data[at + 3] = 255;
  }
  return out;
}

function lookEntry() {
  const entry = report.embedded[byId("look-picture").value];
  return { entry, level: entry.levels[byId("look-level").value] };
}

async function drawLook() {
  const turn = ++look.turn, { entry, level } = lookEntry();
  const [left, top, right, bottom] = entry.box, original = await pixelsOf(entry.original);
  const stage = byId("stage");
  stage.style.aspectRatio = `${right - left} / ${bottom - top}`;
  stage.style.maxWidth = `calc(85vh * ${(right - left) / (bottom - top)})`;
  for (const side of ["a", "b"]) {
    const name = byId(`look-${side}`).value, file = level.codecs[name];
    const pixels = name === ORIGINAL ? original : await pixelsOf(file.image);
    if (turn !== look.turn) return;
    const canvas = byId(`canvas-${side}`);
    [canvas.width, canvas.height] = [pixels.width, pixels.height];
    canvas.getContext("2d").putImageData(byId("look-mode").value === "error" ? errorMap(original, pixels) : pixels, 0, 0);
    byId(`tag-${side}`).textContent = name;
    const facts = file && [`quality ${file.quality}`, size(file.bytes), `${file.bpp.toFixed(3)} bits per pixel`,
      ...metrics.filter((metric) => known(file[metric])).map((metric) =>
        `${short(metric)} ${shown(metric, file[metric])}`)];
    byId(`caption-${side}`).replaceChildren(make("b", {}, name), make("br"), facts ? facts.join(" · ")
      : `${entry.width} × ${entry.height}`);
  }
  const cut = right - left < entry.width || bottom - top < entry.height;
  byId("look-note").textContent = "Worst pictures first, each codec at the quality whose file comes nearest to one size" +
    (cut ? "; of this large picture the middle is shown, the numbers are those of the whole" : "") +
    ". Drag the line; double-click to zoom, then drag the picture.";
  place();
}

/** Puts divider, zoom and position on the screen. */
function place() {
  const stage = byId("stage"), { width, height } = stage.getBoundingClientRect();
  look.x = Math.min(0, Math.max(width * (1 - look.zoom), look.x));
  look.y = Math.min(0, Math.max(height * (1 - look.zoom), look.y));
  const move = `translate(${look.x}px, ${look.y}px) scale(${look.zoom})`;
  for (const side of ["a", "b"]) byId(`canvas-${side}`).style.transform = move;
  byId("pane-b").style.clipPath = `inset(0 0 0 ${look.divider}%)`;
  byId("bar").style.left = `${look.divider}%`;
  byId("divider").value = look.divider;
  byId("zoom").textContent = `${look.zoom}×`;
  stage.classList.toggle("zoomed", look.zoom > 1);
}

/** Zooms so that the point (x, y) of the stage stays where it is. */
function zoomTo(zoom, x, y) {
  zoom = Math.min(16, Math.max(1, zoom));
  look.x = x - ((x - look.x) * zoom) / look.zoom;
  look.y = y - ((y - look.y) * zoom) / look.zoom;
  look.zoom = zoom;
  place();
}

function lookChosen() {
  const { entry, level } = lookEntry(), names = Object.keys(level.codecs);
  const before = [byId("look-a").value, byId("look-b").value];
  const fallback = [names.find((name) => name !== report.anchor), report.anchor];
  for (const [at, side] of ["a", "b"].entries()) {
    options(byId(`look-${side}`), [ORIGINAL, ...names].map((name) => [name, name]));
    byId(`look-${side}`).value = [before[at], fallback[at], ORIGINAL].find((name) => name === ORIGINAL
      || names.includes(name));
  }
  return drawLook(entry);
}

function startLook() {
  if (!report.embedded.length) {
    byId("look").remove();
    return;
  }
  const first = codecs.find((name) => name !== report.anchor);
  const worth = (name) => first && bdOf(first)?.[metrics[0]]?.pchip.images[name];
  options(byId("look-picture"), report.embedded.map(({ name }, at) =>
    [at, typeof worth(name) === "number" ? `${name} (${percent(worth(name))})` : name]));
  const levels = () => options(byId("look-level"), lookEntry_levels());
  const lookEntry_levels = () => report.embedded[byId("look-picture").value].levels.map((level, at) =>
    [at, `${size(level.bytes)}, ${level.bpp.toFixed(2)} bpp`]);
  byId("look-picture").addEventListener("change", () => { levels(); lookChosen(); });
  byId("look-level").addEventListener("change", lookChosen);
  for (const id of ["look-a", "look-b", "look-mode"]) byId(id).addEventListener("change", drawLook);
  byId("divider").addEventListener("input", (event) => { look.divider = Number(event.target.value); place(); });
  const stage = byId("stage"), middle = () => [stage.clientWidth / 2, stage.clientHeight / 2];
  byId("zoom-in").addEventListener("click", () => zoomTo(look.zoom * 2, ...middle()));
  byId("zoom-out").addEventListener("click", () => zoomTo(look.zoom / 2, ...middle()));
  const at = (event) => {
    const { left, top } = stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  stage.addEventListener("dblclick", (event) => zoomTo(look.zoom > 1 ? 1 : 4, ...at(event)));
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;  // a page that scrolls must not stop at the picture
    event.preventDefault();
    zoomTo(look.zoom * (event.deltaY < 0 ? 2 : 0.5), ...at(event));
  }, { passive: false });
  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    drag = { bar: look.zoom === 1 || event.target === byId("bar"), x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
    move(event);
  });
  const move = (event) => {
    if (!drag) return;
    if (drag.bar) look.divider = Math.min(100, Math.max(0, (100 * at(event)[0]) / stage.clientWidth));
    else [look.x, look.y] = [look.x + event.clientX - drag.x, look.y + event.clientY - drag.y];
    [drag.x, drag.y] = [event.clientX, event.clientY];
    place();
  };
  stage.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { drag = null; });
  levels();
  lookChosen();
}

// ---------------------------------------------------------------- start

function drawMetric() {
  drawCurves();
  drawBd();
  drawSpeed();
  drawPictures();
}

options(byId("curve-picture"), [["", "mean of all"], ...Object.keys(report.images).map((name) => [name, name])]);
byId("curve-picture").addEventListener("change", (event) => { state.picture = event.target.value; drawCurves(); });
byId("speed-way").addEventListener("change", drawSpeed);
options(byId("against-codec"), Object.keys(report.against).map((name) => [name, name]));
byId("against-codec").addEventListener("change", drawAgainst);
drawHead();
drawMetricButtons();
drawMetric();
drawAgainst();
drawFailures();
drawHow();
startLook();
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;  // a phone's address bar comes and goes
  width = window.innerWidth;
  drawCurves();
  drawSpeed();
  if (report.embedded.length) place();
});
