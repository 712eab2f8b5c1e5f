const config = JSON.parse(byId("data").textContent);
const stage = byId("stage"), layers = [byId("under"), byId("over")], selects = [byId("first"), byId("second")];
const entries = [...config.files]; // {name, bytes, place or file}; once decoded also picture, canvas, facts or error
const NONE = "-1", STEP = 1.25, LARGEST = 32, BORDER = 0.97, PROFILES = 4;
const view = { scale: 1, x: 0, y: 0, fitted: true, divider: 0.5 };

const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const inside = (id) => decoded(byId(id).textContent);
const address = (place) => new URL(place, document.baseURI).href;
const chosen = () => selects.map((select) => entries[Number(select.value)] ?? null);
const say = (text, bad = false) => {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
};

// The module comes as an address of its own bytes.  A page on a disk may start no module from such a place in a worker, but
// it may start a plain script.
const starting = (async () => {
  const text = new TextDecoder().decode(inside("module"));
  const script = (code) => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const module = await import(script(text));
  const plainText = text.replace(/^export /gm, "").replaceAll("import.meta.url", "self.location.href");
  const worker = (name) => new Worker(script(plainText), { name });
  const place = (id) => (config.inside ? inside(id) : address(id));
  const weights = Object.fromEntries(Object.entries(config.weights).map(([id, at]) => [id, place(at)]));
  const decoder = await module.createDecoder({ wasm: place(config.wasm), weights, worker, cache: false });
  return { decoder, module };
})();

// ---------------------------------------------------------------- files

/** Decodes a file; while it comes in pieces, `seen` is called when a preview of it is there. */
async function load(entry, seen) {
  if (entry.canvas) return entry;
  const { decoder } = await starting;
  const early = previews(entry, decoder, seen);
  const bytes = entry.file ? new Uint8Array(await entry.file.arrayBuffer())
    : config.inside ? inside(entry.place) : await fetched(entry.place, early);
  const start = performance.now();
  const picture = await decode(decoder, bytes);
  entry.seconds = (performance.now() - start) / 1000;
  const { channels, depth } = await decoder.info(bytes, { preview: true });
  entry.bytes = bytes.length;
  entry.facts = { ...picture, channels, depth, canvas: null };
  entry.canvas = picture.canvas;
  return entry;
}

async function decode(decoder, bytes) {
  const { module } = await starting, { data, ...rest } = await decoder.decode(bytes, { rgba: true, preview: true });
  const chunks = await module.metadata(bytes).catch(() => ({}));
  return { ...rest, chunks, canvas: draw({ ...rest, data }, orientation(chunks.e), profile(chunks.c)) };
}

const GROWTH = 1.5; // a preview is made where a file is so many times as long as for the last one

/** Returns what takes the bytes of a file so far, and makes a preview of them unless one is being made. */
function previews(entry, decoder, seen) {
  let next = 1, busy = false;
  return async (join, size, total) => {
    if (busy || size < next) return;
    busy = true;
    next = GROWTH * size;
    try {
      const { canvas } = await decode(decoder, join());
      if (entry.canvas) return;
      entry.preview = canvas;
      seen(size / total);
    } catch { /* too little of it is there yet */
    } finally {
      busy = false;
    }
  };
}

/** Reads a file from the server; `early` gets its beginnings. */
async function fetched(place, early) {
  const answer = await fetch(address(place));
  if (!answer.ok) throw new Error("the file cannot be read any more");
  const reader = answer.body.getReader(), total = Number(answer.headers.get("Content-Length")), parts = [];
  let size = 0;
  const join = () => {
    const whole = new Uint8Array(size);
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  };
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    size += part.value.length;
    if (size < total) early?.(join, size, total);
  }
  return join();
}

