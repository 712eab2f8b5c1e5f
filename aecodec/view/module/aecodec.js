// aecodec for JavaScript: decodes .aec files in browsers and in node, in a worker.  aecodec.d.ts describes what it exports.
//
// This one file is also what the worker runs.  aecodec.wasm, which "make wasm" builds, lies beside it; options may name
// another.

const STATUS = ["ok", "damaged", "unsupported", "limit", "weights", "memory", "argument"];
const MAX_PIXELS = 2 ** 28;
const KEEP_MEMORY = 2 ** 28; // an instance that has grown beyond is replaced: WebAssembly gives no memory back
const CACHE = "aecodec-weights";
const WORKER = "aecodec-decoder";
const IN_NODE = typeof process === "object" && Boolean(process.versions?.node);

export class AecError extends Error {
  constructor(message, code) {
    super(message);
    this.name = "AecError";
    this.code = code;
  }
}

const asBytes = (data) => {
  if (data instanceof Uint8Array) return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new AecError("the data is no Uint8Array and no ArrayBuffer", "argument");
};

// A Blob, such as a File that was dropped, is read first.
const bytesOf = async (data) => asBytes(data?.arrayBuffer ? await data.arrayBuffer() : data);

async function inflate(bytes, format, most = Infinity) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format)).getReader();
  const parts = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > most) throw new AecError("the file is damaged (metadata)", "damaged");
    parts.push(part.value);
  }
  const whole = new Uint8Array(size);
  for (let at = 0; parts.length; at += parts.shift().length) whole.set(parts[0], at);
  return whole;
}

// ---------------------------------------------------------------- the module and its memory

/** One instance of the WebAssembly module; all calls return when they are done. */
class Core {
  constructor(module) {
    this.calls = new WebAssembly.Instance(module).exports;
    this.weights = new Map(); // by id: where they are in memory
  }

  get memory() {
    return new Uint8Array(this.calls.memory.buffer);
  }

  /** Returns what use(address, of, each, block) returns; the memory of the blocks, each bytes or a size, is freed. */
  lend(blocks, use) {
    const places = [];
    try {
      for (const block of blocks) {
        const size = typeof block === "number" ? block : block.length;
        const place = this.calls.aec_web_allocate(size + 1) >>> 0;
        if (!place) throw new AecError("memory ran out", "memory");
        places.push(place);
        if (typeof block !== "number") this.memory.set(block, place);
      }
      return use(...places);
    } finally {
      places.forEach((place) => this.calls.aec_web_free(place));
    }
  }

  check(status) {
    if (!status) return;
    const memory = this.memory, start = this.calls.aec_web_message() >>> 0;
    const text = String.fromCharCode(...memory.subarray(start, memory.indexOf(0, start)));
    throw new AecError(text, STATUS[status]);
  }

  hex(place) {
    return Array.from(this.memory.subarray(place, place + 4), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  info(bytes, { preview = false } = {}) {
    return this.lend([bytes, 36], (data, fields) => {
      this.check(this.calls.aec_web_info(data, bytes.length, preview, fields));
      const [width, height, channels, rate, tile, lossless, depth, truncated] =
        new Uint32Array(this.calls.memory.buffer, fields, 8);
      const quality = Math.round((rate * 1000) / 2048) / 10;
      const weights = this.hex(fields + 32), is = { lossless: lossless === 1, truncated: truncated === 1 };
      return { width, height, channels, depth, rate, quality, tile, ...is, weights };
    });
  }

  open(bytes) {
    const name = nameOf(bytes);
    const id = Uint8Array.from((name ?? "").match(/../g) ?? [], (digits) => parseInt(digits, 16));
    return this.lend([bytes, id, 4], (data, known, place) => {
      this.check(this.calls.aec_web_open(data, bytes.length, name ? known : 0, place));
      const weights = new Uint32Array(this.calls.memory.buffer, place, 1)[0];
      this.calls.aec_web_id(weights, place);
      this.weights.set(this.hex(place), weights);
      return this.hex(place);
    });
  }

  decode(bytes, { maxPixels = MAX_PIXELS, depth = 8, rgba = false, plainKernels = false, preview = false }) {
    const info = this.info(bytes, { preview }), { width, height, channels } = info;
    const weights = this.weights.get(info.weights) ?? 0;
    this.lend([bytes], (data) =>
      this.check(this.calls.aec_web_decode(weights, data, bytes.length, Math.min(maxPixels, MAX_PIXELS), depth,
        plainKernels, preview)));
    const place = this.calls.aec_web_samples() >>> 0;
    try {
      const count = width * height * channels;
      if (depth > 8) return { ...info, depth, data: new Uint16Array(this.calls.memory.buffer, place, count).slice() };
      const samples = this.memory.subarray(place, place + count);
      if (!rgba || channels === 4) return { ...info, depth, data: new Uint8ClampedArray(samples) };
      return { ...info, depth, channels: 4, data: withAlpha(samples, width * height, channels) };
    } finally {
      this.calls.aec_web_free(place);
    }
  }
}

function withAlpha(samples, pixels, channels) {
  const data = new Uint8ClampedArray(4 * pixels);
  const [green, blue, alpha] = channels < 3 ? [0, 0, channels === 2 ? 1 : -1] : [1, 2, -1];
  for (let from = 0, to = 0; to < data.length; from += channels, to += 4) {
    data[to] = samples[from];
    data[to + 1] = samples[from + green];
    data[to + 2] = samples[from + blue];
    data[to + 3] = alpha < 0 ? 255 : samples[from + alpha];
  }
  return data;
}

/** Returns the id that weights without their encoder state in their header, or null: others are hashed. */
function nameOf(bytes) {
  try {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const id = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))).__metadata__?.decoder_of;
    return /^[0-9a-f]{8}/.test(id) ? id.slice(0, 8) : null;
  } catch {
    return null; // the module says what is wrong with them
  }
}

