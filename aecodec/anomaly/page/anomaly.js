const { numbers, rows, curves, pictures, made } = JSON.parse(byId("data").textContent);
const share = (part, digits = 1) => `${(100 * part).toFixed(digits)} %`;
const three = (value) => (known(value) ? value.toFixed(3) : "–");
const name = (kind) => (kind === "all" ? "all defects" : kind);
const colour = (at) => `var(--c${at % 12})`;
const swatch = (at) => make("span", { class: "swatch", style: `background:${colour(at)}` });
const redraws = [];  // of plots, whose size is that of the window

/** Adds a section with a heading, and a sentence that says what to see in it. */
function section(title, note, ...children) {
  byId("main").append(make("section", {}, make("h2", {}, title), make("p", { class: "note" }, note), ...children));
}

function curvesOf() {
  const host = make("div", { class: "plot" }), kinds = Object.keys(curves);
  const draw = () => {
    host.replaceChildren();
    const axis = { low: 0, high: 1 };
    const { root, width, px, py } = axes(host, { ...axis, title: "good pictures that raise an alarm" },
      { ...axis, title: "bad pictures that are found" });
    root.append(make("line", { class: "grid", x1: px(0), y1: py(0), x2: px(1), y2: py(1), "stroke-dasharray": "4 4" }));
    const spots = [];
    kinds.forEach((kind, at) => {
      const d = curves[kind].map(([x, y], place) => `${place ? "L" : "M"}${px(x).toFixed(1)},${py(y).toFixed(1)}`).join("");
      root.append(make("path", { d, fill: "none", stroke: colour(at), "stroke-width": kind === "all" ? 3 : 1.5 }));
      for (const [x, y] of curves[kind])
        spots.push({ x: px(x), y: py(y), tip: [name(kind), `${share(y)} found`, `${share(x)} false alarms`] });
    });
    answer(host, root, width, spots);
  };
  redraws.push(draw);
  const key = kinds.map((kind, at) => {
    const area = kind === "all" ? numbers.image_auroc : numbers.kinds[kind].auroc;
    return make("span", {}, swatch(at), `${name(kind)} ${three(area)}`);
  });
  return make("div", {}, host, make("p", { class: "key" }, ...key));
}

function figure(row, [plainPicture, heat, mask]) {
  const wrong = row.bad !== row.found;
  const verdict = wrong ? (row.bad ? "missed" : "false alarm") : row.bad ? "found" : "passed";
  const own = (src, alt) => make("div", {}, make("img", { src, alt, loading: "lazy" }));
  const first = own(plainPicture, row.path);
  if (mask) first.append(make("img", { src: mask, alt: "mask", class: "mask" }));
  return make("figure", { class: wrong ? "wrong" : null },
    make("div", { class: "views" }, first, own(heat, `heat of ${row.path}`)),
    make("figcaption", {}, make("b", { class: wrong ? "bad" : "good" }, verdict), ` ${row.path}`, make("br"),
      `score ${plain(row.score)}, normalised ${row.normalised.toFixed(2)}`));
}

const card = (value, text) => make("li", {}, make("b", {}, value), make("span", {}, text));
byId("headline").textContent = `${made.Set}: ${numbers.good} good and ${numbers.bad} bad pictures`;
const from = `from a score of ${plain(numbers.threshold)} on: ${numbers.threshold_source}`;
byId("what").textContent = `The model (${numbers.method}) calls a picture bad ${from}.`;
byId("cards").append(
  card(three(numbers.image_auroc), "AUROC of pictures"), card(three(numbers.image_ap), "average precision"),
  card(three(numbers.image_f1), "F1 at the threshold"), card(three(numbers.pixel_auroc), "AUROC of pixels"),
  card(three(numbers.pixel_aupro), "AUPRO of regions, to 0.3"), card(numbers.missed, "missed"),
  card(numbers.false_alarms, "false alarms"), card(plain(numbers.pictures_per_second, 2), "pictures a second"));

section("How well are bad pictures told from good ones?",
  "A curve that goes up first and then to the right is better. The key has the area under each.", curvesOf());
const kindTable = make("table");
fill(kindTable, [
  { title: "defect", value: ([kind]) => kind, words: true },
  { title: "pictures", value: ([, own]) => own.pictures },
  {
    title: "found", value: ([, own]) => own.found,
    show: ([, own]) => `${own.found} (${share(own.found / own.pictures, 0)})`,
  },
  { title: "AUROC", value: ([, own]) => own.auroc, show: ([, own]) => three(own.auroc) },
], Object.entries(numbers.kinds), { at: 3, down: false });
section("Which defects are hard?", "The hardest defect comes first. Found are those at the threshold.",
  make("div", { class: "scroll" }, kindTable));
if (pictures.length) {
  const change = (event) => document.body.classList.toggle("masks", event.target.checked);
  const masks = make("input", { type: "checkbox", onchange: change });
  section("Worst misses first",
    "Left the picture, right its heat: yellow at the threshold, red far above it. Wrong ones have a red frame.",
    make("p", { class: "tools controls" }, make("label", {}, masks, " show the masks of true defects")),
    make("div", { class: "gallery" }, ...pictures.map((own, at) => figure(rows[at], own))));
}
const table = make("table");
fill(table, [
  { title: "picture", value: (row) => row.path, words: true },
  { title: "defect", value: (row) => row.kind, words: true },
  { title: "score", value: (row) => row.score, show: (row) => plain(row.score) },
  { title: "normalised", value: (row) => row.normalised, show: (row) => row.normalised.toFixed(3) },
  { title: "verdict", value: (row) => (row.found ? "bad" : "good"), words: true },
  { title: "miss", value: (row) => row.miss, show: (row) => row.miss.toFixed(3) },
], rows, { at: 5, down: true }, (row) => row.bad !== row.found);
section("All pictures", "Bold rows are wrong. A miss above 0 is on the wrong side of the threshold.",
  make("div", { class: "scroll tall" }, table));
section("How this was made", "The command can be repeated.",
  make("dl", {}, ...Object.entries(made).flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)])));
const redraw = () => redraws.forEach((draw) => draw());
redraw();
window.addEventListener("resize", redraw);
