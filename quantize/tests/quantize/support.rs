//! What the tests make checkpoints of.

use nzip_quantize::{Options, Target};

/// Numbers that look random.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// Values that follow a bell curve around 0.
    pub fn bell(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| ((0..12).map(|_| self.next()).sum::<f32>() - 6.0) * scale).collect()
    }
}

/// A safetensors file of F32 tensors, given as name, shape and values.
pub fn file<N: AsRef<str>, S: AsRef<[usize]>>(tensors: &[(N, S, Vec<f32>)]) -> Vec<u8> {
    let (mut json, mut data) = (Vec::new(), Vec::new());
    for (name, shape, values) in tensors {
        let (name, shape, start) = (name.as_ref(), shape.as_ref(), data.len());
        values.iter().for_each(|v| data.extend_from_slice(&v.to_le_bytes()));
        json.push(format!(
            r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            data.len()
        ));
    }
    let json = format!("{{{}}}", json.join(","));
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// Options for so many bits, and nothing else.
pub fn options(bits: f64) -> Options {
    Options {
        target: Target::Bits(bits),
        level: 2,
        keep: Vec::new(),
        bits: Vec::new(),
        sparse: None,
        codebook: None,
    }
}
