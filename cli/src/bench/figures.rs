//! The measurements: bytes, time and memory of a program on a file.

/// The figures of one program on one file.
#[derive(Debug, Clone)]
pub struct Run {
    /// The file, without its folders.
    pub file: String,
    /// The program with its level.
    pub tool: String,
    /// Whether it is nzip.
    pub own: bool,
    /// The raw bytes.
    pub raw: u64,
    /// The bytes of the result.
    pub stored: u64,
    /// The stored bytes of the models that the result needs and does not contain, by hash.
    pub models: Vec<([u8; 32], u64)>,
    /// The bytes from which the result's codecs start, whatever the model.
    pub start: u64,
    /// The cost of compressing.
    pub encode: Cost,
    /// The cost of restoring.
    pub decode: Cost,
    /// Whether the restored bytes equal the source.
    pub good: bool,
}

impl Run {
    /// The stored bytes and everything that the decoder must have: models, and the starting points of codecs.
    pub fn with_models(&self) -> u64 {
        self.stored + self.start + self.models.iter().map(|m| m.1).sum::<u64>()
    }

    /// The raw bytes per second at a cost.
    pub fn speed(&self, cost: Cost) -> f64 {
        self.raw as f64 / cost.seconds.max(1e-9)
    }
}

/// Time and memory that a process used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// The seconds from start to end.
    pub seconds: f64,
    /// The peak memory in bytes; `None` where the system does not report it.
    pub memory: Option<u64>,
}

impl Cost {
    /// The one that took less time.
    pub fn best(self, other: Self) -> Self {
        if other.seconds < self.seconds { other } else { self }
    }
}
