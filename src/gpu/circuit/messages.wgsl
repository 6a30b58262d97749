// Messages of the LANES windows of a workgroup (formats/circuit.md, "Messages"). Two neighbouring entries of
// one window share a word, and the words of four windows form a vector: entry pair p of four windows is at
// `state[part + p * QUADS + quad]`. Single entries are laid out in the same way.

@group(0) @binding(0) var<storage, read> model: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<vec4<u32>>;

const THREADS: u32 = 256u;
const QUADS: u32 = LANES / 4u;

// Maxima and sums over the entries of each window. An instruction uses each of them once.
const MOST_DOWN: u32 = 0u;
const SUM_DOWN: u32 = 1u;
const MOST_SEEN: u32 = 2u;
const SUM_SEEN: u32 = 3u;
const MOST_UP: u32 = 4u;
const FOLDS: u32 = 5u;
var<workgroup> folds: array<atomic<u32>, FOLDS * LANES>;

// The class of each window that has just been decoded.
var<workgroup> chosen: array<u32, LANES>;

var<private> thread: u32;
// The starts of the parts of this workgroup's state.
var<private> phi: u32;
var<private> lambda: u32;
var<private> masses: u32;
var<private> message: u32;
var<private> wide: u32;
var<private> wide_too: u32;
var<private> weights: u32;

fn sync() {
    storageBarrier();
    workgroupBarrier();
}

fn clear_folds() {
    if thread < FOLDS * LANES {
        atomicStore(&folds[thread], 0u);
    }
    workgroupBarrier();
}

fn fold_most(fold: u32, quad: u32, x: vec4<u32>) {
    let at = fold * LANES + quad * 4u;
    atomicMax(&folds[at], x.x);
    atomicMax(&folds[at + 1u], x.y);
    atomicMax(&folds[at + 2u], x.z);
    atomicMax(&folds[at + 3u], x.w);
}

fn fold_sum(fold: u32, quad: u32, x: vec4<u32>) {
    let at = fold * LANES + quad * 4u;
    atomicAdd(&folds[at], x.x);
    atomicAdd(&folds[at + 1u], x.y);
    atomicAdd(&folds[at + 2u], x.z);
    atomicAdd(&folds[at + 3u], x.w);
}

fn folded(fold: u32, quad: u32) -> vec4<u32> {
    let at = fold * LANES + quad * 4u;
    return vec4(
        atomicLoad(&folds[at]),
        atomicLoad(&folds[at + 1u]),
        atomicLoad(&folds[at + 2u]),
        atomicLoad(&folds[at + 3u]),
    );
}

fn low(x: vec4<u32>) -> vec4<u32> {
    return x & vec4(0xffffu);
}

fn high(x: vec4<u32>) -> vec4<u32> {
    return x >> vec4(16u);
}

// By how many bits a message is shifted right so that at most 15 are left.
fn excess(most: vec4<u32>) -> vec4<u32> {
    return max(firstLeadingBit(most) + vec4(1u), vec4(15u)) - vec4(15u);
}

fn rounded(x: vec4<u32>, shift: vec4<u32>) -> vec4<u32> {
    return (x + ((vec4(1u) << shift) >> vec4(1u))) >> shift;
}

// Two entries of `peak`, from wide entries whose maximum is `most`.
fn peak(a: vec4<u32>, b: vec4<u32>, most: vec4<u32>) -> vec4<u32> {
    let right = excess(most);
    let left = vec4(14u) - min(firstLeadingBit(most), vec4(14u));
    let x = min(rounded(a, right) << left, vec4(32767u));
    let y = min(rounded(b, right) << left, vec4(32767u));
    return select(x | y << vec4(16u), vec4(0x00010001u), most == vec4(0u));
}

// Two entries of `mass`, from those of a message whose sum is `sum`.
fn mass(pair: vec4<u32>, sum: vec4<u32>) -> vec4<u32> {
    let right = excess(sum);
    return rounded(low(pair), right) | rounded(high(pair), right) << vec4(16u);
}

// One row of a product that has `rows` rows and `pairs` pairs of entries.
fn dot_row(matrix: u32, rows: u32, row: u32, pairs: u32, x: u32, quad: u32) -> vec4<u32> {
    var sum = vec4(0u);
    for (var p = 0u; p < pairs; p++) {
        let w = model[matrix + p * rows + row];
        let entries = state[x + p * QUADS + quad];
        sum += low(entries) * (w & 0xffffu) + high(entries) * (w >> 16u);
    }
    return sum;
}

// Computes wide = matrix · message, and its maximum.
fn product(matrix: u32, rows: u32, pairs: u32, x: u32, fold: u32) {
    for (var i = thread; i < rows * QUADS; i += THREADS) {
        let sum = dot_row(matrix, rows, i / QUADS, pairs, x, i % QUADS);
        state[wide + i] = sum;
        fold_most(fold, i % QUADS, sum);
    }
    sync();
}

// Makes a message from the wide entries of a part, and its sum.
fn put_peak(from_wide: u32, pairs: u32, to: u32, most: u32, sum: u32) {
    for (var i = thread; i < pairs * QUADS; i += THREADS) {
        let quad = i % QUADS;
        let at = from_wide + i / QUADS * 2u * QUADS + quad;
        let pair = peak(state[at], state[at + QUADS], folded(most, quad));
        state[to + i] = pair;
        fold_sum(sum, quad, low(pair) + high(pair));
    }
    sync();
}

fn put_mass(from_message: u32, pairs: u32, to: u32, sum: u32) {
    for (var i = thread; i < pairs * QUADS; i += THREADS) {
        state[to + i] = mass(state[from_message + i], folded(sum, i % QUADS));
    }
    sync();
}

// The products of two messages' entries, and their maximum.
fn times(pair: u32, quad: u32, a: vec4<u32>, b: vec4<u32>, to: u32, most: u32) {
    let at = to + pair * 2u * QUADS + quad;
    let x = low(a) * low(b);
    let y = high(a) * high(b);
    state[at] = x;
    state[at + QUADS] = y;
    fold_most(most, quad, max(x, y));
}
