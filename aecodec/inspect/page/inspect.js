const report = JSON.parse(byId("data").textContent);
const { numbers, pictures } = report;
const KINDS = {
  latents: ["latents", "var(--c0)"], hyper: ["hyper-latents", "var(--c4)"], pixels: ["exact pixels", "var(--c2)"],
  alpha: ["alpha", "var(--c3)"], metadata: ["metadata", "var(--c5)"], container: ["container", "var(--soft)"],
};
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];  // few bits to many
const EXACT = [42, 157, 99];
const redraws = [];  // of plots, whose size is that of the window
const sum = (values) => values.reduce((total, value) => total + value, 0);
const share = (part, digits = 1) => `${(100 * part).toFixed(digits)} %`;
const whole = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
const swatch = (colour) => make("span", { class: "swatch", style: `background:${colour}` });

/** Adds a section with a heading, and a sentence that says what to see in it. */
function section(id, title, note, ...children) {
  const node = make("section", { id }, make("h2", {}, title), make("p", { class: "note" }, note), ...children);
  byId("main").append(node);
  return node;
}

const scroll = (table) => make("div", { class: "scroll" }, table);

/** A plot with a key: layers {name, kind ("bars", "dots" or "line"), colour, dash, points: [{x, y, tip, r, label}]}. */
function chart(x, y, layers) {
  const host = make("div", { class: "plot" });
  const key = make("p", { class: "key" }, ...layers.filter(({ name }) => name).map(({ name, colour }) =>
    make("span", {}, swatch(colour), name)));
  const draw = () => {
    host.replaceChildren();
    const { root, width, box, px, py } = axes(host, x, y), spots = [];
    for (const { kind, colour, dash, points } of layers) {
      if (kind === "bars") {
        const wide = Math.max(1, (px(2) - px(1)) * 0.85);
        const bar = (p) => `M${(px(p.x) - wide / 2).toFixed(1)},${box.bottom}V${py(p.y).toFixed(1)}h${wide.toFixed(1)}`;
        const d = points.map((p) => `${bar(p)}V${box.bottom}z`).join("");
        root.append(make("path", { d, fill: colour }));
      } else if (kind === "line") {
        const d = points.map((p, at) => `${at ? "L" : "M"}${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`).join("");
        root.append(make("path", { d, fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }));
      } else {
        for (const p of points) {
          root.append(make("circle", { cx: px(p.x), cy: py(p.y), r: p.r ?? 2.5, fill: colour, "fill-opacity": 0.75 }));
          if (p.label) root.append(make("text", { class: "name", x: px(p.x) + 8, y: py(p.y) + 14 }, p.label));
        }
      }
      spots.push(...points.filter((p) => p.tip).map((p) => ({ x: px(p.x), y: py(p.y), tip: p.tip })));
    }
    if (spots.length) answer(host, root, width, spots);
    else host.append(root);
  };
  redraws.push(draw);
  return make("div", {}, host, key);
}

/** A logarithmic axis of values above 0, with room around them; others are left out. */
function logarithmic(values, title) {
  const fit = values.filter((value) => value > 0), low = Math.min(...fit) / 1.25, high = Math.max(...fit) * 1.25;
  const axis = fit.length ? { low, high } : { low: 0.1, high: 1 };
  return { ...axis, title, logarithmic: true, ticks: high / low < 6 ? ticksOf(low, high, false) : null };
}

/** An image; one that is small is enlarged by a whole number. */
function picture(src, alt, [wide, high]) {
  const image = make("img", { src, alt }), factor = Math.floor(Math.min(480 / wide, 360 / high));
  if (factor > 1)
    Object.assign(image.style, { width: `${factor * wide}px`, maxHeight: "none", imageRendering: "pixelated" });
  return image;
}

/**
 * A picture that a slider changes: sources, their [width, height], caption(index) in nodes, and what the slider changes.
 * extra(index, frame) is called for each change.
 */
