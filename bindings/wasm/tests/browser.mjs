// The page in headless Chromium: a dropped file is shown, decoded and saved; models are fetched when they are needed.
// Usage: NZIP_JS=FOLDER NZIP_GUIDED=FILE.nz NZIP_RAW=FILE node browser.mjs, where playwright-core is installed

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { createRequire } from "node:module";
import { blake3 } from "./blake3.mjs";
import { folder, golden } from "./golden.mjs";
import { serve } from "./server.mjs";

const { chromium } = createRequire(`${process.cwd()}/`)("playwright-core");
const server = await serve([process.env.NZIP_JS, folder]);
const browser = await chromium.launch({
  executablePath: process.env.NZIP_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
let passed = 0;

try {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (e) => problems.push(e.message));
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  await page.goto(server.url);

  /** Puts a file on the page as a drop does, and saves what it decodes to. */
  async function drop(path) {
    const [name, bytes] = [basename(path), [...readFileSync(path)]];
    await page.evaluate(({ name, bytes }) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name));
      document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }, { name, bytes });
    await page.waitForFunction((name) => document.getElementById("name").textContent === name &&
      document.getElementById("start").textContent !== "…", name);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    assert.equal(download.suggestedFilename(), name.replace(/\.nz$/, ""));
    return new Uint8Array(readFileSync(await download.path()));
  }

  for (const name of ["mix-text.nz", "tensor-small.nz", "two-streams.nz", "deflate-picture.nz"]) {
    const { size, hash } = golden.find((g) => g.name === name);
    const raw = await drop(`${folder}${name}`);
    assert.ok(raw.length === size && blake3(raw) === hash, name);
    assert.ok((await page.locator("#blocks tbody tr").count()) > 0, name);
    const tensors = await page.locator("#tensors tbody tr").count();
    assert.equal(name.startsWith("tensor"), tensors > 0, name);
    passed++;
  }
  assert.ok(!server.asked.some((a) => a.path.includes("models/")), "no model was needed");
  if (process.env.NZIP_SHOT) await page.screenshot({ path: process.env.NZIP_SHOT, fullPage: true });

  // A model is fetched when a file needs it.
  assert.deepEqual(Buffer.from(await drop(process.env.NZIP_GUIDED)), readFileSync(process.env.NZIP_RAW));
  assert.deepEqual(server.asked.filter((a) => a.path.includes("models/")).map((a) => a.path).sort(), [
    "/models/guided-tiny.zst",
    "/models/tiny.nz",
  ]);
  passed++;

  // A file that is none.
  await page.setInputFiles("#file", { name: "none.nz", mimeType: "", buffer: Buffer.from("no stream at all") });
  await page.waitForSelector("#error:not([hidden])");
  passed++;

  // The package in a page, over HTTP, on the page's own thread.
  const sum = await page.evaluate(async () => {
    const { Archive, decompressStream } = await import("/nzip.js");
    const archive = await Archive.fromUrl("/1/tensor-small.nz");
    const stream = (await fetch("/1/mix-text.nz")).body.pipeThrough(decompressStream());
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    return [raw.length, (await archive.tensor(0)).length - archive.tensors[0].size];
  });
  assert.deepEqual(sum, [golden.find((g) => g.name === "mix-text.nz").size, 0]);
  passed++;
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
  server.close();
}
console.log(`${passed} passed, 0 failed`);
