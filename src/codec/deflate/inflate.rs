//! Parses a deflate stream (RFC 1951) into blocks and tokens.

use super::codes::{
    DIST_BASE, DIST_EXTRA, DISTS, END, FIRST_LEN, Item, LEN_BASE, LEN_EXTRA, LITLEN, MAX_MATCH, ORDER, Token,
    fixed,
};
use std::ops::Range;

/// The header of a block with codes of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The code lengths of literals and lengths, and of distances.
    pub litlen: Vec<u8>,
    pub dist: Vec<u8>,
    /// The same lengths as the header stores them: items, the code lengths of the items' symbols, and how
    /// many of those the header states.
    pub items: Vec<Item>,
    pub item_lens: [u8; 19],
    pub given: usize,
}

/// How a block is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Uncompressed bytes, after padding bits up to the next byte.
    Stored { padding: u8 },
    /// With the fixed codes.
    Fixed,
    /// With codes of its own.
    Dynamic(Tree),
}

/// A block of a deflate stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub last: bool,
    pub kind: Kind,
    /// The tokens of the block, and the bytes that they stand for. Stored blocks have no tokens.
    pub tokens: Range<usize>,
    pub raw: Range<usize>,
}

/// A parsed stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    pub blocks: Vec<Block>,
    pub tokens: Vec<Token>,
    pub raw: Vec<u8>,
    /// The length of the stream in bytes.
    pub len: usize,
    /// The bits after the last block, up to the end of the byte.
    pub padding: u8,
}

/// Reads bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    #[inline(always)]
    fn fill(&mut self) {
        if let Some(word) = self.bytes.get(self.at..self.at + 8) {
            let word =
                u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
            self.held |= word << self.count;
            let more = (63 - self.count) / 8;
            self.at += more as usize;
            self.count += 8 * more;
            self.held &= (1 << self.count) - 1;
            return;
        }
        while self.count <= 55 {
            self.held |= u64::from(self.bytes.get(self.at).copied().unwrap_or(0)) << self.count;
            self.at += 1;
            self.count += 8;
        }
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) -> u32 {
        if self.count < bits {
            self.fill();
        }
        let value = self.held & ((1 << bits) - 1);
        self.held >>= bits;
        self.count -= bits;
        value as u32
    }

    /// The number of bytes of which at least one bit has been read.
    fn position(&self) -> usize {
        self.at - (self.count / 8) as usize
    }

    fn is_over(&self) -> bool {
        self.position() > self.bytes.len()
    }
}

/// The number of bits that a single look-up decodes.
const QUICK: u32 = 10;

struct Table {
    /// Symbol and length (4 bits) of each code of at most `QUICK` bits, by the next bits of the stream; 0 for
    /// longer codes.
    quick: Vec<u16>,
    count: [u16; 16],
    symbols: Vec<u16>,
}

impl Table {
    fn new(lens: &[u8]) -> Option<Self> {
        let mut count = [0u16; 16];
        lens.iter().for_each(|&l| count[usize::from(l)] += 1);
        count[0] = 0;
        let total: u16 = count.iter().sum();
        let mut left = 1i32;
        for c in &count[1..] {
            left = 2 * left - i32::from(*c);
            if left < 0 {
                return None;
            }
        }
        // As in zlib, a code may only be incomplete if it is a single code of one bit.
        if left > 0 && (total != 1 || count[1] != 1) {
            return None;
        }
        let mut start = [0u16; 17];
        for i in 1..16 {
            start[i + 1] = start[i] + count[i];
        }
        let mut symbols = vec![0u16; usize::from(total)];
        for (symbol, &len) in lens.iter().enumerate().filter(|(_, l)| **l > 0) {
            symbols[usize::from(start[usize::from(len)])] = symbol as u16;
            start[usize::from(len)] += 1;
        }
        let mut quick = vec![0u16; 1 << QUICK];
        let (mut code, mut k) = (0u32, 0);
        for len in 1..=QUICK {
            for _ in 0..count[len as usize] {
                let first = code.reverse_bits() >> (32 - len);
                for i in (first as usize..1 << QUICK).step_by(1 << len) {
                    quick[i] = symbols[k] << 4 | len as u16;
                }
                code += 1;
                k += 1;
            }
            code <<= 1;
        }
        Some(Self { quick, count, symbols })
    }

