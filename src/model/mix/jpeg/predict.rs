//! Samples from coefficients, and predictions of coefficients from samples on the other side of an edge.

/// The column (horizontal frequency) and row (vertical frequency) of each place in zigzag order.
pub const PLACES: [(usize, usize); 64] = places();

/// The place in zigzag order of each (row, column).
pub const ZIGZAG: [[usize; 8]; 8] = {
    let mut zigzag = [[0; 8]; 8];
    let mut k = 0;
    while k < 64 {
        zigzag[PLACES[k].1][PLACES[k].0] = k;
        k += 1;
    }
    zigzag
};

const fn places() -> [(usize, usize); 64] {
    let mut places = [(0, 0); 64];
    let (mut k, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut i = 0;
        while i <= diagonal {
            // Even diagonals go up, odd ones go down.
            let (u, v) = if diagonal % 2 == 0 { (i, diagonal - i) } else { (diagonal - i, i) };
            if u < 8 && v < 8 {
                places[k] = (u, v);
                k += 1;
            }
            i += 1;
        }
        diagonal += 1;
    }
    places
}

/// cos(n·π/16) / 2 in Q13.
const COSINES: [i32; 8] = [4096, 4017, 3784, 3406, 2896, 2276, 1567, 799];

/// The samples of each frequency, in Q13: cos((2x + 1)·u·π/16)/2, and for u = 0 that of a quarter turn.
const WAVES: [[i32; 8]; 8] = {
    let mut waves = [[2896; 8]; 8];
    let mut u = 1;
    while u < 8 {
        let mut x = 0;
        while x < 8 {
            let turn = (2 * x + 1) * u % 32;
            let turn = if turn > 16 { 32 - turn } else { turn };
            waves[u][x] = match turn {
                0..8 => COSINES[turn],
                8 => 0,
                _ => -COSINES[16 - turn],
            };
            x += 1;
        }
        u += 1;
    }
    waves
};

/// Coefficients times their steps, by row and column, each limited to −2047..=2047.
pub type Values = [[i32; 8]; 8];

/// The values of coefficients in zigzag order.
pub fn values(block: &[i16; 64], steps: &[u16; 64]) -> Values {
    let mut values = [[0; 8]; 8];
    for (k, (u, v)) in PLACES.into_iter().enumerate() {
        values[v][u] = (i32::from(block[k]) * i32::from(steps[k])).clamp(-2047, 2047);
    }
    values
}

/// Eight times the samples of a block, by row and column.
pub fn samples(values: &Values) -> [[i32; 8]; 8] {
    let mut half = [[0i32; 8]; 8];
    for (v, row) in values.iter().enumerate() {
        for (u, value) in row.iter().enumerate() {
            if *value != 0 {
                for y in 0..8 {
                    half[y][u] += value * WAVES[v][y];
                }
            }
        }
    }
    let mut samples = [[0i32; 8]; 8];
    for (to, half) in samples.iter_mut().zip(half) {
        for (value, wave) in half.into_iter().zip(WAVES) {
            for (to, w) in to.iter_mut().zip(wave) {
                *to += (value >> 10) * w;
            }
        }
        to.iter_mut().for_each(|s| *s >>= 13);
    }
    samples
}

/// The samples of a block that touch its right and lower neighbours: for each row its last two, for each
/// column its last two (the outermost first), times eight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Border {
    pub right: [[i32; 2]; 8],
    pub lower: [[i32; 2]; 8],
}

impl Border {
    pub fn of(samples: &[[i32; 8]; 8], mean: i32) -> Self {
        Self {
            right: std::array::from_fn(|y| [samples[y][7] + mean, samples[y][6] + mean]),
            lower: std::array::from_fn(|x| [samples[7][x] + mean, samples[6][x] + mean]),
        }
    }
}

/// Twice the mean (times eight) of a block at which its samples continue two samples beyond an edge. `inner`
/// holds the outermost samples of the block without its mean.
pub fn continued(outer: [i32; 2], inner: [i32; 2]) -> i32 {
    3 * outer[0] - outer[1] - 3 * inner[0] + inner[1]
}
