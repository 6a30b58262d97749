// The package in Node: golden files in all ways, streams, ranges over HTTP, damage.
// Usage: NZIP_JS=FOLDER node --test node.test.mjs

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { blake3 } from "./blake3.mjs";
import { folder, golden, models, read } from "./golden.mjs";
import { serve } from "./server.mjs";

const built = process.env.NZIP_JS;
const nzip = await import(pathToFileURL(join(built, "nzip.js")));
const { Archive, compress, compressStream, decompress, decompressStream } = nzip;

const kind = (kind) => (e) => e.kind === kind;
const text = new TextEncoder().encode(Array.from({ length: 3000 }, (_, i) => `line ${i}, and some words\n`).join(""));

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

const pieces = (bytes, size) =>
  new ReadableStream({
    start(out) {
      for (let at = 0; at < bytes.length; at += size) out.enqueue(bytes.subarray(at, at + size));
      out.close();
    },
  });

test("blake3", () => {
  assert.equal(blake3(new Uint8Array()), golden.find((g) => g.name === "empty.nz").hash);
});

test("golden files", async () => {
  for (const weights of models) await nzip.addModel(weights);
  let count = 0;
  for (const { name, size, hash, based, family } of golden) {
    const packed = read(name);
    if (based) {
      await assert.rejects(decompress(packed), kind("missing-base"), name);
      continue;
    }
    const raw = await decompress(packed);
    assert.ok(raw.length === size && blake3(raw) === hash, name);
    const streamed = collect(pieces(packed, 999).pipeThrough(decompressStream()));
    if (family) await assert.rejects(streamed, kind("missing-base"), name);
    else assert.deepEqual(await streamed, raw, name);
    const archive = await Archive.fromBytes(packed);
    assert.equal(archive.size, size, name);
    const [from, len] = [Math.floor(size / 3), Math.floor(size / 4)];
    assert.deepEqual(await archive.read(from, len), raw.subarray(from, from + len), name);
    assert.deepEqual(await collect(archive.stream(50_000)), raw, name);
    for (const [i, t] of archive.tensors.entries()) {
      assert.deepEqual(await archive.tensor(i), raw.subarray(t.offset, t.offset + t.size), `${name} ${t.name}`);
    }
    const blocks = await archive.blocks();
    assert.equal(blocks.reduce((sum, b) => sum + b.rawSize, 0), size, name);
    archive.close();
    count++;
  }
  assert.ok(count > 40);
});

test("there and back", async () => {
  for (const level of [1, 2, 5, 6]) {
    const packed = await compress(text, level);
    assert.ok(packed.length < text.length / 5);
    assert.deepEqual(await decompress(packed), text);
    const streamed = await collect(pieces(text, 10_007).pipeThrough(compressStream(level)));
    assert.deepEqual(streamed, packed);
  }
  assert.deepEqual(await decompress(await compress(new Uint8Array())), new Uint8Array());
  await assert.rejects(compress(text, 10), kind("bad-argument"));
});

test("the bytes of the command", { skip: !process.env.NZIP_COMMAND && "NZIP_COMMAND is not set" }, async () => {
  const { execFileSync } = await import("node:child_process");
  for (const level of [1, 2, 5, 6]) {
    const packed = execFileSync(process.env.NZIP_COMMAND, ["-c", `-${level}`], { input: text });
    assert.deepEqual(Buffer.from(await compress(text, level)), packed, `level ${level}`);
  }
  // With a language model, which is fetched.
  const guided = execFileSync(process.env.NZIP_COMMAND, ["-c", "-7"], { input: text.subarray(0, 60_000) });
  assert.deepEqual(await decompress(new Uint8Array(guided)), text.subarray(0, 60_000));
});

test("several streams, and what is missing", async () => {
  const packed = await compress(text.subarray(0, 3000), 1);
  const two = new Uint8Array([...packed, ...packed]);
  assert.equal((await decompress(two)).length, 6000);
  assert.equal((await collect(pieces(two, 7).pipeThrough(decompressStream()))).length, 6000);
  for (const bytes of [packed.subarray(0, -1), two.subarray(0, -5), new Uint8Array()]) {
    await assert.rejects(decompress(bytes), kind("truncated"));
    await assert.rejects(collect(pieces(bytes, 50).pipeThrough(decompressStream())), kind("truncated"));
  }
  await assert.rejects(decompress(text), kind("not-nz"));
  const bad = packed.slice();
  bad[packed.length >> 1] ^= 1;
  await assert.rejects(decompress(bad), (e) => e instanceof nzip.NzipError);
  await assert.rejects(Archive.fromBytes(packed.subarray(0, 20)), (e) => e instanceof nzip.NzipError);
  await assert.rejects(decompress(await compress(new Uint8Array(3 << 20), 1), { memory: 1 << 20 }), kind("limit-exceeded"));
});

test("ranges over HTTP", async () => {
  const server = await serve([folder]);
  try {
    const name = "tensor-small.nz";
    const raw = await decompress(read(name));
    const archive = await Archive.fromUrl(`${server.url}/${name}`);
    const many = await Promise.all(archive.tensors.map((t) => archive.tensor(t.name)));
    archive.tensors.forEach((t, i) => assert.deepEqual(many[i], raw.subarray(t.offset, t.offset + t.size)));
    const wide = archive.tensors.find((t) => t.shape.length === 2 && t.shape[0] > 2);
    const row = wide.size / wide.shape[0];
    const start = wide.offset + row;
    assert.deepEqual(await archive.rows(wide.name, 1, 1), raw.subarray(start, start + row));
    await assert.rejects(archive.rows(wide.name, wide.shape[0], 1), kind("bad-argument"));
    await assert.rejects(archive.tensor("no such tensor"), kind("bad-argument"));
    await assert.rejects(archive.read(raw.length, 1), kind("bad-argument"));
    await assert.rejects(Archive.fromUrl(`${server.url}/none.nz`), kind("io"));
    archive.close();
    await assert.rejects(archive.read(0, 1), kind("bad-argument"));
  } finally {
    server.close();
  }
});

test("only what is read is fetched", async () => {
  // 3 MiB of noise: as many blocks and bytes as that.
  const noise = new Uint8Array(3 << 20).map((_, i) => Math.imul(i ^ (i >>> 7), 0x9e3779b1) >>> 13);
  const { mkdtemp, rm, writeFile } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const place = await mkdtemp(join(tmpdir(), "nzip-"));
  const parts = [];
  for (let at = 0; at < noise.length; at += 1 << 18) parts.push(await compress(noise.subarray(at, at + (1 << 18)), 1));
  await writeFile(join(place, "noise.nz"), Buffer.concat(parts));
  for (const ranges of [true, false]) {
    const server = await serve([place], { ranges });
    try {
      const archive = await Archive.fromUrl(`${server.url}/noise.nz`);
      assert.deepEqual(await archive.read(1_000_000, 5), noise.subarray(1_000_000, 1_000_005));
      const sent = server.asked.reduce((sum, a) => sum + a.sent, 0);
      if (ranges) assert.ok(sent < 1_000_000, `${sent} bytes`);
      assert.deepEqual(await archive.read(), noise);
      archive.close();
    } finally {
      server.close();
    }
  }
  await rm(place, { recursive: true });
});
