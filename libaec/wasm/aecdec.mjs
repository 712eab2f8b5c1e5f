// aecdec for node: node aecdec.mjs [-k plain] -w WEIGHTS IN.aec OUT decodes as the program in C does; - is standard output.
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createDecoder } from "../../aecodec/view/module/aecodec.js";

const { values, positionals: [input, output] } = parseArgs({
  allowPositionals: true,
  options: { weights: { type: "string", short: "w" }, kernels: { type: "string", short: "k" } },
});
const decoder = await createDecoder({ weights: await readFile(values.weights), worker: false });
const bytes = await readFile(input), { depth } = await decoder.info(bytes);
const options = { depth, plainKernels: values.kernels === "plain" };
const { width, height, channels, data } = await decoder.decode(bytes, options);
const peak = 2 ** depth - 1, samples = Buffer.from(data.buffer);
if (depth > 8) samples.swap16(); // Netpbm's order
const kind = channels === 2 ? "GRAYSCALE" : "RGB";
const head = channels % 2 ? `P${channels === 1 ? 5 : 6}\n${width} ${height}\n${peak}\n`
  : `P7\nWIDTH ${width}\nHEIGHT ${height}\nDEPTH ${channels}\nMAXVAL ${peak}\nTUPLTYPE ${kind}_ALPHA\nENDHDR\n`;
await writeFile(output === "-" ? "/dev/stdout" : output, Buffer.concat([Buffer.from(head), samples]));
