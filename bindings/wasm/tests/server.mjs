// A server of some folders on this machine, which knows ranges.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** Serves `folders[0]` as / and the others as /1/, /2/ and so on. Returns its address and what was asked for. */
export async function serve(folders, { ranges = true } = {}) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const [, number, rest] = /^\/(?:(\d)\/)?(.*)$/.exec(path);
    let bytes;
    try {
      bytes = await readFile(join(folders[number ?? 0], rest || "index.html"));
    } catch {
      return response.writeHead(404).end();
    }
    const type = { "Content-Type": TYPES[extname(path)] ?? (rest ? "application/octet-stream" : "text/html") };
    const range = ranges && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (!range) {
      asked.push({ path, sent: bytes.length });
      return response.writeHead(200, type).end(bytes);
    }
    const start = Number(range[1]);
    const end = Math.min(Number(range[2]) + 1, bytes.length);
    if (start >= end) return response.writeHead(416).end();
    asked.push({ path, sent: end - start });
    response.writeHead(206, { ...type, "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` });
    response.end(bytes.subarray(start, end));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}`, asked, close: () => server.close() };
}
