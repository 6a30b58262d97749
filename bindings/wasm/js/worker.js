// The other side of NzipWorker.

import { Archive, compress, decompress } from "./nzip.js";

const archives = [];

const calls = {
  decompress,
  compress,
  async open(source, options) {
    const open = source instanceof Blob ? "fromBlob" : source instanceof Uint8Array ? "fromBytes" : "fromUrl";
    const archive = await Archive[open](source, options);
    return { number: archives.push(archive) - 1, info: archive.info };
  },
  archive: (number, name, ...values) => archives[number][name](...values),
};

onmessage = async ({ data: { id, name, values } }) => {
  try {
    const result = await calls[name](...values);
    postMessage({ id, result }, result instanceof Uint8Array ? [result.buffer] : []);
  } catch (e) {
    postMessage({ id, error: { kind: e.kind ?? "other", message: String(e.message ?? e) } });
  }
};
