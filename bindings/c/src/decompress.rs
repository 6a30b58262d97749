//! Decompression: in one call, by a context, and in streams.

use crate::compress::{flag, number};
use crate::error::{Failure, Outcome, guard, guard_or};
use crate::memory::{apart, buffers, bytes, nzip_inBuffer, nzip_outBuffer, room, utf8};
use crate::object::{call, create, free, object, with};
use nz::buffers::Decoder;
use nz::{Archive, DecodeOptions, Decompressor, Models};
use std::ffi::{c_char, c_int, c_void};
use std::io::Cursor;
use std::sync::Mutex;

/// The value that stands for an error where a size of 64 bits is returned.
pub const NZIP_SIZE_ERROR: u64 = 0xFFFF_FFFF_FFFF_FFFE;

/// Whether these are the first bytes of a .nz stream; at least 7 are needed.
///
/// # Safety
///
/// `src` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_isNz(src: *const c_void, srcSize: usize) -> u32 {
    // SAFETY: what the caller answers for.
    guard_or(0, || Ok(u32::from(nz::is_nz(unsafe { bytes("src", src, srcSize)? }))))
}

/// The raw bytes of the streams that `src` is, as their indexes say, or NZIP_SIZE_ERROR. Decompresses nothing.
/// It may be as large as a hostile file wants: memory should not be taken on its word alone.
///
/// # Safety
///
/// `src` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_contentSize(src: *const c_void, srcSize: usize) -> u64 {
    guard_or(NZIP_SIZE_ERROR, || {
        // SAFETY: what the caller answers for.
        let packed = unsafe { bytes("src", src, srcSize)? };
        Ok(Archive::new(Cursor::new(packed))?.len())
    })
}

/// Decompresses all streams of `src`. Returns the size of the result. For many small contents,
/// nzip_decompressDCtx is faster.
///
/// # Safety
///
/// `src` and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_decompress(
    dst: *mut c_void,
    dstCapacity: usize,
    src: *const c_void,
    srcSize: usize,
) -> usize {
    guard(|| {
        apart(src, srcSize, dst, dstCapacity)?;
        // SAFETY: what the caller answers for; the two do not overlap.
        let (packed, out) = unsafe { (bytes("src", src, srcSize)?, room(dst, dstCapacity)?) };
        Ok(Decompressor::new(DecodeOptions::new()).decompress_to(packed, out)?)
    })
}

/// Parameters of a decompression context, set by nzip_DCtx_setParameter.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum nzip_dParameter {
    /// Threads; 0 is one per core, the default.
    nzip_d_threads = 1,
    /// The most memory to use, in bytes (approximate); 1 GiB by default. Streams that need more are refused.
    nzip_d_memory = 2,
    /// 1: the hash of each stream is verified, in addition to the check values.
    nzip_d_verifyHash = 3,
}

use nzip_dParameter::*;

const PARAMETERS: [nzip_dParameter; 3] = [nzip_d_threads, nzip_d_memory, nzip_d_verifyHash];

/// A decompression context. It keeps options, models and threads from one content to the next.
pub struct nzip_DCtx(Mutex<Decompressing>);

object!(nzip_DCtx(Decompressing));

pub struct Decompressing {
    options: DecodeOptions,
    models: Models,
    /// The decompressor for these options, once it has been needed.
    decompressor: Option<Decompressor>,
    stream: Option<Decoder>,
}

impl Decompressing {
    fn new() -> Self {
        let models = Models::new();
        let options = DecodeOptions::new().models(models.clone());
        Self { options, models, decompressor: None, stream: None }
    }

    /// Changes the options, between streams.
    fn set(&mut self, change: impl FnOnce(DecodeOptions) -> Outcome<DecodeOptions>) -> Outcome<usize> {
        if self.stream.is_some() {
            return Err(Failure::bad_argument("a stream has been begun"));
        }
        (self.options, self.decompressor) = (change(self.options.clone())?, None);
        Ok(0)
    }

    fn parameter(&mut self, parameter: c_int, value: i64) -> Outcome<usize> {
        let parameter = PARAMETERS.into_iter().find(|p| *p as c_int == parameter).ok_or_else(|| {
            Failure::bad_argument(format!("a decompression context has no parameter {parameter}"))
        })?;
        match parameter {
            nzip_d_threads => self.set(|o| Ok(o.threads(number(value)?))),
            nzip_d_verifyHash => self.set(|o| Ok(o.verify_hash(flag(value)?))),
            nzip_d_memory => {
                let memory = number(value)?;
                let models = self.models.clone().capped(memory);
                self.set(|o| Ok(o.memory(memory).models(models.clone())))?;
                self.models = models;
                Ok(0)
            }
        }
    }