/** Returns the orientation in EXIF, 1 to 8. */
function orientation(exif) {
  try {
    const tiff = new DataView(exif.buffer, exif.byteOffset + 6, exif.length - 6), little = tiff.getUint8(0) === 0x49;
    const start = tiff.getUint32(4, little), count = tiff.getUint16(start, little);
    for (let at = start + 2; at < start + 2 + 12 * count; at += 12)
      if (tiff.getUint16(at, little) === 0x0112) {
        const value = tiff.getUint16(at + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
  } catch { /* no EXIF, or one that breaks its own rules */ }
  return 1;
}

/** Returns a name of the colours: those that a canvas knows, "" without a profile, else "other". */
function profile(icc) {
  if (!icc) return "";
  const text = new TextDecoder("latin1").decode(icc).replaceAll("\0", "");
  return text.includes("Display P3") ? "display-p3" : text.includes("sRGB") ? "srgb" : "other";
}

function draw({ width, height, data }, turn, colours) {
  const colorSpace = colours === "display-p3" ? colours : "srgb";
  const canvas = (w, h) => Object.assign(document.createElement("canvas"), { width: w, height: h });
  const plain = canvas(width, height);
  plain.getContext("2d", { colorSpace }).putImageData(new ImageData(data, width, height, { colorSpace }), 0, 0);
  if (turn === 1) return plain;
  const turned = turn > 4 ? canvas(height, width) : canvas(width, height), [w, h] = [width, height];
  const context = turned.getContext("2d", { colorSpace });
  context.setTransform(...[, , [-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h], [0, 1, 1, 0, 0, 0],
    [0, 1, -1, 0, h, 0], [0, -1, -1, 0, h, w], [0, -1, 1, 0, 0, w]][turn]);
  context.drawImage(plain, 0, 0);
  return turned;
}

function list() {
  const texts = entries.map(({ name }, at) => [at, name]);
  const values = selects.map(({ value }) => value);
  options(selects[0], texts);
  options(selects[1], [[NONE, "nothing"], ...texts]);
  selects.forEach((select, at) => { select.value = values[at] || (at ? NONE : "0"); });
  byId("hint").hidden = entries.length > 0;
}

/** Adds files that were dropped or chosen; one is shown, two are compared. */
function add(files) {
  const wanted = [...files].filter(({ name }) => /\.aec$/i.test(name));
  if (!wanted.length) return say("These are no .aec files.", true);
  const first = entries.length;
  entries.push(...wanted.map((file) => ({ name: file.name, bytes: file.size, file })));
  list();
  selects[0].value = first;
  if (wanted.length > 1) selects[1].value = first + 1;
  return show(true);
}

// ---------------------------------------------------------------- what is shown

let asked = 0;

async function show(fresh = false) {
  const turn = ++asked, [first, second] = chosen();
  if (!first) return say(entries.length ? "" : "Open files, or drop them on the page.");
  say(`Decoding ${[first, second].filter((each) => each && !each.canvas).map(({ name }) => name).join(" and ")} …`);
  const early = (entry) => (share) => {
    if (turn !== asked) return;
    say(`${entry.name}: ${Math.floor(100 * share)} % are here, and this is what they show …`);
    paint(first, second, fresh);
    fresh = false; // who zooms meanwhile keeps that
  };
  const results = await Promise.allSettled([first, second].map((each) => each && load(each, early(each))));
  if (turn !== asked) return null; // something else was chosen meanwhile
  const failed = results.findIndex(({ status }) => status === "rejected");
  paint(first, second, fresh);
  const cut = [first, second].filter((each) => each?.facts?.truncated);
  if (failed >= 0) say(`${[first, second][failed].name}: ${results[failed].reason.message}`, true);
  else if (cut.length) say(`${cut.map(({ name }) => name).join(", ")}: the file ends early; this is what is there of it`, true);
  else say([first, second].filter(Boolean).map(({ name, seconds }) => `${second ? `${name}: ` : ""}decoded in ` +
    `${plain(seconds, 2)} s`).join("; "));
  return null;
}

/** Shows the pictures of files, or previews of them. */
function paint(first, second, fresh) {
  const pictures = [first, second].map((each) => each?.canvas ?? each?.preview);
  pictures.forEach((each, at) => layers[at].replaceChildren(...(each ? [each.cloneNode()] : [])));
  pictures.forEach((each, at) => { if (each) copy(each, layers[at].firstChild); });
  byId("preview").hidden = true;
  const comparing = Boolean(pictures[0] && pictures[1]);
  for (const id of ["divider", "slide", "left", "right"]) byId(id).hidden = !comparing;
  byId("left").textContent = first.name;
  byId("right").textContent = second?.name ?? "";
  byId("headline").textContent = comparing ? `${first.name} and ${second.name}` : first.name;
  document.title = `${byId("headline").textContent} – aecodec`;
  facts([first, second].filter(Boolean));
  if (fresh || view.fitted) fit();
  else place();
}

function copy(from, to) {
  const { colorSpace } = from.getContext("2d").getContextAttributes?.() ?? {};
  to.className = "picture";
  to.getContext("2d", { colorSpace }).drawImage(from, 0, 0);
}

function facts(shown) {
  const kinds = { c: "ICC profile", e: "EXIF", i: "IPTC", r: "resolution", x: "XMP" };
  const colours = ["", "gray", "gray and alpha", "RGB", "RGB and alpha"];
  const rows = [
    ["Size", ({ canvas }) => `${canvas.width} × ${canvas.height}`],
    ["Bytes", ({ bytes }) => size(bytes)],
    ["Bits per pixel", ({ canvas, bytes }) => ((8 * bytes) / canvas.width / canvas.height).toFixed(3)],
    ["Quality", ({ facts: { lossless, quality } }) => (lossless ? "without loss" : plain(quality, PROFILES))],
    ["Colours", ({ facts: { channels, depth, chunks } }) => `${colours[channels]}, ${depth} bits` +
      ({ "display-p3": ", Display P3", other: ", a profile that this page takes for sRGB" }[profile(chunks.c)] ?? "")],
    ["Metadata", ({ facts: { chunks } }) => Object.keys(chunks).map((kind) => kinds[kind]).join(", ") || "none"],
    ["Weights", ({ facts: { lossless, weights } }) => (lossless ? "none" : weights)],
  ];
  fill(byId("facts"), [
    { title: "", words: true, value: ([title]) => title },
    ...shown.map((entry) => ({ title: entry.name, value: ([, value]) => (entry.canvas ? value(entry) : "–") })),
  ], rows);
}

// ---------------------------------------------------------------- zoom and pan

const extent = () => {
  const canvas = layers[0].firstChild ?? layers[1].firstChild;
  return canvas ? [canvas.width, canvas.height] : config.size ?? [1, 1];
};

function place() {
  const [width, height] = extent();
  const room = [stage.clientWidth, stage.clientHeight], dots = devicePixelRatio || 1;
  const keep = (at, side, whole) => (side <= whole ? (whole - side) / 2 : Math.min(0, Math.max(whole - side, at)));
  view.x = keep(view.x, width * view.scale, room[0]);
  view.y = keep(view.y, height * view.scale, room[1]);
  for (const node of stage.querySelectorAll(".picture")) {
    const own = node.id === "preview" ? node.naturalWidth || width : node.width;
    node.style.transform = `translate(${view.x}px, ${view.y}px) scale(${(view.scale * width) / own})`;
    node.classList.toggle("large", view.scale * dots >= 2);
  }
  const at = view.divider * room[0];
  layers[1].style.clipPath = byId("divider").hidden ? "" : `inset(0 0 0 ${at}px)`;
  byId("divider").style.left = `${at}px`;
  byId("scale").textContent = `${Math.round(100 * view.scale * dots)} %`;
}

function fit() {
  const [width, height] = extent();
  view.scale = Math.min(1, (stage.clientWidth * BORDER) / width,
    (stage.clientHeight * BORDER) / height);
  view.fitted = true;
  place();
}

function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const [width, height] = extent();
  const least = Math.min(1, stage.clientWidth / width, stage.clientHeight / height) / 2;
  const scale = Math.min(LARGEST, Math.max(least, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  view.fitted = false;
  place();
}

const pixels = (x, y) => zoom(1 / (devicePixelRatio || 1) / view.scale, x, y);

function move(x, y) {
  view.x += x;
  view.y += y;
  place();
}

function divide(share) {
  view.divider = Math.min(1, Math.max(0, share));
  byId("slider").value = Math.round(1000 * view.divider);
  place();
}

const pointers = new Map();

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  stage.classList.add("dragged");
  view.dividing = event.target === byId("divider");
});

stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const others = [...pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
  pointers.set(event.pointerId, event);
  const { left, top, width } = stage.getBoundingClientRect();
  if (view.dividing) divide((event.clientX - left) / width);
  else if (others.length) { // two fingers
    const [other] = others;
    const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const middle = [(event.clientX + other.clientX) / 2 - left, (event.clientY + other.clientY) / 2 - top];
    zoom(far(event) / far(before), ...middle);
    move((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  } else move(event.clientX - before.clientX, event.clientY - before.clientY);
});

for (const name of ["pointerup", "pointercancel"])
  stage.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) stage.classList.remove("dragged");
  });

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { left, top } = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - left, event.clientY - top);
}, { passive: false });

