// nzip for browsers and Node: decompresses .nz files, whole, as streams, or any part of them.

const KINDS = [
  "none", "newer-version", "not-nz", "corrupt", "truncated", "bad-argument", "missing-model", "missing-base",
  "limit-exceeded", "no-room", "io", "other",
];
const NEEDS_BYTES = -100;
/** Bytes that are coded at a time. */
const STEP = 256 << 10;
/** Bytes that are fetched at a time at least. */
const FETCH = 16 << 10;
const MEMORY = 2 ** 30;

/** The files of models that ship, by the hash of their weights. They are fetched when they are first needed. */
export const MODELS = {
  "10038fc4bfdc68c3a195f40470569f4692df515f0a0ab2470fd46ee5174df92d": "models/tiny.nz",
  "449ac016860c9948bc840ebb1fc6440f4b451db29089071001190fc588d4dd6a": "models/base.nz",
};

/** The files of starting points that text guided by these models needs besides. */
const STARTS = {
  "10038fc4bfdc68c3a195f40470569f4692df515f0a0ab2470fd46ee5174df92d": "models/guided-tiny.zst",
  "449ac016860c9948bc840ebb1fc6440f4b451db29089071001190fc588d4dd6a": "models/guided-base.zst",
};

/** An error; `kind` is one of newer-version, not-nz, corrupt, truncated, bad-argument, missing-model, … */
export class NzipError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "NzipError";
    this.kind = kind;
  }
}

let core;

