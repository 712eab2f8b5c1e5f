const data = JSON.parse(byId("data").textContent);
const rows = data.rows.map((row, at) => ({ ...row, at }));
const kinds = [...new Set(rows.map((row) => row.kind))];
const several = new Set(rows.map((row) => row.latent)).size > 1;
const colour = (kind) => `var(--c${kinds.indexOf(kind) % 12})`;
const nameOf = (row) => (several ? `${row.kind}, latent ${row.latent}` : row.kind);
const swatch = (kind) => make("span", { class: "swatch", style: `background:${colour(kind)}` });
const whole = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

// key, title, digits, whether less is better (null: neither), what it means
const MEASURES = [
  ["numbers", "numbers", whole, null, "of a code"],
  ["bits", "bits", whole, true, "a picture: held-out codes through rANS, rounded so that the squared error grows by 5 % at most"],
  ["psnr", "PSNR, dB", (v) => v.toFixed(2), false, "of reconstructions, mean over held-out pictures"],
  ["ssim", "SSIM", (v) => v.toFixed(3), false, "of the same"],
  ["noisy", "from noise, dB", (v) => v.toFixed(2), false,
    `PSNR of reconstructions of pictures with Gaussian noise of sigma ${data.sigma}, to the clean ones`],
  ["sharpness", "sharpness", (v) => `${(100 * v).toFixed(0)} %`, false,
    "mean square of the Laplacian of reconstructions, as a share of the pictures'"],
  ["frechet", "Fréchet", (v) => v.toFixed(3), true,
    `squared distance between ${data.drawn} drawn pictures and ${data.drawn} held-out ones on the codec's vectors of 256 ` +
    `numbers; pictures that were learned from have ${data.floor.toFixed(3)}`],
  ["probe", "probe", (v) => `${(100 * v).toFixed(1)} %`, false,
    `accuracy of a linear classifier of codes, ${data.classes} classes, 5-fold cross-validation`],
  ["seconds", "seconds", whole, true, "of the training"],
].filter(([key]) => key !== "probe" || data.classes);

function drawHead() {
  byId("headline").textContent = document.title = data.title;
  byId("what").textContent = `${count(kinds.length, "kind")} of autoencoders learned from ${data.pictures} pictures ` +
    `and are judged by ${data.held_out} others.`;
  const least = (key, sign) => rows.reduce((best, row) => (sign * row[key] < sign * best[key] ? row : best));
  const cards = [["psnr", -1, "closest reconstructions"], ["bits", 1, "fewest bits"], ["frechet", 1, "most lifelike draws"],
    ["noisy", -1, "closest from noise"], ...(data.classes ? [["probe", -1, "best linear probe"]] : [])];
  byId("cards").append(...cards.map(([key, sign, text]) => {
    const best = least(key, sign), [, title, show] = MEASURES.find(([name]) => name === key);
    const unit = key === "bits" ? " bits" : key === "frechet" ? "" : title.includes("dB") ? " dB" : "";
    return make("li", {}, make("b", {}, nameOf(best)), make("span", {}, `${text}, ${show(best[key])}${unit}`));
  }));
}

function drawTable() {
  const best = Object.fromEntries(MEASURES.map(([key, , , less]) => {
    const values = rows.map((row) => row[key]).filter(known);
    return [key, less === null ? null : Math[less ? "min" : "max"](...values)];
  }));
  const columns = [
    { title: "kind", value: (row) => row.kind, show: (row) => make("span", {}, swatch(row.kind), row.kind) },
    ...(several ? [{ title: "latent", value: (row) => row.latent }] : []),
    ...MEASURES.map(([key, title, show]) => ({
      title, value: (row) => row[key],
      show: (row) => known(row[key]) ? make(row[key] === best[key] ? "b" : "span", {}, show(row[key])) : null,
    })),
  ];
  fill(byId("table"), columns, rows, { at: columns.findIndex(({ title }) => title.startsWith("PSNR")), down: true });
  byId("words").append(...MEASURES.flatMap(([, title, , , text]) => [make("dt", {}, title), make("dd", {}, text)]));
}

const hidden = new Set();

