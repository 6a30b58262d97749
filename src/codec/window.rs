pub struct WindowLimits { pub payload: usize /* W bytes, multiple of 4 */, pub raw: usize /* R */ }
pub struct EncodedWindow { pub raw_len: usize, pub payload: Vec<u8> /* shortest string that decodes, <= W; bits past the end read as zero */ }
pub struct WindowJob<'a> { pub payload: &'a [u8], pub raw: &'a mut [u8] /* sized to the stored raw length */ }