    fn decompressor(&mut self) -> &Decompressor {
        self.decompressor.get_or_insert_with(|| Decompressor::new(self.options.clone()))
    }
}

/// The options of a context; the defaults where it is null.
///
/// # Safety
///
/// As for [`with`].
pub unsafe fn options(dctx: *const nzip_DCtx) -> Outcome<DecodeOptions> {
    if dctx.is_null() {
        return Ok(DecodeOptions::new());
    }
    // SAFETY: what the caller answers for.
    unsafe { with(dctx, |state| Ok(state.options.clone())) }
}

/// Makes a decompression context; null where there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_createDCtx() -> *mut nzip_DCtx {
    create(|| Ok(Decompressing::new()))
}

/// Frees a decompression context. Null is allowed.
///
/// # Safety
///
/// It must not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_freeDCtx(dctx: *mut nzip_DCtx) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { free(dctx) }
}

/// Sets an nzip_dParameter, between streams.
///
/// # Safety
///
/// The context must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_DCtx_setParameter(dctx: *mut nzip_DCtx, parameter: c_int, value: i64) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { call(dctx, |state| state.parameter(parameter, value)) }
}

/// Adds a model that streams may name: the path of a weight file, packed or plain. Models that ship, and those
/// in the user's model folder, are found without this.
///
/// # Safety
///
/// The context must be null or alive, the name null or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_DCtx_addModel(dctx: *mut nzip_DCtx, model: *const c_char) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(dctx, |state| {
            let mut models = state.models.clone();
            models.resolve(utf8("model", model)?)?;
            state.set(|o| Ok(o.models(models.clone())))?;
            state.models = models;
            Ok(0)
        })
    }
}

/// Gives up the stream that has been begun, if there is one. Options and models stay.
///
/// # Safety
///
/// The context must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_DCtx_reset(dctx: *mut nzip_DCtx) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(dctx, |state| {
            state.stream = None;
            Ok(0)
        })
    }
}

/// Decompresses all streams of `src`, with the options of a context. Returns the size of the result.
///
/// # Safety
///
/// The context must be null or alive; `src` and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_decompressDCtx(
    dctx: *mut nzip_DCtx,
    dst: *mut c_void,
    dstCapacity: usize,
    src: *const c_void,
    srcSize: usize,
) -> usize {
    // SAFETY: what the caller answers for; the two do not overlap.
    unsafe {
        call(dctx, |state| {
            apart(src, srcSize, dst, dstCapacity)?;
            let (packed, out) = (bytes("src", src, srcSize)?, room(dst, dstCapacity)?);
            if state.stream.is_some() {
                return Err(Failure::bad_argument("a stream has been begun"));
            }
            Ok(state.decompressor().decompress_to(packed, out)?)
        })
    }
}

/// Takes bytes of a stream from the input and puts raw bytes out, until one of them is used up or the stream
/// ends. Returns 0 where it has ended and all is put out; the next call begins another stream. Otherwise more
/// input or more room is needed: a file that ends before 0 is returned is truncated. With an error, the last bytes
/// before it may be put out; after it, only nzip_DCtx_reset or nzip_freeDCtx goes on.
///
/// # Safety
///
/// All must be null or alive, and buffers must describe memory that is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_decompressStream(
    dctx: *mut nzip_DCtx,
    output: *mut nzip_outBuffer,
    input: *mut nzip_inBuffer,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(dctx, |state| {
            let (out, input) = buffers(output, input)?;
            let mut stream = match state.stream.take() {
                Some(stream) => stream,
                None => state.decompressor().stream(),
            };
            let step = stream.step(input.rest, out.rest);
            // An error is said at once; what stands before it is put out all the same.
            let failed = if stream.has_failed() { stream.step(&[], &mut []).err() } else { None };
            state.stream = Some(stream);
            let step = step?;
            *input.pos += step.read;
            *out.pos += step.written;
            if let Some(e) = failed {
                return Err(e.into());
            }
            if step.done {
                state.stream = None;
            }
            Ok(usize::from(!step.done))
        })
    }
}
