// Decodes windows of records, LANES in a workgroup, by a list of instructions: visits of the nodes, depth
// first, and messages back to the parents.

struct Run {
    // The instructions of this dispatch, and how many times they are run.
    first: u32,
    end: u32,
    times: u32,
    // Whether a record is complete at the end.
    completes: u32,
    // The bytes of a record.
    width: u32,
    // The number of vectors in a workgroup's state, and the starts of its parts.
    state_size: u32,
    lambda: u32,
    masses: u32,
    message: u32,
    wide: u32,
    wide_too: u32,
    weights: u32,
}

@group(0) @binding(6) var<uniform> run: Run;

// Offsets into a node's words in `model`.
const VARIABLE: u32 = 0u;
const SLOT: u32 = 1u;
const ABOVE_SLOT: u32 = 2u;
const PAIRS: u32 = 3u;
const ABOVE_PAIRS: u32 = 4u;
const CLASSES: u32 = 5u;
const ALPHABET: u32 = 6u;
const UP: u32 = 7u;
const DOWN: u32 = 8u;
const LEAF: u32 = 9u;
const SHIFT: u32 = 10u;
const IS_LAST: u32 = 11u;

// The kind of an instruction, in its lowest two bits. The upper bits are the start of the node's words.
const VISIT_ROOT: u32 = 0u;
const VISIT: u32 = 1u;

// The number of classes that share a sum.
const BLOCK: u32 = 16u;
const BLOCKS: u32 = 16u;
var<workgroup> block_sums: array<u32, BLOCKS * LANES>;
var<workgroup> instruction: u32;
var<workgroup> records_left: u32;

// Moves down the edge to a node: computes its φ and the weights of its classes.
fn enter(node: u32, is_root: bool) {
    let pairs = model[node + PAIRS];
    let own_phi = phi + model[node + SLOT] * QUADS;
    if is_root {
        for (var i = thread; i < pairs * QUADS; i += THREADS) {
            let prior = model[model[node + UP] + i / QUADS];
            let at = wide + i / QUADS * 2u * QUADS + i % QUADS;
            state[at] = vec4(prior & 0xffffu);
            state[at + QUADS] = vec4(prior >> 16u);
            fold_most(MOST_DOWN, i % QUADS, vec4(max(prior & 0xffffu, prior >> 16u)));
        }
        sync();
    } else {
        let x = masses + model[node + ABOVE_SLOT] * QUADS;
        product(model[node + DOWN], 2u * pairs, model[node + ABOVE_PAIRS], x, MOST_DOWN);
    }
    put_peak(wide, pairs, own_phi, MOST_DOWN, SUM_DOWN);
    put_mass(own_phi, pairs, message, SUM_DOWN);
    let classes = model[node + CLASSES];
    for (var i = thread; i < classes * QUADS; i += THREADS) {
        let class_ = i / QUADS;
        let sum = dot_row(model[node + LEAF], classes, class_, pairs, message, i % QUADS);
        // A shift by 32 would have to leave nothing.
        let shift = model[model[node + SHIFT] + class_];
        state[weights + i] = select(sum >> vec4(min(shift, 31u)), vec4(0u), shift > 31u) + vec4(1u);
    }
    sync();
    for (var i = thread; i < BLOCKS * LANES; i += THREADS) {
        let lane = i % LANES;
        let from_class = i / LANES * BLOCK;
        var sum = 0u;
        for (var c = from_class; c < min(classes, from_class + BLOCK); c++) {
            sum += class_weight(c, lane);
        }
        block_sums[i] = sum;
    }
    workgroupBarrier();
}

fn class_weight(class_: u32, lane: u32) -> u32 {
    return state[weights + class_ * QUADS + lane / 4u][lane % 4u];
}

fn decode_class(classes: u32, lane: u32) -> u32 {
    var sum = 0u;
    for (var b = 0u; b < BLOCKS; b++) {
        sum += block_sums[b * LANES + lane];
    }
    let q = quantile();
    if q == PARTS {
        corrupt = true;
        return 0u;
    }
    var before = 0u;
    var class_ = 0u;
    for (; class_ + BLOCK < classes; class_ += BLOCK) {
        let after = before + block_sums[class_ / BLOCK * LANES + lane];
        if passes(after, class_ + BLOCK, classes, sum, q) {
            break;
        }
        before = after;
    }
    var own = class_weight(class_, lane);
    for (; class_ + 1u < classes && !passes(before + own, class_ + 1u, classes, sum, q); class_++) {
        before += own;
        own = class_weight(class_ + 1u, lane);
    }
    narrow(before, before + own, class_, classes, sum);
    return class_;
}

