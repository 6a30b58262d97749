//! The codes of deflate (RFC 1951): the symbols of lengths and distances, and the items that write code
//! lengths.

/// The number of symbols of literals and lengths that a block may use.
pub const LITLEN: usize = 286;
/// The number of symbols of distances that a block may use.
pub const DISTS: usize = 30;
/// The symbol that ends a block.
pub const END: usize = 256;
/// The first symbol that stands for a length.
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

/// A literal, or a match with its length and distance. The value of a literal is not stored: it stands in the
/// inside, which is the data that the stream unpacks to.
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

    /// The number of bytes that the token stands for.
    #[inline(always)]
    pub fn span(self) -> usize {
        self.len().max(1)
    }
}

/// The number, from 0, of the symbol for a length of 3..=258.
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

/// The symbol for a distance of 1..=32768.
#[inline]
pub fn dist_symbol(dist: usize) -> usize {
    let n = dist - 1;
    if n < 4 {
        return n;
    }
    let log = n.ilog2() as usize;
    2 * log + (n >> (log - 1)) - 2
}

/// How often each symbol occurs in a block.
#[derive(Debug, Clone)]
pub struct Counts {
    pub litlen: [u32; LITLEN],
    pub dist: [u32; DISTS],
}

impl Counts {
    /// The counts for a block with these tokens, which stand for the bytes of `raw`.
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

/// The code of each symbol with these code lengths, with its bits in the order of the stream.
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

/// An item with which a header writes code lengths: its symbol, and the value of its extra bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub symbol: u8,
    pub extra: u8,
}

impl Item {
    /// The number of code lengths that the item stands for.
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
