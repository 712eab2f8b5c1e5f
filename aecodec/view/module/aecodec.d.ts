/** Bytes of a file. */
export type Data = Uint8Array | ArrayBuffer | ArrayBufferView | Blob;

/** An address, or bytes. */
export type Source = string | URL | Data;

export interface Info {
  width: number;
  height: number;
  /** Interleaved samples of a pixel: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. */
  channels: 1 | 2 | 3 | 4;
  /** Bits of a sample, 8 to 16. */
  depth: number;
  /** Rate index, 0 to 2048. */
  rate: number;
  /** The same on the scale of 0 to 100. */
  quality: number;
  /** Side of the tiles in pixels, 0 for one tile. */
  tile: number;
  /** Whether every pixel is without loss; such a file needs no weights. */
  lossless: boolean;
  /** Whether the file ends early, where `preview` was asked for; else false. */
  truncated: boolean;
  /** Id of the weights that the file needs, 8 hexadecimal digits. */
  weights: string;
}

export interface Picture extends Info {
  /** height * width * channels samples, row by row; a Uint16Array beyond 8 bits. */
  data: Uint8ClampedArray | Uint16Array;
}

export interface DecodeOptions {
  /** The limit on width * height.  Default: 2 ** 28, which is also the largest. */
  maxPixels?: number;
  /** Bits of a sample, 8 to 16, whatever the file has.  Default: 8. */
  depth?: number;
  /** Give four channels of 8 bits, whatever the file has, as ImageData takes them. */
  rgba?: boolean;
  /** Show what there is of a file that ends early.  Without it such a file is rejected. */
  preview?: boolean;
  /** Compute in plain C, for tests. */
  plainKernels?: boolean;
}

export interface DecoderOptions {
  /**
   * The weights, several, or several by their id: the address or the bytes of model.safetensors, or of its decoder's part
   * (aecodec.view.weights.decoder_weights() in Python), as they are or compressed by gzip.  They are fetched when a file
   * needs them.
   */
  weights?: Source | Source[] | Record<string, Source>;
  /** The address or the bytes of aecodec.wasm.  Default: beside the module. */
  wasm?: Source;
  /** Decode in a worker.  Default: true.  A function makes the worker, of this file's text, under the name that it gets. */
  worker?: boolean | ((name: string) => Worker);
  /** Keep weights in the browser's Cache API, where there is one.  Default: true. */
  cache?: boolean;
}

export interface Decoder {
  /** Reads the header; with `preview` also of a file that ends early.  Rejects with AecError. */
  info(data: Data, options?: Pick<DecodeOptions, "preview">): Promise<Info>;
  /** Decodes a file.  Rejects with AecError. */
  decode(data: Data, options?: DecodeOptions): Promise<Picture>;
  /** Ends the worker and gives its memory back.  Calls that wait are rejected. */
  close(): void;
}

/** The message of libaec, and what kind of failure it is about. */
export class AecError extends Error {
  readonly code: "damaged" | "unsupported" | "limit" | "weights" | "memory" | "argument";
}

export function createDecoder(options?: DecoderOptions): Promise<Decoder>;

/** Starts the decoder that decode() and info() share.  Without it the first call does, with its own options. */
export function setup(options: DecoderOptions): Promise<void>;
export function decode(data: Data, options?: DecodeOptions & DecoderOptions): Promise<Picture>;
export function info(data: Data, options?: Pick<DecodeOptions, "preview"> & DecoderOptions): Promise<Info>;

/** The metadata of a file that was decoded: c ICC, e EXIF, i IPTC, r resolution, x XMP. */
export function metadata(data: Data): Promise<Partial<Record<"c" | "e" | "i" | "r" | "x", Uint8Array>>>;