// Decodes the symbol within a class. An alphabet holds the start of each class's members, and one more for
// the end. A member is its symbol and, above it, the sum of its class's weights up to and including it. A
// word of 0 comes before the first member of each class.
fn decode_symbol(alphabet: u32, class_: u32) -> u32 {
    let members = alphabet + model[alphabet + class_];
    let n = alphabet + model[alphabet + class_ + 1u] - members - 1u;
    var i = 0u;
    if n > 1u {
        let sum = model[members + n] >> 8u;
        let q = quantile();
        if q == PARTS {
            corrupt = true;
            return 0u;
        }
        // The first member that passes lies in i..=last.
        var last = n - 1u;
        while i < last {
            let middle = (i + last) / 2u;
            if passes(model[members + middle + 1u] >> 8u, middle + 1u, n, sum, q) {
                last = middle;
            } else {
                i = middle + 1u;
            }
        }
        narrow(model[members + i] >> 8u, model[members + i + 1u] >> 8u, i, n, sum);
    }
    return model[members + i + 1u] & 255u;
}

// Decodes the class and the symbol of each window that has records left.
fn code(node: u32, runs: bool) {
    if thread < LANES {
        var class_ = 0u;
        if runs && !corrupt {
            class_ = decode_class(model[node + CLASSES], thread);
            let symbol = decode_symbol(model[node + ALPHABET], class_);
            put_raw_byte(done * run.width + model[node + VARIABLE], symbol);
        }
        chosen[thread] = class_;
    }
    workgroupBarrier();
}

// Includes the decoded classes in the messages.
fn observe(node: u32) {
    let pairs = model[node + PAIRS];
    let slot = model[node + SLOT] * QUADS;
    let classes = model[node + CLASSES];
    let leaf = model[node + LEAF];
    for (var i = thread; i < pairs * QUADS; i += THREADS) {
        let row = leaf + i / QUADS * classes;
        let lane = i % QUADS * 4u;
        let seen = vec4(
            model[row + chosen[lane]],
            model[row + chosen[lane + 1u]],
            model[row + chosen[lane + 2u]],
            model[row + chosen[lane + 3u]],
        );
        state[lambda + slot + i] = seen;
        times(i / QUADS, i % QUADS, state[phi + slot + i], seen, wide, MOST_SEEN);
    }
    sync();
    put_peak(wide, pairs, phi + slot, MOST_SEEN, SUM_SEEN);
    put_mass(phi + slot, pairs, masses + slot, SUM_SEEN);
}

// Moves up the edge: includes the message of a node in those of its parent, which has another child to visit
// or sends its own message next.
fn leave(node: u32) {
    let pairs = model[node + ABOVE_PAIRS];
    let slot = model[node + ABOVE_SLOT] * QUADS;
    let goes_on = model[node + IS_LAST] == 0u;
    let x = lambda + model[node + SLOT] * QUADS;
    product(model[node + UP], 2u * pairs, model[node + PAIRS], x, MOST_DOWN);
    for (var i = thread; i < pairs * QUADS; i += THREADS) {
        let quad = i % QUADS;
        let at = wide + i / QUADS * 2u * QUADS + quad;
        let m = peak(state[at], state[at + QUADS], folded(MOST_DOWN, quad));
        times(i / QUADS, quad, state[lambda + slot + i], m, wide, MOST_UP);
        if goes_on {
            times(i / QUADS, quad, state[phi + slot + i], m, wide_too, MOST_SEEN);
        }
    }
    sync();
    for (var i = thread; i < pairs * QUADS; i += THREADS) {
        let quad = i % QUADS;
        let at = i / QUADS * 2u * QUADS + quad;
        state[lambda + slot + i] = peak(state[wide + at], state[wide + at + QUADS], folded(MOST_UP, quad));
    }
    if goes_on {
        put_peak(wide_too, pairs, phi + slot, MOST_SEEN, SUM_SEEN);
        put_mass(phi + slot, pairs, masses + slot, SUM_SEEN);
    } else {
        sync();
    }
}

fn place_state(group: u32) {
    phi = group * run.state_size;
    lambda = phi + run.lambda;
    masses = phi + run.masses;
    message = phi + run.message;
    wide = phi + run.wide;
    wide_too = phi + run.wide_too;
    weights = phi + run.weights;
}

@compute @workgroup_size(256)
fn walk(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    thread = index;
    place_state(group.x);
    let lane = group.x * LANES + thread;
    if thread < LANES {
        load_lane(lane);
    }
    if thread == 0u {
        // The first window of a workgroup is its longest.
        records_left = job.raw_len / run.width - done;
    }
    let count = min(run.times, workgroupUniformLoad(&records_left));
    for (var record = 0u; record < count; record++) {
        let runs = thread < LANES && done * run.width < job.raw_len;
        for (var i = run.first; i < run.end; i++) {
            if thread == 0u {
                instruction = model[i];
            }
            let now = workgroupUniformLoad(&instruction);
            let node = now >> 2u;
            clear_folds();
            if (now & 3u) <= VISIT {
                enter(node, (now & 3u) == VISIT_ROOT);
                code(node, runs);
                observe(node);
            } else {
                leave(node);
            }
        }
        if runs {
            done += run.completes;
        }
    }
    if thread < LANES {
        save_lane(lane);
    }
}