function drawPlot() {
  const host = byId("plot"), [across, up] = [byId("across").value, byId("up").value];
  const find = (key) => key === "latent" ? ["latent", "latent", whole] : MEASURES.find(([name]) => name === key);
  const [, titleX, showX] = find(across), [, titleY, showY] = find(up);
  const shown = rows.filter((row) => !hidden.has(row.kind) && known(row[across]) && known(row[up]));
  host.replaceChildren();
  byId("plot-title").textContent = `${titleY} over ${titleX}`;
  if (!shown.length) return;
  const axis = (key, title) => {
    const values = shown.map((row) => row[key]), [low, high] = [Math.min(...values), Math.max(...values)];
    const wide = low > 0 && high / low > 8;
    const room = wide ? 1.12 : 0.06 * (high - low || 1);
    return { low: wide ? low / room : low - room, high: wide ? high * room : high + room, logarithmic: wide, title };
  };
  const { root, width, px, py } = axes(host, axis(across, titleX), axis(up, titleY));
  const spots = [];
  for (const kind of kinds) {
    const own = shown.filter((row) => row.kind === kind).sort((a, b) => a.latent - b.latent);
    if (own.length > 1) {
      const d = own.map((row, at) => `${at ? "L" : "M"}${px(row[across]).toFixed(1)},${py(row[up]).toFixed(1)}`).join("");
      root.append(make("path", { d, fill: "none", stroke: colour(kind), "stroke-width": 2 }));
    }
    for (const row of own) {
      const [x, y] = [px(row[across]), py(row[up])];
      root.append(make("circle", { cx: x, cy: y, r: 5, fill: colour(kind) }));
      spots.push({ x, y, tip: [nameOf(row), `${titleX}: ${showX(row[across])}`, `${titleY}: ${showY(row[up])}`] });
    }
    const last = own.at(-1);
    if (last) {
      const right = px(last[across]) > width - 110;
      const place = { x: px(last[across]) + (right ? -9 : 9), y: py(last[up]) + (own.length > 1 ? -8 : 4), "text-anchor": right ? "end" : "start" };
      root.append(make("text", { class: "name", ...place }, kind));
    }
  }
  separate(root);
  answer(host, root, width, spots);
}

/** Moves names down, so that none covers another. */
function separate(root) {
  const names = [...root.querySelectorAll("text.name")].sort((a, b) => a.getAttribute("y") - b.getAttribute("y"));
  const boxes = [];
  for (const name of names) {
    const wide = 7.2 * name.textContent.length, x = Number(name.getAttribute("x"));
    const left = name.getAttribute("text-anchor") === "end" ? x - wide : x;
    let y = Number(name.getAttribute("y"));
    while (boxes.some((box) => left < box.right && left + wide > box.left && Math.abs(y - box.y) < 13)) y += 3;
    name.setAttribute("y", y);
    boxes.push({ left, right: left + wide, y });
  }
}

function drawLegend() {
  byId("legend").replaceChildren(...kinds.map((kind) => make("button", {
    "aria-pressed": !hidden.has(kind),
    onclick: () => { if (!hidden.delete(kind)) hidden.add(kind); drawLegend(); drawPlot(); },
  }, swatch(kind), kind)));
}

function drawSheets() {
  const strip = (source, text) => make("figure", {}, make("figcaption", {}, text), make("img", { src: source, alt: text }));
  const entry = (title, parts) => [make("h3", {}, title), make("div", { class: "strips" }, ...parts)];
  byId("sheets").append(
    ...entry("held-out pictures", [strip(data.originals[0], "as they are"), strip(data.originals[1], "with noise")]),
    ...rows.flatMap((row) => entry(nameOf(row), data.sheets[row.at].map((source, at) =>
      strip(source, ["reconstructed", "from noise", "drawn"][at])))),
  );
}

const entries = MEASURES.map(([key, title]) => [key, title]);
options(byId("across"), several ? [["latent", "latent"], ...entries] : entries);
options(byId("up"), entries);
byId("across").value = several ? "latent" : "bits";
byId("up").value = "psnr";
byId("plot-note").textContent = several
  ? "A line for each kind. Where it bends (the elbow), more numbers no longer pay."
  : "Each point is a kind. Up and to the left are more decibels for fewer bits.";
for (const name of ["across", "up"]) byId(name).addEventListener("change", drawPlot);
drawHead();
drawTable();
drawLegend();
drawPlot();
drawSheets();
byId("made").append(...Object.entries(data.made).flatMap(([word, text]) => [make("dt", {}, word), make("dd", {}, text)]));
let again;
addEventListener("resize", () => { clearTimeout(again); again = setTimeout(drawPlot, 150); });
