//! A small circuit from seeded noise, and records for it.
#![allow(dead_code)]

use nzip::internal::SplitMix;
use nzip::internal::model::circuit::{Alphabet, Patch, Shape, Weights};

/// Twelve variables of two alphabets: bytes in eight classes, and five symbols.
pub fn micro() -> Weights {
    tree(|i| u16::from(i % 3 == 2), None)
}

/// The same tree over bytes that are a patch of a picture.
pub fn of_patches(patch: Patch) -> Weights {
    tree(|_| 0, Some(patch))
}

/// Two rows of two pixels in colour.
pub const COLOUR: Patch = Patch { width: 2, height: 2, channels: 3, green: true };
/// Four rows of three grey pixels.
pub const GREY: Patch = Patch { width: 3, height: 4, channels: 1, green: false };

/// A picture with a header of its own.
pub fn picture(header: &str, width: usize, height: usize, channels: usize) -> Vec<u8> {
    let mut rng = SplitMix(width as u64 * 31 + height as u64);
    let mut raw = header.as_bytes().to_vec();
    for i in 0..width * height {
        let (x, y, grain) = (i % width, i / width, rng.below(8) as usize);
        raw.extend((0..channels).map(|c| (60 + 3 * x + 2 * y + 5 * c + grain) as u8));
    }
    raw
}

/// A PGM or PPM picture.
pub fn pnm(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let kind = if channels == 3 { 6 } else { 5 };
    picture(&format!("P{kind}\n# a comment\n{width} {height}\n255\n"), width, height, channels)
}

/// An `.npy` file of numbers of some bytes, whose lowest are those of records; `sign` says what fills them up.
pub fn npy(descr: &str, size: usize, records: &[u8], sign: impl Fn(u8) -> u8) -> Vec<u8> {
    let count = records.len() / 12;
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count}, 3, 4), }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    for &low in records {
        out.push(low);
        out.extend(vec![sign(low); size - 1]);
    }
    out
}

fn tree(alphabet: impl Fn(usize) -> u16, patch: Option<Patch>) -> Weights {
    let mut rng = SplitMix(26);
    let bytes = Alphabet {
        class: (0..=255u8).map(|s| if s == 0 { 0 } else { 1 + (s - 1) / 37 }).collect(),
        weight: (0..256).map(|_| 1 + rng.below(900) as u16).collect(),
    };
    let few = Alphabet { class: vec![0, 1, 2, 3, 4], weight: vec![1; 5] };
    // Depth first: 0 (1 (2 3) 4 (5 (6) 7) 8) with a chain behind it.
    let parents = [
        None,
        Some(0),
        Some(1),
        Some(1),
        Some(0),
        Some(4),
        Some(5),
        Some(4),
        Some(0),
        Some(8),
        Some(9),
        Some(10),
    ];
    let variables = [3, 0, 7, 1, 11, 2, 9, 4, 6, 8, 5, 10];
    let states = [10, 8, 2, 12, 6, 16, 4, 8, 10, 8, 2, 6];
    let nodes: Vec<Shape> = (0..12)
        .map(|i| Shape {
            variable: variables[i],
            parent: parents[i],
            alphabet: alphabet(i),
            states: states[i],
        })
        .collect();
    let mut weights = Weights {
        log2_steps: 2,
        patch,
        alphabets: vec![bytes, few],
        nodes,
        edges: Vec::new(),
        leaves: Vec::new(),
    };
    for i in 0..12 {
        let (above, states, classes) = weights.sizes(i);
        let mut codes = |n: usize, favourite: usize| -> Vec<u8> {
            let one = |k: usize| match rng.below(6) {
                0 => 0,
                _ if k % states == favourite % states => 1 + rng.below(4) as u8,
                _ => 8 + rng.below(50) as u8,
            };
            (0..n).map(one).collect()
        };
        let mut edge = codes(above * states, i);
        let mut leaf = codes(classes * states, i);
        // Every row and every state has some probability.
        (0..above).for_each(|u| edge[u * states + u % states] = 3);
        (0..states).for_each(|k| leaf[k % classes * states + k] = 2);
        weights.edges.push(edge);
        weights.leaves.push(leaf);
    }
    weights
}

/// Records whose symbols favour what the circuit favours, with noise.
pub fn records(count: usize) -> Vec<u8> {
    let mut rng = SplitMix(99);
    let small: Vec<bool> = {
        let w = micro();
        let mut s = vec![false; 12];
        w.nodes.iter().for_each(|n| s[usize::from(n.variable)] = n.alphabet == 1);
        s
    };
    let mut out = Vec::new();
    for _ in 0..count {
        let mood = rng.below(3) as u8;
        for &s in &small {
            let symbol = match (s, rng.below(4)) {
                (true, _) => (rng.below(3) as u8 + mood) % 5,
                (false, 0) => rng.below(256) as u8,
                (false, 1) => 0,
                (false, _) => 60 * mood + rng.below(20) as u8,
            };
            out.push(symbol);
        }
    }
    out
}
