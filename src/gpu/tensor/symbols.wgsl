// Interleaved rANS, one lane per thread. In each round, a lane that needs a word takes the one after those of
// the lower lanes.

// The ballots of three rounds in turn: one is written, one is read, one is cleared.
var<workgroup> renormalised: array<atomic<u32>, 3>;
var<workgroup> folded_ballot: array<atomic<u32>, 3>;
var<workgroup> failed: atomic<u32>;
var<workgroup> shared_tile: Tile;

var<private> lane: u32;
var<private> tile: Tile;

// The table of symbol i, by the classes of its row and column.
fn row_table(i: u32) -> u32 {
    let group = tile.first_group + i;
    let row = group / params.row_groups - tile.first_group / params.row_groups;
    let column = group % params.row_groups;
    var sum = payload_nibble(tile.rows_at, row);
    if column < params.columns {
        sum += model[params.map_at + 16u + column];
    } else {
        sum += 8u;
    }
    return model[params.map_at + clamp(sum, 8u, 23u) - 8u];
}

// The start of the table for symbol i.
fn table_of(low: bool, i: u32) -> u32 {
    if low {
        return params.low_at + 4096u * model[params.low_map_at + (numbers[tile.first + i] & 255u)];
    }
    if params.by_row != 0u {
        return 4096u * row_table(i);
    }
    return 0u;
}

// Stores symbol i. `rank` is the number of folded symbols before it.
fn keep(low: bool, i: u32, symbol: u32, rank: u32) {
    let at = tile.first + i;
    if low {
        numbers[at] |= symbol << 16u;
    } else if symbol >= params.fold {
        numbers[at] = symbol + 15u * params.fold;
    } else if rank < 2u * tile.folded {
        numbers[at] = 16u * symbol + payload_nibble(tile.folded_at, rank);
    } else {
        atomicStore(&failed, 1u);
    }
}

fn sequence(s: Sequence, low: bool, count: u32) {
    let lanes = select(4u, LANES, count >= 2048u);
    let rounds = (count + lanes - 1u) / lanes;
    let rans = s.mode == 0u;
    let state_at = s.at + 4u * lane;
    var x = LOW;
    if rans && lane < lanes {
        x = payload_byte(state_at) | payload_byte(state_at + 1u) << 8u
            | payload_byte(state_at + 2u) << 16u | payload_byte(state_at + 3u) << 24u;
        if x < LOW {
            atomicStore(&failed, 1u);
        }
    }
    var word = 0u;
    var rank = 0u;
    let below = (1u << lane) - 1u;
    for (var round = 0u; round < rounds; round++) {
        let i = round * lanes + lane;
        let mine = lane < lanes && i < count;
        var symbol = s.at;
        var needs = false;
        if mine && rans {
            let slot = model[table_of(low, i) + (x & 4095u)];
            symbol = slot & 255u;
            x = (slot >> 8u & 4095u) * (x >> 12u) + (slot >> 20u);
            needs = x < LOW;
        } else if mine && s.mode == 2u {
            symbol = payload_byte(s.at + i);
        }
        let folds = mine && !low && symbol < params.fold;
        let now = round % 3u;
        if needs {
            atomicOr(&renormalised[now], 1u << lane);
        }
        if folds {
            atomicOr(&folded_ballot[now], 1u << lane);
        }
        if lane == 0u {
            atomicStore(&renormalised[(round + 1u) % 3u], 0u);
            atomicStore(&folded_ballot[(round + 1u) % 3u], 0u);
        }
        workgroupBarrier();
        let ballot = atomicLoad(&renormalised[now]);
        if needs {
            let at = word + countOneBits(ballot & below);
            if at < s.words {
                let byte = s.words_at + 2u * at;
                x = x << 16u | payload_byte(byte + 1u) << 8u | payload_byte(byte);
            } else {
                atomicStore(&failed, 1u);
            }
        }
        word += countOneBits(ballot);
        let folded = atomicLoad(&folded_ballot[now]);
        if mine {
            keep(low, i, symbol, rank + countOneBits(folded & below));
        }
        rank += countOneBits(folded);
    }
    let bad_end = rans && (word != s.words || x != LOW);
    let bad_fold = !low && (rank + 1u) / 2u != tile.folded;
    if bad_end || bad_fold {
        atomicStore(&failed, 1u);
    }
}

fn clear_ballots() {
    if lane == 0u {
        atomicStore(&renormalised[0], 0u);
        atomicStore(&folded_ballot[0], 0u);
    }
    workgroupBarrier();
}

@compute @workgroup_size(32)
fn symbols(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    lane = index;
    if lane == 0u {
        shared_tile = tiles[group.x];
        atomicStore(&failed, 0u);
    }
    let here = workgroupUniformLoad(&shared_tile);
    if here.kind != 0u {
        return;
    }
    tile = here;
    clear_ballots();
    sequence(here.symbols, false, here.count);
    if here.low.mode != 3u {
        workgroupBarrier();
        clear_ballots();
        sequence(here.low, true, here.count);
    }
    workgroupBarrier();
    if lane == 0u {
        corrupt[group.x] = atomicLoad(&failed);
    }
}
