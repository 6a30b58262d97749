//! Reading any part of a file.

use crate::memory::{bytes, room};
use crate::model::{hex, options};
use crate::reply::{failed, needs, say};
use crate::source::{Parts, Supplied};
use nzip::tensor::TensorInfo;
use nzip::{ArchiveReader, BlockInfo, Error, ErrorKind, Result, Seekable};
use std::cell::RefCell;
use std::fmt::Write;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

/// A file, and its archive once it is open.
pub struct File {
    parts: Rc<RefCell<Parts>>,
    size: u64,
    memory: f64,
    reader: Option<ArchiveReader<'static, Seekable<Supplied>>>,
}

type Reader = ArchiveReader<'static, Seekable<Supplied>>;

impl File {
    /// Does some work. Where a part of the file is missing, asks for it.
    fn work(&mut self, work: impl FnOnce(&mut Reader) -> Result<()>) -> i32 {
        let result = self.open().and_then(work);
        let mut parts = self.parts.borrow_mut();
        match (parts.missing(), result) {
            // Whatever went wrong: it may have been that.
            (Some((offset, len)), Err(_)) => needs(offset, len),
            (_, Err(e)) => failed(&e),
            (_, Ok(())) => {
                parts.done();
                0
            }
        }
    }

    fn open(&mut self) -> Result<&mut Reader> {
        if self.reader.is_none() {
            let source = Seekable::new(Supplied::new(self.parts.clone(), self.size));
            let archive = nzip::Archive::with_options(source, options(self.memory))?;
            self.reader = Some(archive.into_reader());
        }
        self.reader.as_mut().ok_or_else(|| Error::new(ErrorKind::BadArgument, "the file is not open"))
    }
}

/// A text as a string of JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn tensor(t: &TensorInfo) -> String {
    let shape = list(t.shape.iter().map(u64::to_string));
    let (name, dtype) = (quoted(&t.name), quoted(t.dtype.name()));
    format!(
        "{{\"name\":{name},\"dtype\":{dtype},\"shape\":{shape},\"offset\":{},\"size\":{}}}",
        t.start, t.len
    )
}

fn block(b: &BlockInfo) -> String {
    let codec = b.codec.map_or("null".into(), |c| quoted(c.name()));
    let model = b.model.as_ref().map_or("null".into(), |m| quoted(&hex(m)));
    format!(
        "{{\"offset\":{},\"storedSize\":{},\"rawOffset\":{},\"rawSize\":{},\"rangeCost\":{},\"codec\":{codec},\"model\":{model}}}",
        b.offset,
        b.stored_len,
        b.raw_start,
        b.raw_len,
        b.range_cost()
    )
}

fn info(reader: &mut Reader) -> Result<()> {
    let archive = reader.archive_mut();
    if archive.tensor_infos().is_empty() {
        // A small file may hold tensors that its index does not name: looking for them is what this does.
        archive.tensors()?;
    }
    let streams = archive.streams();
    let streams = list(streams.iter().map(|s| {
        let hash = s.hash.as_ref().map_or("null".into(), |h| quoted(&hex(h)));
        format!(
            "{{\"offset\":{},\"storedSize\":{},\"rawSize\":{},\"blocks\":{},\"hash\":{hash}}}",
            s.offset, s.stored_len, s.raw_len, s.blocks
        )
    }));
    say(format!(
        "{{\"size\":{},\"storedSize\":{},\"blocks\":{},\"streams\":{streams},\"tensors\":{}}}",
        archive.len(),
        archive.stored_len(),
        archive.block_count(),
        list(archive.tensor_infos().iter().map(tensor))
    ));
    Ok(())
}

/// A file of so many bytes, none of which are there yet. Decoding may use so many bytes of memory.
#[unsafe(no_mangle)]
pub extern "C" fn archive_new(size: f64, memory: f64) -> *mut File {
    Box::into_raw(Box::new(File { parts: Rc::default(), size: size as u64, memory, reader: None }))
}

/// Closes a file.
///
/// # Safety
///
/// It must come from [`archive_new`], and not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_free(file: *mut File) {
    // SAFETY: what the caller answers for.
    drop(unsafe { Box::from_raw(file) });
}

/// Adds bytes of a file.
///
/// # Safety
///
/// The file must be alive, and `start` and `len` a place in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_supply(file: *mut File, offset: f64, start: *const u8, len: usize) {
    // SAFETY: what the caller answers for.
    unsafe { (*file).parts.borrow_mut().supply(offset as u64, bytes(start, len)) }
}

/// Says sizes, streams and tensors as JSON.
///
/// # Safety
///
/// The file must be alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_info(file: *mut File) -> i32 {
    // SAFETY: what the caller answers for.
    unsafe { (*file).work(info) }
}

/// Says blocks as JSON: `count` of them from number `first` on, fewer at the end.
///
/// # Safety
///
/// The file must be alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_blocks(file: *mut File, first: usize, count: usize) -> i32 {
    // SAFETY: what the caller answers for.
    unsafe {
        (*file).work(|r| {
            let mut blocks = Vec::new();
            for number in first..first.saturating_add(count) {
                let Some(b) = r.archive_mut().block(number)? else { break };
                blocks.push(block(&b));
            }
            say(list(blocks.into_iter()));
            Ok(())
        })
    }
}

/// Fills a place with raw bytes from an offset on. What was decoded around them is kept if `keep` is 1, so that
/// reading on costs little.
///
/// # Safety
///
/// The file must be alive, and `to` and `len` a place in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_read(
    file: *mut File,
    offset: f64,
    to: *mut u8,
    len: usize,
    keep: u32,
) -> i32 {
    // SAFETY: what the caller answers for.
    let out = unsafe { room(to, len) };
    let offset = offset as u64;
    // SAFETY: as above.
    unsafe {
        (*file).work(|r| {
            if keep != 1 {
                return r.archive_mut().read_range_into(offset, out);
            }
            r.seek(SeekFrom::Start(offset))?;
            Ok(r.read_exact(out)?)
        })
    }
}

/// Decodes a tensor into a place of its size.
///
/// # Safety
///
/// As for [`archive_read`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_tensor(file: *mut File, number: usize, to: *mut u8, len: usize) -> i32 {
    // SAFETY: what the caller answers for.
    unsafe { (*file).work(|r| r.archive_mut().tensor_at(number)?.read_into(room(to, len))) }
}

/// Decodes rows of a tensor into a place of their size.
///
/// # Safety
///
/// As for [`archive_read`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_rows(
    file: *mut File,
    number: usize,
    first: f64,
    count: f64,
    to: *mut u8,
    len: usize,
) -> i32 {
    let rows = first as u64..(first + count) as u64;
    // SAFETY: what the caller answers for.
    unsafe { (*file).work(|r| r.archive_mut().tensor_at(number)?.rows_into(rows, room(to, len))) }
}
