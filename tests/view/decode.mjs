// Decodes files as test_module.py says and prints what came out, as JSON: a line of input is {files, weights, options}.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [module, request] = process.argv.slice(2);
const { createDecoder } = await import(pathToFileURL(module));
const { files, weights, worker, options } = JSON.parse(request);
const decoder = await createDecoder({ weights: weights.map((path) => pathToFileURL(path)), worker });
const results = [];
for (const path of files) {
  try {
    const bytes = await readFile(path), depth = options.native ? (await decoder.info(bytes)).depth : 8;
    const { data, ...rest } = await decoder.decode(bytes, { ...options, depth });
    results.push({ ...rest, sha256: createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex") });
  } catch (error) {
    results.push({ message: error.message, code: error.code });
  }
}
decoder.close();
results.push(await decoder.decode(new Uint8Array(9)).catch(({ message }) => ({ message })));
console.log(JSON.stringify(results));
