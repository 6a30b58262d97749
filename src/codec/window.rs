//! What the windowed codecs and the container hand to each other.

/// Where windows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// Most payload bytes of a window (W), a multiple of 4.
    pub payload: usize,
    /// Most raw bytes of a window (R).
    pub raw: usize,
}

/// One coded window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedWindow {
    /// How many raw bytes it holds, at least 1.
    pub raw_len: usize,
    /// The shortest string that decodes, at most W bytes; bits past its end read as zero.
    pub payload: Vec<u8>,
}

/// One window to be decoded.
#[derive(Debug)]
pub struct WindowJob<'a> {
    /// Its payload; padding zeros may follow.
    pub payload: &'a [u8],
    /// Receives the raw bytes; sized to the stored raw length.
    pub raw: &'a mut [u8],
}
