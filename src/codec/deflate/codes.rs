//! The codes of deflate (RFC 1951): symbols of lengths and distances, and code lengths as zlib would choose them.

use std::ops::Range;

/// Symbols of literals and lengths that a block may have.
pub const LITLEN: usize = 286;
/// Symbols of distances that a block may have.
pub const DISTS: usize = 30;
/// The end of a block.
pub const END: usize = 256;
/// The first symbol of lengths.
pub const FIRST_LEN: usize = 257;
/// The longest and the shortest match.
pub const MAX_MATCH: usize = 258;
pub const MIN_MATCH: usize = 3;
/// The longest distance.
pub const WINDOW: usize = 1 << 15;

/// The shortest length of each symbol of lengths, and the extra bits that follow it.
pub const LEN_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
pub const LEN_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// The shortest distance of each symbol of distances, and the extra bits that follow it.
pub const DIST_BASE: [u16; DISTS] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
pub const DIST_EXTRA: [u8; DISTS] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// The order in which a block's header gives the lengths of the codes that code its code lengths.
pub const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A literal, or a match with its length and distance. Which byte a literal is stands in the inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token(u32);

impl Token {
    /// A literal.
    pub const LITERAL: Self = Self(0);

    /// A match of 3..=258 bytes at a distance of 1..=32768.
    pub fn new(len: usize, dist: usize) -> Self {
        debug_assert!((MIN_MATCH..=MAX_MATCH).contains(&len) && (1..=WINDOW).contains(&dist));
        Self((len as u32) << 16 | dist as u32)
    }

    /// The length of the match; 0 for a literal.
    #[inline(always)]
    pub fn len(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// The distance of the match; 0 for a literal.
    #[inline(always)]
    pub fn dist(self) -> usize {
        (self.0 & 0xFFFF) as usize
    }

    /// Whether it is a literal.
    #[inline(always)]
    pub fn is_literal(self) -> bool {
        self.0 == 0
    }

    /// The bytes that it stands for.
    #[inline(always)]
    pub fn span(self) -> usize {
        self.len().max(1)
    }
}

/// The number, from 0, of the symbol of a length of 3..=258.
#[inline]
pub fn len_symbol(len: usize) -> usize {
    if len == MAX_MATCH {
        return 28;
    }
    let n = len - MIN_MATCH;
    if n < 8 {
        return n;
    }
    let log = n.ilog2() as usize;
    4 * (log - 1) + (n >> (log - 2)) - 4
}

/// The symbol of a distance of 1..=32768.
#[inline]
pub fn dist_symbol(dist: usize) -> usize {
    let n = dist - 1;
    if n < 4 {
        return n;
    }
    let log = n.ilog2() as usize;
    2 * log + (n >> (log - 1)) - 2
}

/// Counts of the symbols of a block.
#[derive(Debug, Clone)]
pub struct Counts {
    pub litlen: [u32; LITLEN],
    pub dist: [u32; DISTS],
}

impl Counts {
    /// The counts of a block with these tokens, which stand for the bytes of `raw`.
    pub fn of(tokens: &[Token], raw: &[u8]) -> Self {
        let mut counts = Self { litlen: [0; LITLEN], dist: [0; DISTS] };
        let mut at = 0;
        for token in tokens {
            if token.is_literal() {
                counts.litlen[usize::from(raw[at])] += 1;
            } else {
                counts.litlen[FIRST_LEN + len_symbol(token.len())] += 1;
                counts.dist[dist_symbol(token.dist())] += 1;
            }
            at += token.span();
        }
        counts.litlen[END] = 1;
        counts
    }
}

/// The code lengths of fixed blocks.
pub fn fixed() -> (Vec<u8>, Vec<u8>) {
    let mut litlen = vec![8; 288];
    litlen[144..256].fill(9);
    litlen[256..280].fill(7);
    (litlen, vec![5; 32])
}

/// The code, bits in the order of the stream, for each code length.
pub fn codes(lens: &[u8]) -> Vec<u16> {
    let mut count = [0u32; 16];
    lens.iter().for_each(|&l| count[usize::from(l & 15)] += 1);
    count[0] = 0;
    let mut next = [0u32; 16];
    for i in 1..16 {
        next[i] = (next[i - 1] + count[i - 1]) << 1;
    }
    let code = |&len: &u8| {
        if len == 0 {
            return 0;
        }
        let code = next[usize::from(len & 15)];
        next[usize::from(len & 15)] += 1;
        ((code as u16).reverse_bits()) >> (16 - u32::from(len & 15))
    };
    lens.iter().map(code).collect()
}

/// Code lengths of at most `max` bits for symbols with these counts, as zlib's `build_tree` and `gen_bitlen` choose them:
/// a heap of nodes ordered by count, then depth; where codes are too long, zlib's way of shortening them.
pub fn zlib_lengths(counts: &[u32], max: usize) -> Vec<u8> {
    let n = counts.len();
    // Nodes n.. are inner ones. `heap[1..=len]` is the heap, `order[at..]` the nodes taken off it, the last one first.
    let mut count = counts.to_vec();
    count.resize(2 * n + 1, 0);
    let (mut depth, mut dad) = (vec![0u32; 2 * n + 1], vec![0usize; 2 * n + 1]);
    let mut heap: Vec<usize> = vec![0];
    heap.extend((0..n).filter(|&i| counts[i] > 0));
    let mut top = heap.last().copied().filter(|_| heap.len() > 1).map_or(0, |i| i + 1);
    while heap.len() < 3 {
        // `top` is one more than the greatest symbol with a code.
        let node = if top < 3 { top } else { 0 };
        top = top.max(node + 1);
        count[node] = 1;
        heap.push(node);
    }
    let sift = |heap: &mut Vec<usize>, mut k: usize, count: &[u32], depth: &[u32]| {
        let smaller = |a: usize, b: usize| (count[a], depth[a]) <= (count[b], depth[b]);
        let less = |a: usize, b: usize| count[a] < count[b] || count[a] == count[b] && depth[a] <= depth[b];
        let _ = smaller;
        let v = heap[k];
        let last = heap.len() - 1;
        let mut j = 2 * k;
        while j <= last {
            if j < last && less(heap[j + 1], heap[j]) {
                j += 1;
            }
            if less(v, heap[j]) {
                break;
            }
            heap[k] = heap[j];
            k = j;
            j *= 2;
        }
        heap[k] = v;
    };
    for k in (1..=(heap.len() - 1) / 2).rev() {
        sift(&mut heap, k, &count, &depth);
    }
    let mut order = Vec::with_capacity(2 * n + 1);
    let mut node = n;
    loop {
        let a = heap[1];
        let last = heap.pop().unwrap_or(0);
        heap[1] = last;
        sift(&mut heap, 1, &count, &depth);
        let b = heap[1];
        order.extend([a, b]);
        count[node] = count[a].saturating_add(count[b]);
        depth[node] = depth[a].max(depth[b]) + 1;
        (dad[a], dad[b]) = (node, node);
        heap[1] = node;
        node += 1;
        sift(&mut heap, 1, &count, &depth);
        if heap.len() <= 2 {
            break;
        }
    }
    order.push(heap[1]);
    order.reverse();
    let mut lens = vec![0usize; 2 * n + 1];
    let mut of_length = [0usize; 16];
    let mut over = 0usize;
    for &i in &order[1..] {
        let mut len = lens[dad[i]] + 1;
        if len > max {
            len = max;
            over += 1;
        }
        lens[i] = len;
        if i < n {
            of_length[len] += 1;
        }
    }
    if over > 0 {
        let mut left = over as isize;
        while left > 0 {
            let mut bits = max - 1;
            while of_length[bits] == 0 {
                bits -= 1;
            }
            of_length[bits] -= 1;
            of_length[bits + 1] += 2;
            of_length[max] -= 1;
            left -= 2;
        }
        let mut leaves = order.iter().rev().filter(|&&i| i < n);
        for bits in (1..=max).rev() {
            for &leaf in leaves.by_ref().take(of_length[bits]) {
                lens[leaf] = bits;
            }
        }
    }
    lens[..n].iter().map(|&l| l as u8).collect()
}

/// An item of the code that codes code lengths: the symbol, and the value of its extra bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub symbol: u8,
    pub extra: u8,
}