function film(sources, shape, caption, label, at = 0, extra = null) {
  const image = picture(sources[at], label, shape), text = make("figcaption");
  const frame = make("div", { class: "frame" }, image);
  const range = make("input", { type: "range", min: 0, max: sources.length - 1, step: 1, value: at, "aria-label": label });
  const show = (index) => {
    range.value = index;
    image.src = sources[index];
    text.replaceChildren(...caption(index));
    range.setAttribute("aria-valuetext", text.textContent);
    extra?.(index, frame);
  };
  range.addEventListener("input", () => show(Number(range.value)));
  show(at);
  return { node: make("figure", { class: "film" }, frame, make("div", { class: "slider" }, range), text), show };
}

// ---------------------------------------------------------------- one file

function drawHead() {
  const { facts, parts } = numbers, lossless = !numbers.channels;
  byId("headline").textContent = document.title = facts.name;
  const quality = lossless ? "without loss" : `quality ${facts.quality}`;
  byId("what").textContent = `${facts.width} × ${facts.height} pixels, ${facts.mode}, ${quality}, ${size(facts.bytes)}` +
    (facts.encoded ? ". This is a picture that was encoded in memory; no file was written." : ".");
  const of = (kind) => sum(parts.filter((part) => part.kind === kind).map((part) => part.size)) / facts.bytes;
  const cards = [[facts.bpp.toFixed(3), "bits per pixel"],
    ...["latents", "hyper", "pixels", "alpha", "metadata"].filter(of).map((kind) => [share(of(kind)), KINDS[kind][0]])];
  byId("cards").append(...cards.map(([value, text]) => make("li", {}, make("b", {}, value), make("span", {}, text))));
}

