//! The choices of zlib: the code lengths for symbols with given counts, and the items that write code
//! lengths.

use super::codes::Item;

/// The nodes of a Huffman tree under construction: symbols first, then inner nodes.
struct Nodes {
    count: Vec<u32>,
    depth: Vec<u32>,
    parent: Vec<usize>,
    /// A binary heap that starts at index 1; the node at 1 comes first.
    heap: Vec<usize>,
    /// The nodes in the order in which they were taken off the heap.
    off: Vec<usize>,
}

impl Nodes {
    /// A heap of the symbols that occur. Where fewer than two do, symbols are added, as zlib does.
    fn new(counts: &[u32]) -> Self {
        let n = counts.len();
        let mut count = counts.to_vec();
        count.resize(2 * n + 1, 0);
        let mut heap = vec![0];
        heap.extend((0..n).filter(|&i| counts[i] > 0));
        // One more than the greatest symbol in the heap.
        let mut top = if heap.len() > 1 { heap[heap.len() - 1] + 1 } else { 0 };
        while heap.len() < 3 {
            let symbol = if top < 3 { top } else { 0 };
            top = top.max(symbol + 1);
            count[symbol] = 1;
            heap.push(symbol);
        }
        let (depth, parent) = (vec![0; 2 * n + 1], vec![0; 2 * n + 1]);
        let mut nodes = Self { count, depth, parent, heap, off: Vec::with_capacity(2 * n) };
        for k in (1..nodes.heap.len().div_ceil(2)).rev() {
            nodes.sift(k);
        }
        nodes
    }

    fn before(&self, a: usize, b: usize) -> bool {
        (self.count[a], self.depth[a]) <= (self.count[b], self.depth[b])
    }

    /// Moves the node at `k` down the heap to its place.
    fn sift(&mut self, mut k: usize) {
        let node = self.heap[k];
        while 2 * k < self.heap.len() {
            let mut j = 2 * k;
            if j + 1 < self.heap.len() && self.before(self.heap[j + 1], self.heap[j]) {
                j += 1;
            }
            if self.before(node, self.heap[j]) {
                break;
            }
            self.heap[k] = self.heap[j];
            k = j;
        }
        self.heap[k] = node;
    }

    /// Joins the first two nodes of the heap into one, until one is left.
    fn join(&mut self, mut node: usize) {
        while self.heap.len() > 2 {
            let a = self.heap.swap_remove(1);
            self.sift(1);
            let b = self.heap[1];
            self.off.extend([a, b]);
            self.count[node] = self.count[a].saturating_add(self.count[b]);
            self.depth[node] = self.depth[a].max(self.depth[b]) + 1;
            (self.parent[a], self.parent[b]) = (node, node);
            self.heap[1] = node;
            self.sift(1);
            node += 1;
        }
    }
}

/// Code lengths of at most `max` bits for symbols with these counts, as zlib's `build_tree` and `gen_bitlen`
/// choose them: nodes are joined in the order of count, then depth, and codes that are too long are shortened
/// in zlib's way.
pub fn lengths(counts: &[u32], max: usize) -> Vec<u8> {
    let n = counts.len();
    let mut nodes = Nodes::new(counts);
    nodes.join(n);
    let mut lens = vec![0usize; 2 * n + 1];
    let mut of_length = [0usize; 16];
    let mut over = 0isize;
    for &i in nodes.off.iter().rev() {
        let len = lens[nodes.parent[i]] + 1;
        over += isize::from(len > max);
        lens[i] = len.min(max);
        if i < n {
            of_length[lens[i]] += 1;
        }
    }
    if over > 0 {
        while over > 0 {
            // A shorter code exists: not all symbols can be too deep.
            let bits = (1..max).rev().find(|&b| of_length[b] > 0).unwrap_or(1);
            of_length[bits] -= 1;
            of_length[bits + 1] += 2;
            of_length[max] -= 1;
            over -= 2;
        }
        let mut symbols = nodes.off.iter().filter(|i| **i < n);
        for bits in (1..=max).rev() {
            for &symbol in symbols.by_ref().take(of_length[bits]) {
                lens[symbol] = bits;
            }
        }
    }
    lens[..n].iter().map(|&l| l as u8).collect()
}

/// Appends the items with which zlib writes code lengths (`scan_tree`).
pub fn items(lens: &[u8], items: &mut Vec<Item>) {
    let (mut at, mut before) = (0, None);
    while at < lens.len() {
        let len = lens[at];
        // Only a run that was cut at the longest item is followed by one of the same length.
        let (least, most) = match (len, before) {
            (0, _) => (3, 138),
            (len, Some(last)) if last == len => (3, 6),
            _ => (4, 7),
        };
        let count = lens[at..].iter().take(most).take_while(|l| **l == len).count();
        at += count;
        let mut put = |symbol: u8, extra: usize| items.push(Item { symbol, extra: extra as u8 });
        if count < least {
            (0..count).for_each(|_| put(len, 0));
        } else if len == 0 {
            if count <= 10 { put(17, count - 3) } else { put(18, count - 11) }
        } else if before == Some(len) {
            put(16, count - 3);
        } else {
            put(len, 0);
            put(16, count - 4);
        }
        before = Some(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_symbols_get_company() {
        assert_eq!(lengths(&[0, 0, 0, 0], 15), [1, 1, 0, 0]);
        assert_eq!(lengths(&[0, 0, 0, 5], 15), [1, 0, 0, 1]);
        assert_eq!(lengths(&[5, 0, 0, 0], 15), [1, 1, 0, 0]);
    }

    #[test]
    fn long_codes_are_shortened() {
        let (mut counts, mut next) = (vec![1u32, 1], 2);
        while counts.len() < 30 {
            counts.push(next);
            next = next * 8 / 5 + 1;
        }
        for max in [7, 9, 15] {
            let lens = lengths(&counts, max);
            assert!(lens.iter().all(|l| (1..=max).contains(&usize::from(*l))));
            let kraft: u32 = lens.iter().map(|l| 1 << (15 - l)).sum();
            assert_eq!(kraft, 1 << 15, "{max}");
        }
    }

    #[test]
    fn runs_become_items() {
        let mut found = Vec::new();
        let lens = [[5; 12].as_slice(), &[0; 140], &[3, 3, 3]].concat();
        items(&lens, &mut found);
        let found: Vec<_> = found.iter().map(|i| (i.symbol, i.extra)).collect();
        assert_eq!(found, [(5, 0), (16, 3), (16, 2), (18, 127), (0, 0), (0, 0), (3, 0), (3, 0), (3, 0)]);
    }
}