/** Reads a file that lies beside this one. */
async function beside(name) {
  const url = new URL(name, import.meta.url);
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new NzipError("io", `${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Loads the module, once. Everything else does so itself; a program may pass bytes or a compiled module where it does not
 * lie beside this file.
 */
export function load(source) {
  core ??= (async () => {
    const { instance, exports } = await WebAssembly.instantiate(source ?? (await beside("nzip.wasm")), {});
    return new Core((instance ?? { exports }).exports);
  })();
  return core;
}

/** The exports of the module, with bytes and texts in place of addresses. */
class Core {
  constructor(exports) {
    this.exports = exports;
  }

  view(start, len) {
    return new Uint8Array(this.exports.memory.buffer, start, len);
  }

  reply() {
    return new TextDecoder().decode(this.view(this.exports.reply_start(), this.exports.reply_len()));
  }

  take(len) {
    const start = this.exports.memory_take(len);
    if (start === 0) throw new NzipError("limit-exceeded", `no memory for ${len} bytes`);
    return start;
  }

  /** Calls a function with the place of a copy of some bytes. */
  with(bytes, work) {
    const start = this.take(bytes.length);
    try {
      this.view(start, bytes.length).set(bytes);
      return work(start, bytes.length);
    } finally {
      this.exports.memory_give(start, bytes.length);
    }
  }

  check(status) {
    if (status < 0) throw new NzipError(KINDS[-status] ?? "other", this.reply());
    return status;
  }
}

/** Adds a model: the bytes of a weight file, packed or plain. Returns its hash. */
export async function addModel(bytes) {
  const c = await load();
  c.check(c.with(bytes, (start, len) => c.exports.model_add(start, len)));
  return c.reply();
}

/** Fetches a model that ships: "tiny", "base", or a hash. Whole files and archives do so themselves. */
export async function loadModel(name) {
  const hash = MODELS[name] ? name : Object.keys(MODELS).find((h) => MODELS[h] === `models/${name}.nz`);
  if (!hash) throw new NzipError("missing-model", `no model ${name} ships`);
  const c = await load();
  const digits = new TextEncoder().encode(hash);
  if (c.with(digits, (start, len) => c.exports.model_known(start, len)) === 1) return hash;
  const [model, start] = await Promise.all([beside(MODELS[hash]), beside(STARTS[hash])]);
  await addModel(start);
  return addModel(model);
}

/** Does work again once a model that it misses is there, if that ships. */
async function withModels(work) {
  for (const tried = new Set(); ; ) {
    try {
      return await work();
    } catch (e) {
      const hash = e.kind === "missing-model" && /[0-9a-f]{64}/.exec(e.message)?.[0];
      if (!hash || !MODELS[hash] || tried.has(hash)) throw e;
      tried.add(hash);
      await loadModel(hash);
    }
  }
}

/** A stream between buffers in the module's memory. */
class Coder {
  constructor(c, pointer, step, free) {
    Object.assign(this, { c, pointer, step, free, done: false, begun: false });
    this.from = c.take(STEP);
    this.to = c.take(STEP);
  }

  /** Codes bytes, and calls `emit` with what comes out, which it has to copy. Returns how many bytes were taken. */
  run(bytes, emit, finish = 0) {
    const { c } = this;
    let at = 0;
    for (;;) {
      const n = Math.min(bytes.length - at, STEP);
      c.view(this.from, n).set(bytes.subarray(at, at + n));
      let taken = 0;
      for (;;) {
        const last = at + n === bytes.length ? finish : 0;
        const status = this.step(this.pointer, this.from + taken, n - taken, this.to, STEP, last);
        taken += c.exports.step_read();
        const written = c.exports.step_written();
        if (written > 0) emit(c.view(this.to, written));
        c.check(status);
        this.done = status === 1;
        if (this.done || (taken === n && written < STEP)) break;
      }
      at += taken;
      if (at === bytes.length || taken < n) return at;
    }
  }

  close() {
    if (this.pointer === 0) return;
    this.free(this.pointer);
    this.c.exports.memory_give(this.from, STEP);
    this.c.exports.memory_give(this.to, STEP);
    this.pointer = 0;
  }
}

function decoder(c, memory = MEMORY) {
  return new Coder(c, c.exports.decoder_new(memory), c.exports.decoder_step, c.exports.decoder_free);
}

function encoder(c, level = 6) {
  const pointer = c.exports.encoder_new(level);
  if (pointer === 0) throw new NzipError("bad-argument", c.reply());
  return new Coder(c, pointer, c.exports.encoder_step, c.exports.encoder_free);
}

/** Takes all streams of some bytes, one after the other. */
class Streams {
  constructor(c, memory) {
    Object.assign(this, { c, memory, coder: null, whole: false });
  }

  push(bytes, emit) {
    for (let at = 0; at < bytes.length; ) {
      this.coder ??= decoder(this.c, this.memory);
      at += this.coder.run(bytes.subarray(at), emit);
      this.whole = this.coder.done;
      if (this.whole) this.close();
    }
  }

  end() {
    this.close();
    if (!this.whole) throw new NzipError("truncated", "the data ends before the stream does");
  }

  close() {
    this.coder?.close();
    this.coder = null;
  }
}

/** Copies of bytes, one after the other, in one piece; `size` is how many there will be, as far as that is known. */
class Gathered {
  constructor(size) {
    this.bytes = new Uint8Array(size);
    this.size = 0;
  }

  push(part) {
    const size = this.size + part.length;
    if (size > this.bytes.length) {
      const longer = new Uint8Array(Math.max(size, 2 * this.bytes.length));
      longer.set(this.bytes.subarray(0, this.size));
      this.bytes = longer;
    }
    this.bytes.set(part, this.size);
    this.size = size;
  }

  all() {
    return this.size === this.bytes.length ? this.bytes : this.bytes.slice(0, this.size);
  }
}

/** How many raw bytes a file says it has, if that is allowed; 0 where it does not say so. */
async function rawSize(bytes, memory) {
  try {
    const archive = await Archive.open(fromBytes(bytes), { memory });
    const { size } = archive;
    archive.close();
    return size <= memory ? size : 0;
  } catch {
    return 0;
  }
}

/** Decompresses all streams of some bytes. */
export async function decompress(bytes, { memory = MEMORY } = {}) {
  try {
    return await streamed(bytes, memory);
  } catch (e) {
    if (e.kind !== "missing-base") throw e;
    // In a family, the base lies in an earlier stream, where an archive finds it.
    const archive = await Archive.fromBytes(bytes, { memory });
    try {
      return await archive.read();
    } finally {
      archive.close();
    }
  }
}

/** The same, one stream after the other. */
async function streamed(bytes, memory) {
  const c = await load();
  const size = await rawSize(bytes, memory);
  return withModels(() => {
    const streams = new Streams(c, memory);
    const raw = new Gathered(size);
    try {
      streams.push(bytes, (part) => {
        if (raw.size + part.length > memory) throw new NzipError("limit-exceeded", `more than ${memory} bytes`);
        raw.push(part);
      });
      streams.end();
    } finally {
      streams.close();
    }
    return raw.all();
  });
}

/** Compresses bytes at a level of 1 (fast) to 9 (small). Language models are not used. */
export async function compress(bytes, level = 6) {
  const coder = encoder(await load(), level);
  const packed = new Gathered(STEP);
  try {
    coder.run(bytes, (part) => packed.push(part), 1);
  } finally {
    coder.close();
  }
  return packed.all();
}

/** A TransformStream of compressed bytes to raw ones. `models` are loaded first: a stream cannot be read again. */
export function decompressStream({ memory = MEMORY, models = [] } = {}) {
  let streams;
  const guarded = (work) => {
    try {
      return work();
    } catch (e) {
      streams.close();
      throw e;
    }
  };
  return new TransformStream({
    async start() {
      streams = new Streams(await load(), memory);
      for (const model of models) await loadModel(model);
    },
    transform: (chunk, out) => guarded(() => streams.push(chunk, (part) => out.enqueue(part.slice()))),
    flush: () => streams.end(),
  });
}

/** A TransformStream of raw bytes to compressed ones. */
export function compressStream(level = 6) {
  let coder;
  return new TransformStream({
    async start() {
      coder = encoder(await load(), level);
    },
    transform: (chunk, out) => void coder.run(chunk, (part) => out.enqueue(part.slice())),
    flush(out) {
      coder.run(new Uint8Array(), (part) => out.enqueue(part.slice()), 1);
      coder.close();
    },
  });
}

/** What an archive reads from: `size` bytes, of which `read(offset, len)` gives some. */
async function fromUrl(url, init = {}) {
  const part = async (offset, len) => {
    const headers = { ...init.headers, Range: `bytes=${offset}-${offset + len - 1}` };
    const response = await fetch(url, { ...init, headers });
    if (!response.ok) throw new NzipError("io", `${url}: ${response.status} ${response.statusText}`);
    return response;
  };
  const first = await part(0, FETCH);
  const bytes = new Uint8Array(await first.arrayBuffer());
  if (first.status !== 206) return fromBytes(bytes);
  const size = Number(/\/(\d+)$/.exec(first.headers.get("Content-Range") ?? "")?.[1]);
  if (!Number.isSafeInteger(size)) throw new NzipError("io", `${url}: the server does not say how long it is`);
  return {
    size,
    async read(offset, len) {
      if (offset + len <= bytes.length) return bytes.subarray(offset, offset + len);
      const response = await part(offset, len);
      const got = new Uint8Array(await response.arrayBuffer());
      return response.status === 206 ? got : got.subarray(offset, offset + len);
    },
  };
}

function fromBytes(bytes) {
  return { size: bytes.length, read: (offset, len) => bytes.subarray(offset, offset + len) };
}

function fromBlob(blob) {
  const read = async (offset, len) => new Uint8Array(await blob.slice(offset, offset + len).arrayBuffer());
  return { size: blob.size, read };
}

/** A file of which any part can be read. What is not needed is neither fetched nor decoded. */
export class Archive {
  /** Opens a URL. Only the parts that are read are fetched, where the server knows ranges. */
  static async fromUrl(url, { memory, ...init } = {}) {
    return Archive.open(await fromUrl(url, init), { memory });
  }

  /** Opens a Blob or a File. */
  static fromBlob(blob, options) {
    return Archive.open(fromBlob(blob), options);
  }

  /** Opens bytes. */
  static fromBytes(bytes, options) {
    return Archive.open(fromBytes(bytes), options);
  }

  /** Opens anything that has `size` and `read(offset, len)`, which may return a promise. */
  static async open(source, { memory = MEMORY } = {}) {
    const archive = new Archive();
    Object.assign(archive, { c: await load(), source, memory, pointer: 0, queue: Promise.resolve(), fetched: 0 });
    try {
      archive.info = JSON.parse(await archive.#work((p) => archive.c.exports.archive_info(p), () => archive.c.reply()));
    } catch (e) {
      archive.close();
      throw e;
    }
    return archive;
  }

  /** Raw bytes. */
  get size() {
    return this.info.size;
  }

  /** The tensors: name, dtype, shape, offset, size. */
  get tensors() {
    return this.info.tensors;
  }

  /** Describes blocks: offset, storedSize, rawOffset, rawSize, rangeCost, codec, model. */
  async blocks(first = 0, count = this.info.blocks) {
    const call = (p) => this.c.exports.archive_blocks(p, first, count);
    return JSON.parse(await this.#work(call, () => this.c.reply()));
  }

  /** The raw bytes of a range. With `keep`, what was decoded around it stays, for reading on. */
  async read(offset = 0, len = this.size - offset, { keep = false } = {}) {
    if (offset < 0 || len < 0 || offset + len > this.size) {
      throw new NzipError("bad-argument", `${len} bytes from ${offset} on of ${this.size} bytes`);
    }
    return this.#fill(len, (p, to) => this.c.exports.archive_read(p, offset, to, len, Number(keep)));
  }

  /** The raw bytes as a ReadableStream. */
  stream(piece = 1 << 20) {
    let at = 0;
    return new ReadableStream({
      pull: async (out) => {
        const len = Math.min(piece, this.size - at);
        if (len === 0) return out.close();
        out.enqueue(await this.read(at, len, { keep: true }));
        at += len;
      },
    });
  }

  /** The bytes of a tensor, by its name or number. */
  async tensor(name) {
    const number = this.#number(name);
    const { size } = this.tensors[number];
    return this.#fill(size, (p, to) => this.c.exports.archive_tensor(p, number, to, size));
  }

  /** The bytes of `count` rows of a tensor from row `first` on: rows are what the first dimension counts. */
  async rows(name, first, count) {
    const number = this.#number(name);
    const { shape, size } = this.tensors[number];
    const rows = shape.length < 2 ? 1 : shape[0];
    if (first < 0 || count < 0 || first + count > rows) {
      throw new NzipError("bad-argument", `rows ${first} to ${first + count} of ${rows}`);
    }
    const len = rows === 0 ? 0 : (size / rows) * count;
    return this.#fill(len, (p, to) => this.c.exports.archive_rows(p, number, first, count, to, len));
  }

  /** Frees the memory of the archive, which cannot be used any more. */
  close() {
    if (this.pointer) this.c.exports.archive_free(this.pointer);
    this.pointer = 0;
    this.closed = true;
  }

  #number(name) {
    if (typeof name === "number" && this.tensors[name]) return name;
    const numbers = this.tensors.flatMap((t, i) => (t.name === name ? [i] : []));
    if (numbers.length === 1) return numbers[0];
    throw new NzipError("bad-argument", `${numbers.length === 0 ? "no tensor is" : "several tensors are"} called ${name}`);
  }

  #fill(len, call) {
    let to = 0;
    return this.#work(
      (p) => {
        to ||= this.c.take(len);
        return call(p, to);
      },
      () => this.c.view(to, len).slice(),
      () => to && this.c.exports.memory_give(to, len),
    );
  }

  /** Does work of the module once all earlier work is done. Parts of the file that it misses are fetched. */
  #work(call, result, after = () => {}) {
    const work = async () => {
      try {
        return await withModels(async () => {
          try {
            await this.#until(call);
          } catch (e) {
            // An archive only knows the models that were there when it was opened.
            if (e.kind === "missing-model") this.#forget();
            throw e;
          }
          return result();
        });
      } finally {
        after();
      }
    };
    const done = this.queue.then(work);
    this.queue = done.catch(() => {});
    return done;
  }

  #forget() {
    if (this.pointer) this.c.exports.archive_free(this.pointer);
    this.pointer = 0;
  }

  async #until(call) {
    const { c, source } = this;
    for (let last = -1; ; ) {
      if (this.closed) throw new NzipError("bad-argument", "the archive is closed");
      this.pointer ||= c.exports.archive_new(source.size, this.memory);
      const status = call(this.pointer);
      if (status !== NEEDS_BYTES) return c.check(status);
      const [offset, len] = [c.exports.missing_offset(), c.exports.missing_len()];
      if (offset === last) throw new NzipError("io", `the bytes from ${offset} on did not come`);
      last = offset;
      // The index lies at the end, and what it is read with before it.
      const start = Math.max(0, Math.min(offset, source.size - FETCH));
      const end = Math.min(source.size, Math.max(offset + len, start + FETCH));
      const bytes = await source.read(start, end - start);
      this.fetched += bytes.length;
      if (this.pointer) c.with(bytes, (at, n) => c.exports.archive_supply(this.pointer, start, at, n));
    }
  }
}

/** The same in a Web Worker, so that a page stays alive while it decodes. */
export class NzipWorker {
  constructor(url = new URL("worker.js", import.meta.url)) {
    this.worker = new Worker(url, { type: "module" });
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new NzipError(error.kind, error.message));
      else resolve(result);
    };
    this.worker.onerror = (e) => {
      for (const { reject } of this.waiting.values()) reject(new NzipError("other", e.message));
      this.waiting.clear();
    };
  }

  #call(name, ...values) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, name, values });
    });
  }

  decompress(bytes, options) {
    return this.#call("decompress", bytes, options);
  }

  compress(bytes, level) {
    return this.#call("compress", bytes, level);
  }

  /** Opens a Blob, a File, bytes or a URL. Its methods are those of an Archive. */
  async open(source, options) {
    const { number, info } = await this.#call("open", source, options);
    const on = (name) => (...values) => this.#call("archive", number, name, ...values);
    return {
      info,
      size: info.size,
      tensors: info.tensors,
      blocks: on("blocks"),
      read: on("read"),
      tensor: on("tensor"),
      rows: on("rows"),
      close: on("close"),
    };
  }

  terminate() {
    this.worker.terminate();
  }
}