    #[inline(always)]
    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        if bits.count < 15 {
            bits.fill();
        }
        let entry = self.quick[bits.held as usize & ((1 << QUICK) - 1)];
        if entry != 0 {
            bits.held >>= entry & 15;
            bits.count -= u32::from(entry & 15);
            return Some(usize::from(entry >> 4));
        }
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for len in 1..16 {
            code |= (bits.held >> (len - 1)) as i32 & 1;
            let count = i32::from(self.count[len]);
            if code - first < count {
                bits.held >>= len;
                bits.count -= len as u32;
                return Some(usize::from(self.symbols[(index + code - first) as usize]));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Reads the header of a block with codes of its own.
fn tree(bits: &mut Bits<'_>) -> Option<Tree> {
    let litlen = bits.take(5) as usize + 257;
    let dist = bits.take(5) as usize + 1;
    let given = bits.take(4) as usize + 4;
    if litlen > LITLEN || dist > DISTS {
        return None;
    }
    let mut item_lens = [0; 19];
    for &i in &ORDER[..given] {
        item_lens[i] = bits.take(3) as u8;
    }
    let table = Table::new(&item_lens)?;
    let (mut lens, mut items) = (Vec::with_capacity(litlen + dist), Vec::new());
    while lens.len() < litlen + dist {
        let mut item = Item { symbol: table.read(bits)? as u8, extra: 0 };
        item.extra = bits.take(item.bits()) as u8;
        let value = match item.symbol {
            16 => *lens.last()?,
            17 | 18 => 0,
            len => len,
        };
        lens.resize(lens.len() + item.span(), value);
        items.push(item);
    }
    if lens.len() != litlen + dist || lens[END] == 0 || bits.is_over() {
        return None;
    }
    let dist = lens.split_off(litlen);
    Some(Tree { litlen: lens, dist, items, item_lens, given })
}

/// Why bytes are not a whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vain {
    /// The number of bytes that were unpacked in vain.
    pub unpacked: usize,
    /// Whether the bytes ended before anything was wrong.
    pub open: bool,
}

/// Parses the stream at the start of `bytes`.
///
/// # Errors
///
/// Where there is no whole stream, where it stands for more than `most` bytes, or where it uses a form that
/// deflate allows but that encoders do not use (a match of 258 bytes with symbol 284).
pub fn parse(bytes: &[u8], most: usize) -> Result<Parsed, Vain> {
    let mut stream = Parsed::default();
    let mut bits = Bits { bytes, at: 0, held: 0, count: 0 };
    match blocks(&mut bits, most, &mut stream) {
        Some(()) => Ok(stream),
        None => Err(Vain { unpacked: stream.raw.len(), open: bits.is_over() }),
    }
}

fn blocks(bits: &mut Bits<'_>, most: usize, s: &mut Parsed) -> Option<()> {
    let bytes = bits.bytes;
    loop {
        let last = bits.take(1) == 1;
        let (token, start) = (s.tokens.len(), s.raw.len());
        let kind = match bits.take(2) {
            0 => {
                let padding = bits.take(bits.count % 8) as u8;
                let (len, not) = (bits.take(16), bits.take(16));
                let from = bits.position();
                if len != !not & 0xFFFF {
                    return None;
                }
                let Some(piece) = bytes.get(from..from + len as usize) else {
                    bits.at = bytes.len() + 9;
                    return None;
                };
                if s.raw.len() + piece.len() > most {
                    return None;
                }
                s.raw.extend_from_slice(piece);
                *bits = Bits { bytes, at: from + piece.len(), held: 0, count: 0 };
                Kind::Stored { padding }
            }
            1 => {
                let (litlen, dist) = fixed();
                tokens(bits, &litlen, &dist, most, s)?;
                Kind::Fixed
            }
            2 => {
                let tree = tree(bits)?;
                tokens(bits, &tree.litlen, &tree.dist, most, s)?;
                Kind::Dynamic(tree)
            }
            _ => return None,
        };
        if bits.is_over() {
            return None;
        }
        s.blocks.push(Block { last, kind, tokens: token..s.tokens.len(), raw: start..s.raw.len() });
        if last {
            break;
        }
    }
    s.padding = bits.take(bits.count % 8) as u8;
    s.len = bits.position();
    Some(())
}

/// Reads the tokens of a block.
fn tokens(bits: &mut Bits<'_>, litlen: &[u8], dist: &[u8], most: usize, s: &mut Parsed) -> Option<()> {
    let table = Table::new(litlen)?;
    let far = if dist.iter().any(|l| *l > 0) { Some(Table::new(dist)?) } else { None };
    loop {
        let symbol = table.read(bits)?;
        if symbol < END {
            s.raw.push(symbol as u8);
            s.tokens.push(Token::LITERAL);
        } else if symbol == END {
            return Some(());
        } else {
            let i = symbol - FIRST_LEN;
            let len = usize::from(*LEN_BASE.get(i)?) + bits.take(LEN_EXTRA[i].into()) as usize;
            if len == MAX_MATCH && i < 28 {
                return None;
            }
            let j = far.as_ref()?.read(bits)?;
            let dist = usize::from(*DIST_BASE.get(j)?) + bits.take(DIST_EXTRA[j].into()) as usize;
            let from = s.raw.len().checked_sub(dist)?;
            if dist >= len {
                s.raw.extend_from_within(from..from + len);
            } else {
                (0..len).for_each(|k| s.raw.push(s.raw[from + k]));
            }
            s.tokens.push(Token::new(len, dist));
        }
        if s.raw.len() > most || bits.is_over() {
            return None;
        }
    }
}
