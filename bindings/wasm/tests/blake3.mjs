// BLAKE3 of some bytes, after its reference implementation: for comparing with formats/vectors/manifest.txt.

const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const [CHUNK_START, CHUNK_END, PARENT, ROOT] = [1, 2, 4, 8];
const COLUMNS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]];
const DIAGONALS = [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

const turn = (x, n) => (x >>> n) | (x << (32 - n));

function compress(chaining, words, counter, len, flags) {
  const v = new Int32Array([...chaining, ...IV.slice(0, 4), counter, 0, len, flags]);
  let m = words;
  for (let round = 0; round < 7; round++) {
    [...COLUMNS, ...DIAGONALS].forEach(([a, b, c, d], i) => {
      for (const [x, first, second] of [[m[2 * i], 16, 12], [m[2 * i + 1], 8, 7]]) {
        v[a] += v[b] + x;
        v[d] = turn(v[d] ^ v[a], first);
        v[c] += v[d];
        v[b] = turn(v[b] ^ v[c], second);
      }
    });
    m = ORDER.map((i) => m[i]);
  }
  return [...v.subarray(0, 8)].map((x, i) => x ^ v[i + 8]);
}

function words(block) {
  const padded = new Uint8Array(64);
  padded.set(block);
  return [...new Int32Array(padded.buffer)];
}

/** The chaining value of a part of the tree. */
function node(bytes, counter, root) {
  if (bytes.length <= 1024) {
    let chaining = IV;
    const blocks = Math.max(1, Math.ceil(bytes.length / 64));
    for (let i = 0; i < blocks; i++) {
      const block = bytes.subarray(64 * i, 64 * i + 64);
      const flags = (i === 0 ? CHUNK_START : 0) | (i === blocks - 1 ? CHUNK_END | root : 0);
      chaining = compress(chaining, words(block), counter, block.length, flags);
    }
    return chaining;
  }
  let left = 1024;
  while (2 * left < bytes.length) left *= 2;
  const pair = [...node(bytes.subarray(0, left), counter, 0), ...node(bytes.subarray(left), counter + left / 1024, 0)];
  return compress(IV, pair, 0, 64, PARENT | root);
}

/** The hash in hexadecimal digits. */
export function blake3(bytes) {
  return Buffer.from(new Int32Array(node(bytes, 0, ROOT)).buffer).toString("hex");
}
