// How fast the module restores files: `node speed.mjs NZIP_JS FILE.nz...`, where NZIP_JS is the folder that
// tools/build-wasm.sh makes. Prints raw MB/s, the best of six runs.
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";

const [folder, ...files] = process.argv.slice(2);
const { decompress } = await import(resolve(folder, "nzip.js"));
for (const file of files) {
  const packed = new Uint8Array(readFileSync(file));
  let [best, size] = [Infinity, 0];
  for (let run = 0; run < 6; run++) {
    const start = performance.now();
    size = (await decompress(packed)).length;
    best = Math.min(best, performance.now() - start);
  }
  console.log(`${basename(file)}: ${(size / best / 1000).toFixed(2)} MB/s`);
}
