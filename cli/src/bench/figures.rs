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
    /// Raw bytes.
    pub raw: u64,
    /// Bytes of the result.
    pub stored: u64,
    /// Stored bytes of the models that the result needs and does not hold, by hash.
    pub models: Vec<([u8; 32], u64)>,
    /// Bytes that the result's codecs start from, whatever the model.
    pub start: u64,
    /// Compression.
    pub encode: Cost,
    /// Restoring.
    pub decode: Cost,
    /// Whether the restored bytes are the source.
    pub good: bool,
}

impl Run {
    /// Stored bytes and all that the decoder brings along: models, and what codecs start from.
    pub fn with_models(&self) -> u64 {
        self.stored + self.start + self.models.iter().map(|m| m.1).sum::<u64>()
    }

    /// Raw bytes per second of a cost.
    pub fn speed(&self, cost: Cost) -> f64 {
        self.raw as f64 / cost.seconds.max(1e-9)
    }
}

/// Time and memory that a process used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Most bytes of memory at a time; `None` where the system does not tell.
    pub memory: Option<u64>,
}

impl Cost {
    /// The one that took less time.
    pub fn best(self, other: Self) -> Self {
        if other.seconds < self.seconds { other } else { self }
    }
}
