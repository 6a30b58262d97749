//! Reading any part of a file.

use crate::compress::codec_name;
use crate::decompress::{NZIP_SIZE_ERROR, nzip_DCtx, options};
use crate::error::{Failure, Outcome, guard_or};
use crate::memory::{path, room, text};
use crate::object::{call, create, free, object, with};
use crate::source::{Callback, Source, nzip_readAt};
use crate::tensor::Listed;
use nz::{Archive, ArchiveReader, Seekable};
use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;

/// A compressed file of which any part can be read.
pub struct nzip_Archive(Mutex<Opened>);

object!(nzip_Archive(Opened));

pub struct Opened {
    pub reader: ArchiveReader<'static, Box<dyn Source>>,
    /// The tensors, once they have been asked for.
    pub tensors: Option<Vec<Listed>>,
}

impl Opened {
    fn new(source: Box<dyn Source>, options: nz::DecodeOptions) -> Outcome<Self> {
        let reader = Archive::with_options(source, options)?.into_reader();
        Ok(Self { reader, tensors: None })
    }
}

/// Opens the `size` bytes that a function reads, with the options of a context or, where that is null, the
/// defaults. Null on failure. `user` is passed to the function, and must stay valid as long as the archive.
///
/// # Safety
///
/// The function must do what nzip_readAt says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_openArchive(
    dctx: *const nzip_DCtx,
    readAt: nzip_readAt,
    user: *mut c_void,
    size: u64,
) -> *mut nzip_Archive {
    create(|| {
        let read_at = readAt.ok_or_else(|| Failure::null("readAt"))?;
        let source = Seekable::new(Callback { read_at, user, size });
        // SAFETY: what the caller answers for.
        Opened::new(Box::new(source), unsafe { options(dctx)? })
    })
}

/// Opens a file, with the options of a context or, where that is null, the defaults. Null on failure.
///
/// # Safety
///
/// The context must be null or alive, the path null or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_openArchiveFile(
    dctx: *const nzip_DCtx,
    fileName: *const c_char,
) -> *mut nzip_Archive {
    create(|| {
        // SAFETY: what the caller answers for.
        let (name, options) = unsafe { (text("path", fileName)?, options(dctx)?) };
        let path = path(name)?;
        let file = File::open(&path).map_err(|e| nz::Error::from(e).within(path.display()))?;
        Opened::new(Box::new(file), options)
    })
}

/// Closes an archive. Null is allowed.
///
/// # Safety
///
/// It must not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_freeArchive(archive: *mut nzip_Archive) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { free(archive) }
}

/// A number that an archive knows.
///
/// # Safety
///
/// As for [`with`].
unsafe fn known(archive: *const nzip_Archive, number: impl FnOnce(&Archive<Box<dyn Source>>) -> u64) -> u64 {
    // SAFETY: what the caller answers for.
    guard_or(NZIP_SIZE_ERROR, || unsafe { with(archive, |a| Ok(number(a.reader.archive()))) })
}

/// Raw bytes in all streams, or NZIP_SIZE_ERROR.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_size(archive: *const nzip_Archive) -> u64 {
    // SAFETY: what the caller answers for.
    unsafe { known(archive, Archive::len) }
}

/// Bytes of the file, or NZIP_SIZE_ERROR.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_storedSize(archive: *const nzip_Archive) -> u64 {
    // SAFETY: what the caller answers for.
    unsafe { known(archive, Archive::stored_len) }
}

/// Raw bytes that ranges have had decoded so far, or NZIP_SIZE_ERROR.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_decodedBytes(archive: *const nzip_Archive) -> u64 {
    // SAFETY: what the caller answers for.
    unsafe { known(archive, Archive::decoded_bytes) }
}

/// Reads raw bytes from an offset on. Returns how many: fewer than `size` only at the end. What was decoded
/// around them is kept, so that reading on costs little.
///
/// # Safety
///
/// The archive must be null or alive, and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_read(
    archive: *mut nzip_Archive,
    offset: u64,
    dst: *mut c_void,
    size: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            let out = room(dst, size)?;
            a.reader.seek(SeekFrom::Start(offset))?;
            let mut len = 0;
            while len < out.len() {
                match a.reader.read(&mut out[len..])? {
                    0 => break,
                    n => len += n,
                }
            }
            Ok(len)
        })
    }
}

/// Fills `dst` with the raw bytes from an offset on, and keeps nothing: for single ranges, and for tiles of
/// tensors, which are decoded where they stay. Returns `size`.
///
/// # Safety
///
/// The archive must be null or alive, and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_readRange(
    archive: *mut nzip_Archive,
    offset: u64,
    dst: *mut c_void,
    size: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            a.reader.archive_mut().read_range_into(offset, room(dst, size)?)?;
            Ok(size)
        })
    }
}

/// Decodes everything, and verifies all check values and hashes. Returns 0 or an error.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_verify(archive: *mut nzip_Archive) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { call(archive, |a| Ok(a.reader.archive_mut().verify().map(|_| 0)?)) }
}

/// A block of a file.
#[repr(C)]
pub struct nzip_BlockInfo {
    /// The offset of its first raw byte.
    pub rawOffset: u64,
    /// Its raw bytes.
    pub rawSize: u64,
    /// Its offset in the file.
    pub storedOffset: u64,
    /// Its bytes in the file.
    pub storedSize: u64,
    /// The most raw bytes that are decoded to read one of them.
    pub rangeCost: u64,
    /// The name of its codec.
    pub codec: *const c_char,
}

/// The number of blocks, or an error.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_blockCount(archive: *const nzip_Archive) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { call(archive, |a| Ok(a.reader.archive().block_count())) }
}

/// Describes a block. Returns 0 or an error.
///
/// # Safety
///
/// The archive must be null or alive, `info` null or a place for the description.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_block(
    archive: *mut nzip_Archive,
    number: usize,
    info: *mut nzip_BlockInfo,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            if info.is_null() {
                return Err(Failure::null("info"));
            }
            let block = a.reader.archive_mut().block(number)?;
            let block = block.ok_or_else(|| Failure::bad_argument(format!("there is no block {number}")))?;
            info.write(nzip_BlockInfo {
                rawOffset: block.raw_start,
                rawSize: block.raw_len,
                storedOffset: block.offset,
                storedSize: block.stored_len,
                rangeCost: block.range_cost(),
                codec: block.codec.map_or(c"?".as_ptr(), codec_name),
            });
            Ok(0)
        })
    }
}