// ---------------------------------------------------------------- where bytes come from

async function read(address) {
  if (IN_NODE && new URL(address).protocol === "file:")
    return new Uint8Array(await (await import("node:fs/promises")).readFile(new URL(address)));
  const answer = await fetch(address);
  if (!answer.ok) throw new AecError(`${address}: ${answer.status} ${answer.statusText}`, "weights");
  return new Uint8Array(await answer.arrayBuffer());
}

/** Reads an address through the browser's Cache API, where there is one. */
async function readCached(address, use) {
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  const found = await cache?.match(address).catch(() => undefined);
  if (found) {
    try {
      return await use(new Uint8Array(await found.arrayBuffer()));
    } catch {
      await cache.delete(address); // other weights may lie at the address by now
    }
  }
  const bytes = await read(address), result = await use(bytes);
  await cache?.put(address, new Response(bytes)).catch(() => undefined); // the disk may be full
  return result;
}

/** Does the work: in the worker, or where there is none. */
class Service {
  constructor({ wasm, weights, cache }) {
    this.sources = weights; // of [id or null, address or bytes]
    this.cached = cache !== false;
    this.kept = []; // bytes of weights
    this.module = (async () => WebAssembly.compile(typeof wasm === "string" ? await read(wasm) : wasm))();
    this.core = null;
  }

  async open() {
    this.core ??= new Core(await this.module);
    return this.core;
  }

  async take(data) {
    const bytes = data[0] === 0x1f && data[1] === 0x8b ? await inflate(data, "gzip") : data;
    const id = this.core.open(bytes);
    this.kept.push(bytes);
    return id;
  }

  /** Opens weights until those of an id are there. */
  async find(id) {
    const core = await this.open();
    for (const bytes of core.weights.size ? [] : this.kept) core.open(bytes);
    const rank = ([known]) => (known === id ? 0 : known ? 2 : 1);
    this.sources.sort((a, b) => rank(a) - rank(b));
    while (!core.weights.has(id) && this.sources.length && rank(this.sources[0]) < 2) {
      const entry = this.sources.shift(), [, source] = entry;
      try {
        if (typeof source !== "string") await this.take(source);
        else await (this.cached ? readCached(source, (data) => this.take(data)) : this.take(await read(source)));
      } catch (error) {
        this.sources.push(entry); // a network may come back
        throw error;
      }
    }
  }

  async info(bytes, options) {
    return (await this.open()).info(bytes, options);
  }

  async decode(bytes, options) {
    const info = await this.info(bytes, options);
    if (!info.lossless) await this.find(info.weights);
    try {
      return this.core.decode(bytes, options);
    } catch (error) {
      if (error instanceof AecError) throw error;
      this.core = null; // a trap, or memory that ran out in between: its state is unknown
      throw new AecError(`the decoder stopped (${error.message})`, "damaged");
    } finally {
      if (this.core?.calls.memory.buffer.byteLength > KEEP_MEMORY) this.core = null;
    }
  }
}

/** Answers the messages of a Remote, one after another. */
function serve(port) {
  let service, queue = Promise.resolve();
  const answer = async ({ id, call, values }) => {
    try {
      if (call === "start") service = new Service(...values);
      const result = call === "start" ? null : await service[call](...values);
      port.postMessage({ id, result }, result?.data ? [result.data.buffer] : []);
    } catch (error) {
      port.postMessage({ id, error: { message: error.message, code: error.code ?? "weights" } });
    }
  };
  port.onmessage = ({ data }) => { queue = queue.then(() => answer(data)); };
}

