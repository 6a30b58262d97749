// The page: drop a file, see what it holds, save what it decodes to.

import { MODELS, NzipWorker } from "./nzip.js";

/** Blocks that are listed at most. */
const LISTED = 2000;
/** Raw bytes that are decoded at a time. */
const PIECE = 1 << 20;
/** Raw bytes whose text is shown. */
const SHOWN = 2000;

const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const count = (n, what) => `${number(n)} ${what}${n === 1 ? "" : "s"}`;
const worker = new NzipWorker();
let current;

function fail(e) {
  at("error").textContent = e.message;
  at("error").hidden = false;
}

function rows(table, list) {
  const body = at(table).tBodies[0];
  body.replaceChildren(
    ...list.map((cells) => {
      const row = document.createElement("tr");
      for (const cell of cells) {
        const place = row.insertCell();
        if (cell instanceof Node) place.append(cell);
        else place.textContent = typeof cell === "number" ? number(cell) : cell;
        if (typeof cell === "string") place.className = "text";
      }
      return row;
    }),
  );
}

function download(name, parts) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function modelName(hash) {
  if (!hash) return "";
  return MODELS[hash]?.replace(/^models\/|\.nz$/g, "") ?? hash.slice(0, 12);
}

async function show(file) {
  at("error").hidden = true;
  await current?.archive.close();
  current = undefined;
  const archive = await worker.open(file);
  const name = file.name.replace(/\.nz$/, "");
  current = { archive, name };
  const { info } = archive;
  at("name").textContent = file.name;
  const ratio = info.size ? (info.storedSize / info.size) * 100 : 100;
  at("summary").textContent =
    `${number(info.size)} bytes, stored in ${number(info.storedSize)} (${ratio.toFixed(1)} %); ` +
    `${count(info.blocks, "block")} in ${count(info.streams.length, "stream")}, ${count(info.tensors.length, "tensor")}`;
  const button = (i, tensor) => {
    const save = document.createElement("button");
    save.textContent = "save";
    save.onclick = () => archive.tensor(i).then((bytes) => download(`${tensor.name}.bin`, [bytes]), fail);
    return save;
  };
  at("tensors-part").hidden = info.tensors.length === 0;
  rows("tensors", info.tensors.map((t, i) => [t.name, t.dtype, t.shape.join(" × ") || "-", t.size, button(i, t)]));
  const blocks = await archive.blocks(0, LISTED);
  rows("blocks", blocks.map((b, i) => [
    i, b.codec ?? "unknown", b.rawSize, b.storedSize, Number((b.rawSize / b.storedSize).toFixed(2)), modelName(b.model),
  ]));
  at("shown").hidden = false;
  at("state").textContent = "";
  at("start").textContent = "…";
  const start = await archive.read(0, Math.min(SHOWN, info.size), { keep: true });
  at("start").textContent = new TextDecoder().decode(start).replace(/[\0-\x08\x0e-\x1f\x7f]/g, "·");
}

async function save() {
  const { archive, name } = current;
  // Chromium writes to the file directly; elsewhere it is put together in memory.
  const place = window.showSaveFilePicker && !navigator.webdriver ? await window.showSaveFilePicker({ suggestedName: name }) : null;
  const out = await place?.createWritable();
  const bar = at("progress");
  bar.hidden = false;
  const parts = [];
  try {
    for (let done = 0; done < archive.size; done += PIECE) {
      bar.value = done / archive.size;
      const part = await archive.read(done, Math.min(PIECE, archive.size - done), { keep: true });
      if (out) await out.write(part);
      else parts.push(part);
    }
    await out?.close();
  } catch (e) {
    await out?.abort();
    throw e;
  } finally {
    bar.hidden = true;
  }
  if (!out) download(name, parts);
  at("state").textContent = `restored ${number(archive.size)} bytes; all check values are right`;
}

at("file").onchange = (e) => e.target.files[0] && show(e.target.files[0]).catch(fail);
at("save").onclick = () => save().catch((e) => e.name !== "AbortError" && fail(e));
const drop = at("drop");
document.ondragover = (e) => {
  e.preventDefault();
  drop.classList.add("over");
};
document.ondragleave = () => drop.classList.remove("over");
document.ondrop = (e) => {
  e.preventDefault();
  drop.classList.remove("over");
  if (e.dataTransfer.files[0]) show(e.dataTransfer.files[0]).catch(fail);
};
