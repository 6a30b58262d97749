//! The contents of files, read where they are needed. Nothing is mapped into memory, because the system would
//! end the program if a file became shorter.

use crate::error::{Error, ErrorKind, Result};
use crate::tensor::Layout;
use crate::tensor::content::{Content, outside};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::SystemTime;

/// The content of a file, with the length that it had when it was opened.
pub(crate) struct FileContent {
    file: File,
    len: u64,
    modified: Option<SystemTime>,
    /// Held while the file's position is moved.
    #[cfg(not(unix))]
    place: std::sync::Mutex<()>,
}

impl FileContent {
    /// The content of an open file. Where the system can read at any offset, the file's own position stays
    /// where it is.
    pub fn new(file: &File) -> Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            file: file.try_clone()?,
            len: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(not(unix))]
            place: std::sync::Mutex::new(()),
        })
    }

    /// Fails if the file has changed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] where its length or modification time differ.
    pub fn check(&self) -> Result<()> {
        let now = self.file.metadata()?;
        let same = now.len() == self.len && now.modified().ok() == self.modified;
        if same { Ok(()) } else { Err(Error::new(ErrorKind::Io, "the file has changed while it was read")) }
    }

    #[cfg(unix)]
    fn fill(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, at)
    }

    #[cfg(not(unix))]
    fn fill(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let _place = self.place.lock();
        (&self.file).seek(SeekFrom::Start(at))?;
        (&self.file).read_exact(out)
    }
}

impl Content for FileContent {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        let mut bytes = Vec::new();
        self.read_in(range, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    fn read_in<'a>(&'a self, range: Range<u64>, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        if range.start > range.end || range.end > self.len {
            return Err(outside(&range, self.len));
        }
        let missing = || Error::limit(format!("no memory for {} bytes of a file", range.end - range.start));
        let len = usize::try_from(range.end - range.start).map_err(|_| missing())?;
        buffer.try_reserve_exact(len.saturating_sub(buffer.len())).map_err(|_| missing())?;
        buffer.resize(len, 0);
        self.fill(buffer, range.start).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::new(ErrorKind::Io, "the file has become shorter while it was read")
            }
            _ => e.into(),
        })?;
        Ok(buffer)
    }
}

impl Layout {
    /// Reads the layout of an open file. Only its headers are read.
    ///
    /// # Errors
    ///
    /// Those of [`Layout::read`] and of reading.
    pub fn read_file(file: &File) -> Result<Self> {
        Self::read_content(&FileContent::new(file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 1000]).unwrap();
        let content = FileContent::new(file.as_file()).unwrap();
        assert_eq!(*content.read(990..1000).unwrap(), [7; 10]);
        assert_eq!(content.read(990..1001).unwrap_err().kind(), ErrorKind::BadArgument);
        content.check().unwrap();
        file.as_file().set_len(995).unwrap();
        assert_eq!(content.len(), 1000);
        let e = content.read(990..1000).unwrap_err();
        assert!(e.kind() == ErrorKind::Io && e.to_string().contains("shorter"), "{e}");
        assert_eq!(content.check().unwrap_err().kind(), ErrorKind::Io);
    }
}