stage.addEventListener("dblclick", (event) => {
  const { left, top } = stage.getBoundingClientRect();
  if (view.fitted) pixels(event.clientX - left, event.clientY - top);
  else fit();
});

// ---------------------------------------------------------------- buttons, keys, dropping

function step(by) {
  if (!entries.length) return;
  selects[0].value = (Number(selects[0].value) + by + entries.length) % entries.length;
  show(true);
}

function compare() {
  if (entries.length < 2) return say("Open a second file to compare with.");
  selects[1].value = selects[1].value === NONE ? (Number(selects[0].value) + 1) % entries.length : NONE;
  return show();
}

function save() {
  const [first] = chosen();
  first?.canvas?.toBlob((blob) => {
    const name = first.name.replace(/^.*\/|\.aec$/gi, "");
    const link = make("a", { href: URL.createObjectURL(blob), download: `${name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

const KEYS = {
  "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), "−": () => zoom(1 / STEP),
  0: fit, 1: () => pixels(),
  ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
  n: () => step(1), p: () => step(-1), c: compare, o: () => byId("chooser").click(), s: save,
  "[": () => divide(view.divider - 0.02), "]": () => divide(view.divider + 0.02),
};

document.addEventListener("keydown", (event) => {
  const typing = /^(SELECT|INPUT)$/.test(event.target.tagName) && event.key.length > 1;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !KEYS[key]) return;
  if (event.key.startsWith("Arrow") && event.target !== stage) return; // elsewhere they scroll the page
  event.preventDefault();
  KEYS[key]();
});

byId("in").addEventListener("click", () => zoom(STEP));
byId("out").addEventListener("click", () => zoom(1 / STEP));
byId("scale").addEventListener("click", () => (view.fitted ? pixels() : fit()));
byId("save").addEventListener("click", save);
byId("open").addEventListener("click", () => byId("chooser").click());
byId("chooser").addEventListener("change", ({ target }) => { add(target.files); target.value = ""; });
byId("slider").addEventListener("input", ({ target }) => divide(target.value / 1000));
selects.forEach((select) => select.addEventListener("change", () => show(select === selects[0])));
window.addEventListener("resize", () => (view.fitted ? fit() : place()));

for (const [name, inside_] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    stage.classList.toggle("dropping", inside_);
    if (name === "drop") add(event.dataTransfer.files);
  });

list();
if (config.size) fit();
else byId("preview").hidden = true;
show(true);