impl Item {
    /// The number of code lengths that it stands for.
    pub fn span(self) -> usize {
        match self.symbol {
            16 | 17 => 3 + usize::from(self.extra),
            18 => 11 + usize::from(self.extra),
            _ => 1,
        }
    }

    /// The number of its extra bits.
    pub fn bits(self) -> u32 {
        match self.symbol {
            16 => 2,
            17 => 3,
            18 => 7,
            _ => 0,
        }
    }
}

/// The items in which zlib writes code lengths (`scan_tree`).
pub fn zlib_items(lens: &[u8], items: &mut Vec<Item>) {
    let mut at = 0;
    let mut before = None;
    let mut after_same = false;
    let _ = &mut after_same;
    let mut limits: Range<usize> = match lens.first() {
        Some(0) => 3..138,
        _ => 4..7,
    };
    while at < lens.len() {
        let len = lens[at];
        let mut count = 1;
        while count < limits.end && lens.get(at + count) == Some(&len) {
            count += 1;
        }
        at += count;
        let mut put = |symbol: u8, extra: usize| items.push(Item { symbol, extra: extra as u8 });
        if count < limits.start {
            (0..count).for_each(|_| put(len, 0));
        } else if len != 0 {
            let mut count = count;
            if before != Some(len) {
                put(len, 0);
                count -= 1;
            }
            put(16, count - 3);
        } else if count <= 10 {
            put(17, count - 3);
        } else {
            put(18, count - 11);
        }
        before = Some(len);
        limits = match lens.get(at) {
            Some(0) => 3..138,
            Some(next) if *next == len => 3..6,
            _ => 4..7,
        };
    }
}
