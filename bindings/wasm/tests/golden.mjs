// The golden files of the format.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const folder = fileURLToPath(new URL("../../../formats/vectors/", import.meta.url));

/** Files that need the bytes of another one. */
const BASES = ["tensor-delta.nz", "tensor-rounded.nz", "tensor-rounded-through.nz"];

/** Files whose streams need the bytes of earlier ones. */
const FAMILIES = ["family.nz"];

export const read = (name) => new Uint8Array(readFileSync(join(folder, name)));

/** Name, raw length and BLAKE3 of the raw bytes of each file. */
export const golden = readFileSync(join(folder, "manifest.txt"), "utf8")
  .trim()
  .split("\n")
  .map((line) => line.split(" "))
  .map(([name, , size, hash]) => {
    return { name, size: Number(size), hash, based: BASES.includes(name), family: FAMILIES.includes(name) };
  });

/** The weight files that golden files name. */
export const models = readdirSync(folder, { recursive: true })
  .filter((name) => /\.(nzlm|nzllm|nzpc)$/.test(name))
  .map(read);
