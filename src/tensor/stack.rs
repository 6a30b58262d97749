//! Tensors of three or more dimensions that are stacks of matrices, such as the keys and values of attention
//! or the weights of experts.

use super::TensorInfo;

/// The least bytes of a matrix that becomes a block of its own.
const ALONE: u64 = 64 << 10;
/// The least length of a matrix's rows. (The last dimension of a convolution is shorter: the width of its
/// window.)
const LEAST_ROW: u64 = 16;
/// The tokens of a cache of keys and values that decode alone.
const TOKENS: u64 = 256;
/// The most bytes of such a chunk.
const MOST: u64 = 1 << 17;

/// How a stack of matrices is cut: rows and columns are those of the matrices, because each has sizes of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// The bytes of a row of a matrix, which is the last dimension.
    pub row: u64,
    /// The bytes of a matrix, which is the last two dimensions.
    pub matrix: u64,
    /// The bytes that are decoded alone; 0 where that does not matter.
    pub chunk: u64,
}

impl Stack {
    /// The stack that a tensor is, if its matrices are large enough to be blocks.
    pub fn of(t: &TensorInfo) -> Option<Self> {
        let [outer @ .., rows, columns] = &t.shape[..] else { return None };
        let matrices: u64 = outer.iter().product();
        if outer.is_empty() || matrices == 0 || *rows == 0 || *columns < LEAST_ROW {
            return None;
        }
        let (matrix, row) = (t.len / matrices, t.len / matrices / rows);
        let whole =
            matrix * matrices == t.len && row * rows == matrix && row.is_multiple_of(t.dtype.group().1);
        let chunk = Some(TOKENS * row).filter(|chunk| *chunk <= MOST && is_cache(&t.name)).unwrap_or(0);
        (whole && matrix >= ALONE).then_some(Self { row, matrix, chunk })
    }
}

/// Whether a tensor with this name may hold keys or values that attention keeps of earlier tokens. A wrong
/// answer costs some compression.
fn is_cache(name: &str) -> bool {
    let is_word = |word: &str| {
        matches!(word, "key" | "keys" | "value" | "values" | "k" | "v" | "kv" | "cache" | "past" | "present")
    };
    name.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphabetic()).any(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn of(name: &str, dtype: Dtype, shape: &[u64]) -> Option<(u64, u64, u64)> {
        let t = TensorInfo::new(name.into(), dtype, shape.to_vec(), 8).unwrap();
        Stack::of(&t).map(|s| (s.row, s.matrix, s.chunk))
    }

    #[test]
    fn stacks_by_shape() {
        assert_eq!(of("key", Dtype::Bf16, &[30, 3, 2048, 64]), Some((128, 1 << 18, 1 << 15)));
        assert_eq!(of("layers.3.k_cache", Dtype::F16, &[3, 2048, 64]), Some((128, 1 << 18, 1 << 15)));
        assert_eq!(of("experts.w", Dtype::F8E4m3, &[8, 512, 1024]), Some((1024, 1 << 19, 0)));
        assert_eq!(of("value", Dtype::F4, &[2, 4096, 64]), Some((32, 1 << 17, 1 << 13)));
        assert_eq!(of("key", Dtype::Bf16, &[30, 3, 100, 64]), None);
        assert_eq!(of("conv", Dtype::F32, &[512, 512, 3, 3]), None);
        assert_eq!(of("key", Dtype::F32, &[2, 1 << 40, 0]), None);
        assert_eq!(of("key", Dtype::F32, &[4096, 4096]), None);
    }
}