function drawMap() {
  const { map, facts, stored } = numbers, image = picture(pictures.picture, `The picture in ${facts.name}`, stored);
  const turned = stored[0] !== facts.width ? " It is shown as it is stored; viewers turn it, as its EXIF says." : "";
  if (!map) {
    section("picture", "The picture", "Every pixel of this file is exact. It has no latents, no quantiser and no entropy " +
      `model, so there is little to show but where its bytes are.${turned}`, make("div", { class: "frame" }, image));
    return;
  }
  const rows = map.bits.length, columns = map.bits[0].length, values = map.bits.flat();
  const sorted = [...values].sort((a, b) => a - b), top = sorted[Math.floor(0.995 * (sorted.length - 1))] || 1;
  const canvas = make("canvas", { width: columns, height: rows, "aria-hidden": "true" });
  const pixels = new ImageData(columns, rows);
  values.forEach((value, at) => {
    const place = Math.min(1, value / top) * (RAMP.length - 1), step = Math.min(RAMP.length - 2, Math.floor(place));
    const cover = map.exact ? map.exact.flat()[at] : 0;
    for (let channel = 0; channel < 3; channel++) {
      const own = RAMP[step][channel] + (place - step) * (RAMP[step + 1][channel] - RAMP[step][channel]);
      pixels.data[4 * at + channel] = own + cover * (EXACT[channel] - own);
    }
    pixels.data[4 * at + 3] = 255;
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.style.width = `${(100 * columns * 16 * map.size) / stored[0]}%`;
  canvas.style.height = `${(100 * rows * 16 * map.size) / stored[1]}%`;
  const range = make("input", { type: "range", min: 0, max: 100, value: 60, id: "opacity",
    "aria-label": "Opacity of the map" });
  const output = make("output"), readout = make("output");
  const place = () => { canvas.style.opacity = range.value / 100; output.textContent = `${range.value} %`; };
  range.addEventListener("input", place);
  const frame = make("div", { class: "frame", id: "heat" }, image, canvas);
  frame.addEventListener("pointermove", (event) => {
    const { left, top: above, width, height } = canvas.getBoundingClientRect();
    const column = Math.floor((columns * (event.clientX - left)) / width);
    const row = Math.floor((rows * (event.clientY - above)) / height);
    const bits = map.bits[row]?.[column];
    if (known(bits)) readout.textContent = `${plain(bits * map.size ** 2)} bits in the square at ${
      column * 16 * map.size}, ${row * 16 * map.size}`;
  });
  const square = 16 * map.size, padded = map.padding / (8 * facts.bytes);
  const node = section("map", "Where the bits go",
    `Each square of ${square} × ${square} pixels is coloured by the bits that its latents take: dark is few, yellow ` +
    "is many" +
    (map.exact ? ", green is exact pixels" : "") + `.${turned}` +
    (padded > 0.005 ? ` Another ${share(padded)} of the bits lie outside of the picture, where it is padded.` : ""), frame,
    make("div", { class: "slider controls" }, make("label", { for: "opacity" }, "Map over picture"), range, output),
    make("p", { class: "key" }, make("span", {}, "0 ", make("span", { class: "ramp",
      style: `background:linear-gradient(90deg,${RAMP.map((c) => `rgb(${c})`)})` }),
        ` ${plain(top * map.size ** 2)} bits or more`),
      make("span", {}, readout)));
  place();
  return node;
}

function drawParts() {
  const { parts, facts } = numbers, present = [...new Set(parts.map((part) => part.kind))];
  const stack = make("div", { class: "stack", role: "img", "aria-label": "Parts of the file by their bytes" },
    ...parts.map((part) => make("div", { style: `flex:${part.size} 0 0;background:${KINDS[part.kind][1]}`,
      title: `${part.name}: ${size(part.size)}` })));
  const table = make("table");
  fill(table, [
    { title: "part", value: (row) => row.name, show: (row) => make("span", {}, swatch(KINDS[row.kind][1]), row.name) },
    { title: "bytes", value: (row) => row.size, show: (row) => (row.size < 100 ? plain(row.size) : whole(row.size)) },
    { title: "share", value: (row) => row.size, show: (row) => share(row.size / facts.bytes, 2) },
  ], parts);
  table.append(make("tfoot", {}, make("tr", { class: "own" }, make("td", {}, "the file"),
    make("td", {}, whole(sum(parts.map((part) => part.size)))), make("td", {}, "100 %"))));
  section("parts", "What the bytes are for",
    numbers.channels ? "Hyper-latents tell the entropy model what to expect; latents are the picture. Their bytes are " +
    "counted by the probabilities that the symbols are coded with, and all parts add up to the file."
    : "All parts add up to the file.", stack,
    make("p", { class: "key" }, ...present.map((kind) => make("span", {}, swatch(KINDS[kind][1]), KINDS[kind][0]))),
    scroll(table));
}

function drawChannels() {
  const { channels } = numbers, all = sum(channels.map((each) => each.bits));
  if (!channels.length) return;
  let sofar = 0;
  const cumulative = channels.map((each) => (sofar += each.bits / all));
  const within = (part) => cumulative.findIndex((value) => value >= part) + 1;
  const highest = channels[0].bits / all, zeros = (each) => each.zeros / Math.max(1, each.coded);
  const tip = (each, at) => [`channel ${each.channel}`,
    `${whole(each.bits)} bits, ${share(each.bits / all, 2)} of the latents'`,
    `${share(zeros(each), 0)} of its ${whole(each.coded)} symbols are 0`,
    `the first ${at + 1} take ${share(cumulative[at])}`];
  const table = make("table");
  fill(table, [
    { title: "channel", value: (row) => row.channel },
    { title: "bits", value: (row) => row.bits, show: (row) => whole(row.bits) },
    { title: "symbols", value: (row) => row.coded, show: (row) => whole(row.coded) },
    { title: "zeros", value: zeros, show: (row) => share(zeros(row)) },
    { title: "step, levels", value: (row) => row.step, show: (row) => plain(row.step) },
    { title: "deviation", value: (row) => row.latents, show: (row) => plain(row.latents) },
    { title: "predicted", value: (row) => row.predicted, show: (row) => plain(row.predicted) },
    { title: "from the mean", value: (row) => row.residual, show: (row) => plain(row.residual) },
  ], channels, { at: 1, down: true });
  section("channels", "Bits by channel",
    `A bar is one channel of the latents, the largest first; the line adds them up. Of ${channels.length} channels that ` +
    `take bits, ${within(0.5)} take half of them and ${within(0.9)} take nine tenths.`,
    chart({ low: 0, high: channels.length + 1, title: "channels, by their bits" },
      { low: 0, high: highest * 1.05, title: "share of the latents' bits", shown: (tick) => `${plain(100 * tick)} %` }, [
        { name: "one channel", kind: "bars", colour: "var(--c0)",
          points: channels.map((each, at) => ({ x: at + 1, y: each.bits / all, tip: tip(each, at) })) },
        { name: "all up to here, where the highest bar is 100 %", kind: "line", colour: "var(--c1)",
          points: cumulative.map((value, at) => ({ x: at + 1, y: value * highest })) },
        { kind: "dots", colour: "var(--c1)", points: [0.5, 0.9].map((part) => ({
          x: within(part), y: cumulative[within(part) - 1] * highest, r: 4,
          label: `${share(part, 0)}: ${count(within(part), "channel")}` })) },
      ]),
    make("details", {}, make("summary", {}, "All channels as a table"),
      make("div", { class: "scroll tall" }, table)));
}

function drawSteps() {
  const { steps } = numbers, table = make("table"), most = Math.max(...steps.map((each) => each.bits));
  fill(table, [
    { title: "step", value: (row) => steps.indexOf(row) + 1 },
    { title: "with a symbol", value: (row) => row.coded / row.latents, show: (row) => share(row.coded / row.latents) },
    { title: "bytes", value: (row) => row.bits, show: (row) => whole(row.bits / 8) },
    { title: "bits a symbol", value: (row) => row.bits / row.coded, show: (row) =>
      (row.coded ? (row.bits / row.coded).toFixed(3) : "–") },
    { title: "", value: (row) => row.bits, show: (row) =>
      make("span", { class: "meter", style: `width:${(100 * row.bits) / (most || 1)}%` }) },
  ], steps);
  for (const row of table.querySelectorAll("tr")) row.lastChild.className = "bar";
  section("steps", "Bits by context step",
    `A quarter of the latents, ${whole(steps[0].latents)}, is read in each step, and the next step is predicted from all ` +
    "that was read. Where a later step takes fewer bytes than the first, that prediction has saved them. Latents that " +
    "the model is sure of have no symbol.",
    scroll(table));
}

function drawQuantiser() {
  const { quantiser: q, channels, levels, facts } = numbers;
  const others = Object.entries(q.pixel_steps).filter(([, step]) => known(step))
    .map(([quality, step]) => `${plain(step)} at quality ${quality}`).join(", ");
  const node = section("quantiser", "What the quantiser did",
    "The step of a channel says how coarsely it is kept. Two quantisers of twice the step take turns, and the encoder's " +
    "search chooses symbols of few bits and little error.");
  const list = make("dl");
  for (const [term, text] of [
    ["Step", `${plain(q.step)} for every latent at its gain. In the picture its median is ${
      known(q.pixel_step) ? plain(q.pixel_step) : "–"} levels of 0..255 at quality ${facts.quality} (${others}).`],
    ["Latents with a symbol",
      `${whole(q.coded)} of ${whole(q.latents)} (${share(q.coded / q.latents)}); the others are their mean.`],
    ["Zeros", `${share(q.zeros)} of the symbols.`],
    ["Second quantiser", `codes ${share(q.second)} of the symbols.`],
    ["Beyond the tables", `${whole(q.escapes)} symbols, coded digit by digit.`],
    ["Clipped", q.clipped ? `${whole(q.clipped)} values are at their limit.` : "no value is at its limit."],
  ]) list.append(make("dt", {}, term), make("dd", {}, text));
  node.append(list);
  if (!channels.length) return;
  const at = (each, rank) => ({ x: rank + 1, y: each.step,
    tip: [`channel ${each.channel}`, `step ${plain(each.step)} levels`, `${whole(each.bits)} bits`] });
  const shown = channels.slice(0, 512);
  const line = (name, key, colour, dash = null) => ({ name, kind: "line", colour, dash, points: levels.map((level) => ({
    x: level.scale, y: level[key], tip: [`predicted scale ${plain(level.scale)}`, `${whole(level.count)} latents`,
      `zeros in the file ${share(level.zeros)}`, `by the tables ${share(level.table_zeros)}`,
      `by plain rounding ${share(level.rounded_zeros)}`] })) });
  node.append(make("div", { class: "two" },
    make("div", {}, make("h3", {}, "Step by channel"), make("p", { class: "note" },
      "One dot is a channel, those with most bits on the left. A step compares with an entry of a JPEG quantisation " +
      "table: small is exact."),
    chart({ low: 0.8, high: shown.length * 1.2, logarithmic: true, title: "channels, by their bits" },
      logarithmic(shown.map((each) => each.step), "step, in levels of 0..255"),
      [{ kind: "dots", colour: "var(--c0)", points: shown.map(at) }])),
    make("div", {}, make("h3", {}, "Zeros by predicted scale"), make("p", { class: "note" },
      "If symbols were rounded to the nearest point, a Gaussian of the predicted scale would give the dashed share of " +
      "zeros. The difference is what the search for cheap symbols did, and what the Gaussian misses."),
    chart(logarithmic(levels.map((level) => level.scale), "predicted standard deviation"),
      { low: 0, high: 1, title: "share of the symbol 0", shown: (tick) => `${Math.round(100 * tick)} %` },
      [line("in the file", "zeros", "var(--c0)"), line("by the coding tables", "table_zeros", "var(--c1)"),
        line("by plain rounding", "rounded_zeros", "var(--soft)", "5 4")]))));
}

function drawStrongest() {
  const { strongest, channels } = numbers, byChannel = new Map(channels.map((each) => [each.channel, each]));
  if (!strongest.length) return;
  const all = sum(channels.map((each) => each.bits));
  section("strongest", `The ${strongest.length} strongest channels`,
    "These channels take most bits; the percentage is their share of the latents' bits. Left: what one latent of the " +
    "channel adds to the picture, 64 × 64 pixels, contrast stretched. Right: where the picture has it; red is positive, " +
    "blue negative, white nothing.",
    make("div", { class: "grid-of" }, ...strongest.map((each, at) => make("figure", {},
      make("div", { class: "pairs" },
        make("img", { src: pictures.strongest[at].basis, alt: `What a latent of channel ${each.channel} adds` }),
        make("img", { src: pictures.strongest[at].response, alt: `Response of channel ${each.channel}` })),
      make("figcaption", {}, make("b", {}, `Channel ${each.channel}`), ` ${share(byChannel.get(each.channel).bits / all)}`,
        make("br"), `up to ±${plain(each.largest)} units`)))));
}

function drawGrowth() {
  const { growth, facts, stored } = numbers, { frames, window: [, , width, height] } = growth;
  const caption = (at) => {
    const { after, bytes, psnr } = frames[at], bytesShare = bytes / facts.bytes;
    const near = known(psnr) ? `; PSNR to what all latents give ${psnr.toFixed(1)} dB` : "";
    return [make("b", {}, `After ${after}`), `: ${whole(bytes)} bytes, ${
      share(bytesShare)} of the file${near}`];
  };
  const node = sheeted(pictures.growth, [width, height], caption, "How far the file is read", 0);
  section("growth", "The picture as it grows",
    "This is the picture as a decoder knows it after the hyper-latents and after each context step. What is not read " +
    "yet is at its predicted mean." +
      (width < stored[0] || height < stored[1] ? ` The middle ${width} × ${height} pixels are shown.` : ""),
    node);
}

function drawScales() {
  const { channels, levels } = numbers;
  if (!channels.length) return;
  const sorted = [...channels].sort((a, b) => b.latents - a.latents);
  const tip = (each) => [`channel ${each.channel}`, `latents ${plain(each.latents)}`,
    `from the mean ${plain(each.residual)}`, `predicted ${plain(each.predicted)}`];
  const line = (name, key, colour) => ({ name, kind: "line", colour,
    points: sorted.map((each, at) => ({ x: at + 1, y: each[key], tip: tip(each) })).filter((point) => point.y > 0) });
  const most = Math.max(...levels.map((level) => level.count));
  const seen = levels.filter((level) => level.deviation > 0.02);
  const across = logarithmic(seen.map((level) => level.scale), "predicted standard deviation");
  const up = logarithmic(seen.flatMap((level) => [level.deviation, level.scale]), "observed");
  section("scales", "Latents against the model's scales",
    "The model predicts a mean and a standard deviation for each latent before it is read. " +
    "Bits are saved where the prediction is near and its deviation is right.",
  make("div", { class: "two" },
    make("div", {}, make("h3", {}, "Spectrum"), make("p", { class: "note" },
      "The gap between the upper line and the lower ones is what the predicted means explain. The lower two should " +
      "agree, down to the model's smallest deviation of 0.12."),
    chart({ low: 0.8, high: sorted.length * 1.2, logarithmic: true, title: "channels, by their deviation" },
      logarithmic(sorted.flatMap((each) => [each.latents, each.residual, each.predicted]), "root mean square, units"),
      [line("latents", "latents", "var(--c0)"), line("distance to the predicted mean", "residual", "var(--c1)"),
        line("predicted deviation", "predicted", "var(--c2)")])),
    make("div", {}, make("h3", {}, "Calibration"), make("p", { class: "note" },
      "A dot is all latents for which one deviation was predicted; its size shows how many. On the dashed line, " +
      "prediction and file agree. Small ones lie below it, since they are rounded to 0."),
    chart(across, up, [
      { name: "equal", kind: "line", colour: "var(--soft)", dash: "5 4",
        points: [across.low, across.high].map((value) => ({ x: value, y: value })) },
      { name: "as the coding tables expect", kind: "line", colour: "var(--c1)",
        points: seen.filter((level) => level.tables > up.low).map((level) => ({ x: level.scale, y: level.tables })) },
      { name: "in the file", kind: "dots", colour: "var(--c0)", points: seen.map((level) => ({ x: level.scale,
        y: level.deviation,
        r: 2 + 5 * Math.sqrt(level.count / most),
        tip: [`predicted ${plain(level.scale)}`, `observed ${plain(level.deviation)}`, `expected by the tables ${
          plain(level.tables)}`, `${whole(level.count)} latents`] })) },
    ]))));
}

function drawDirections() {
  const { directions } = numbers, state = { direction: 0 };
  const words = { colour: "means, added everywhere", texture: "deviations, multiplied" };
  const host = make("div"), choices = make("div", { class: "choices", role: "group", "aria-label": "Direction" });
  const draw = () => {
    const each = directions[state.direction], { amounts } = each;
    choices.replaceChildren(...directions.map((direction, at) => make("button", {
      "aria-pressed": String(at === state.direction),
      onclick: () => { state.direction = at; draw(); },
    }, `${direction.kind} ${at % (directions.length / 2) + 1}`)));
    const signed = (amount) => `${amount > 0 ? "+" : amount < 0 ? "−" : ""}${Math.abs(amount)}`;
    const caption = (at) => [make("b", {}, `${signed(amounts[at])} standard deviations`),
      ` along ${words[each.kind]}; the direction has ${share(each.share, 0)} of the variance`];
    host.replaceChildren(sheeted(pictures.directions[state.direction], numbers.walk, caption, "Amount",
      (amounts.length - 1) / 2));
  };
  draw();
  section("directions", "Along the directions of many pictures",
    "The latents of this picture move along what most distinguishes the pictures of a folder or an index: directions of " +
    "colour change the means of channels, those of texture how much they vary.", choices, host);
}

/** A film with a contact sheet below it, whose pictures are buttons. */
function sheeted(sources, shape, caption, label, at, extra) {
  const sheet = make("div", { class: "sheet" });
  const press = (index) =>
    sheet.childNodes.forEach((button, place) => button.setAttribute("aria-pressed", String(place === index)));
  const change = (index, frame) => { press(index); extra?.(index, frame); };
  const { node, show } = film(sources, shape, caption, label, at, change);
  sheet.append(...sources.map((src, index) =>
    make("button", { onclick: () => show(index), "aria-label": `${label} ${index + 1}` }, make("img", { src, alt: "" }))));
  press(at);
  return make("div", {}, node, sheet);
}

// ---------------------------------------------------------------- two files

function drawPair() {
  const { facts: [first, second], blends, window, quality } = numbers, middle = (blends.length - 1) / 2;
  byId("headline").textContent = document.title = `${first.name} to ${second.name}`;
  byId("what").textContent = `Blends of the latents of two files, decoded at quality ${quality}.` + (window.cropped
    ? ` The sizes differ or are large (${first.width} × ${first.height} and ${second.width} × ${second.height}): the ` +
    `middle ${window.width} × ${window.height} pixels of each are shown.` : "");
  const mixed = make("input", { type: "checkbox", id: "mixed" });
  const over = make("img", { src: pictures.blends[blends.length - 1], alt: "", hidden: "" });
  let show = null;
  const caption = (at) => {
    const { share: part, psnr_to_mixed_pixels: psnr } = blends[at];
    return [make("b", {}, `${share(1 - part, 0)} ${first.name}, ${share(part, 0)} ${second.name}`),
      known(psnr) ? `; PSNR to mixed pixels ${psnr.toFixed(1)} dB` : ""];
  };
  const extra = (at, frame) => {
    show = () => extra(at, frame);
    if (over.parentNode !== frame) frame.append(over);
    const base = frame.firstChild;
    base.src = pictures.blends[mixed.checked ? 0 : at];
    over.hidden = !mixed.checked;
    over.style.opacity = blends[at].share;
    over.style.width = "100%";
  };
  mixed.addEventListener("change", () => show());
  section("blends", "From one picture to the other",
    "Each picture is decoded from a mixture of the two files' latents. If the codec were linear, it would equal a " +
    "mixture of the pixels; tick the box to compare.",
    sheeted(pictures.blends, [window.width, window.height], caption, "Share of the second file", middle, extra),
    make("div", { class: "slider controls" }, make("label", { for: "mixed" }, mixed, " mix pixels, not latents")));
}

// ---------------------------------------------------------------- how

function drawHow() {
  const list = make("dl"), { made } = report, facts = [numbers.facts].flat();
  for (const [term, text] of Object.entries(made)) list.append(make("dt", {}, term), make("dd", {}, text));
  const table = make("table");
  const keys = Object.keys(facts[0]).filter((key) => key !== "name");
  fill(table, [{ title: "", value: (row) => row }, ...facts.map((each) => ({ title: each.name, words: true,
    value: (row) => ({ true: "yes", false: "no" })[each[row]] ?? ([each[row]].flat().join(" ") || "none") }))], keys);
  section("how", "Facts of the file", "These are the facts that aecodec info prints, and how this page was made.",
    scroll(table),
    list);
}

if (Array.isArray(numbers.facts)) drawPair();
else {
  drawHead();
  drawMap();
  drawParts();
  if (numbers.channels) {
    drawChannels();
    drawSteps();
    drawQuantiser();
    drawStrongest();
    drawGrowth();
    drawScales();
  }
  if (numbers.directions) drawDirections();
}
drawHow();
const redraw = () => redraws.forEach((draw) => draw());
redraw();
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;  // a phone's address bar comes and goes
  width = window.innerWidth;
  redraw();
});