/** A Service in a worker. */
class Remote {
  static async start(options, make) {
    const remote = new Remote();
    if (IN_NODE) {
      const { Worker } = await import("node:worker_threads");
      remote.worker = new Worker(new URL(import.meta.url), { workerData: WORKER });
      remote.worker.unref();
      remote.worker.on("message", (data) => remote.settle(data));
      remote.worker.on("error", (error) => remote.close(error.message));
    } else {
      remote.worker = make ? make(WORKER) : new Worker(import.meta.url, { type: "module", name: WORKER });
      remote.worker.onmessage = ({ data }) => remote.settle(data);
      remote.worker.onerror = (event) => remote.close(event.message ?? "the worker did not start");
    }
    await remote.call("start", options);
    return remote;
  }

  waiting = new Map();
  count = 0;

  call(call, ...values) {
    if (!this.worker) return Promise.reject(new AecError("the decoder is closed", "argument"));
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, { resolve, reject });
      this.worker.ref?.();
      this.worker.postMessage({ id: this.count, call, values });
    });
  }

  settle({ id, result, error }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (!this.waiting.size) this.worker.unref?.(); // node may end
    if (error) reject(new AecError(error.message, error.code));
    else resolve(result);
  }

  info(bytes, options) {
    return this.call("info", bytes, options);
  }

  decode(bytes, options) {
    return this.call("decode", bytes, options);
  }

  close(reason = "the decoder is closed") {
    this.worker?.terminate();
    this.worker = null;
    for (const { reject } of this.waiting.values()) reject(new AecError(reason, "argument"));
    this.waiting.clear();
  }
}

// ---------------------------------------------------------------- what callers use

class Decoder {
  constructor(service) {
    this.service = service;
  }

  async info(data, options = {}) {
    return this.service.info(await bytesOf(data), options);
  }

  async decode(data, options = {}) {
    return this.service.decode(await bytesOf(data), options);
  }

  close() {
    this.service.close?.();
    this.service = { info: closed, decode: closed };
  }
}

const closed = async () => { throw new AecError("the decoder is closed", "argument"); };

const isById = (weights) => weights && Object.getPrototypeOf(weights) === Object.prototype;

export async function createDecoder({ weights, wasm, worker = true, cache = true } = {}) {
  const place = (source) => (typeof source === "string" || source instanceof URL
    ? new URL(source, globalThis.document?.baseURI ?? import.meta.url).href : bytesOf(source));
  const sources = isById(weights) ? Object.entries(weights) : [weights ?? []].flat().map((source) => [null, source]);
  const settings = {
    wasm: await place(wasm ?? new URL("aecodec.wasm", import.meta.url)),
    weights: await Promise.all(sources.map(async ([id, source]) => [id, await place(source)])),
    cache,
  };
  return new Decoder(worker ? await Remote.start(settings, worker === true ? null : worker) : new Service(settings));
}

let shared = null;

/** Starts the decoder that decode() and info() use; it stays open. */
export function setup(options) {
  shared = createDecoder(options);
  return shared.then(() => undefined);
}

export async function decode(data, options) {
  return (await (shared ??= createDecoder(options))).decode(data, options);
}

export async function info(data, options) {
  return (await (shared ??= createDecoder(options))).info(data, options);
}

// ---------------------------------------------------------------- chunks

const LONGEST = 2 ** 26; // bytes of compressed metadata, docs/format.md, section 3.6

/** Reads chunks, each [type, body], from bytes that a file was found sound in; of one that ends early, those that are whole. */
function* chunksOf(bytes, at, checked) {
  const number = () => {
    let value = 0, factor = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * factor;
      factor *= 128;
    } while (byte > 127);
    return value;
  };
  if (checked) { // the header: two numbers behind the first 9 bytes, then 10 bytes
    number();
    number();
    at += 10;
  }
  while (at < bytes.length) {
    const type = String.fromCharCode(bytes[at++]), size = number();
    if (checked && !(size <= bytes.length - at)) return;
    if (!(size <= bytes.length - at)) throw new AecError("the file is damaged (metadata)", "damaged");
    yield [type, bytes.subarray(at, at + size)];
    at += size + (checked ? 4 : 0);
  }
}

/** Returns the bodies of a file's chunks c, e, i, r and x by type.  Call it with files that were decoded. */
export async function metadata(data) {
  const bytes = await bytesOf(data), found = {};
  for (const [type, body] of chunksOf(bytes, 9, true)) {
    if (type !== "m") {
      if ("ceirx".includes(type)) found[type] = body;
      continue;
    }
    const start = body.findIndex((byte) => byte < 128) + 1;
    const inner = await inflate(body.subarray(start), "deflate", LONGEST);
    for (const [name, content] of chunksOf(inner, 0, false)) found[name] = content;
  }
  return found;
}

if (IN_NODE) {
  import("node:worker_threads").then(({ parentPort, workerData }) => {
    if (workerData !== WORKER) return;
    const port = { postMessage: (...values) => parentPort.postMessage(...values) };
    serve(port);
    parentPort.on("message", (data) => port.onmessage({ data }));
  });
} else if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope && self.name === WORKER) {
  serve(self);
}
