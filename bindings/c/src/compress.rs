//! Compression: in one call, by a context, and in streams.

use crate::error::{Failure, Outcome, guard, guard_or, nzip_ErrorCode};
use crate::memory::{apart, buffers, bytes, items, nzip_inBuffer, nzip_outBuffer, room, utf8};
use crate::object::{call, create, free, object};
use nz::buffers::{Encoder, Then};
use nz::tensor::Dtype;
use nz::{Codec, CodecChoice, Compressor, Models, Options};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Mutex;

/// The largest size that a function returns.
const LARGEST: usize = usize::MAX - nzip_ErrorCode::nzip_error_max as usize;

/// The level of nzip_CCtx_setParameter if none is set.
pub const NZIP_DEFAULT_LEVEL: c_int = 6;

/// The most bytes that compressing so many gives, where codecs are chosen automatically, blocks have their
/// default size, and no model is embedded; an error where no such buffer can exist.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_compressBound(srcSize: usize) -> usize {
    guard(|| {
        let bound = usize::try_from(nz::compress_bound(srcSize as u64)).ok();
        bound.filter(|b| *b <= LARGEST).ok_or_else(|| Failure::bad_argument("srcSize is too large"))
    })
}

/// Compresses `src` into one stream, at a level of 1 (fast) to 9 (small), 0 being the default. Returns its size.
/// For many small contents, nzip_compress2 is faster.
///
/// # Safety
///
/// `src` and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_compress(
    dst: *mut c_void,
    dstCapacity: usize,
    src: *const c_void,
    srcSize: usize,
    level: c_int,
) -> usize {
    guard(|| {
        apart(src, srcSize, dst, dstCapacity)?;
        // SAFETY: what the caller answers for; the two do not overlap.
        let (raw, out) = unsafe { (bytes("src", src, srcSize)?, room(dst, dstCapacity)?) };
        let level = if level == 0 { NZIP_DEFAULT_LEVEL } else { level };
        Ok(Compressor::new(with_level(Options::new(), level.into()))?.compress_to(raw, out)?)
    })
}

/// Options with a level; one that no level is stays so.
fn with_level(options: Options, level: i64) -> Options {
    options.level(u8::try_from(level).unwrap_or(u8::MAX))
}

/// Parameters of a compression context, set by nzip_CCtx_setParameter.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum nzip_cParameter {
    /// 1 (fast) to 9 (small).
    nzip_c_level = 1,
    /// Threads; 0 is one per core, the default. The result does not depend on them.
    nzip_c_threads = 2,
    /// The most memory to use, in bytes (approximate); 1 GiB by default.
    nzip_c_memory = 3,
    /// The most memory that decompressing the result may take, in bytes; no limit by default.
    nzip_c_decodeMemory = 4,
    /// Raw bytes of a block: 4096 to 2^30. By default it depends on codec and level.
    nzip_c_blockSize = 5,
    /// 1: blocks of 1 MiB, so that ranges are cheap to read.
    nzip_c_seekable = 6,
    /// 1: the model is put into the stream where that pays.
    nzip_c_embedModel = 7,
    /// 1: a stream of one block has a hash of its content, too.
    nzip_c_contentHash = 8,
    /// 0: gzip, PNG and other deflate streams in the content are not undone.
    nzip_c_undo = 9,
    /// Payload bytes of a window: a multiple of 4 in 64 to 2^20.
    nzip_c_window = 10,
    /// 0: windows of imported language models decode alone.
    nzip_c_chained = 11,
}

use nzip_cParameter::*;

const PARAMETERS: [nzip_cParameter; 11] = [
    nzip_c_level,
    nzip_c_threads,
    nzip_c_memory,
    nzip_c_decodeMemory,
    nzip_c_blockSize,
    nzip_c_seekable,
    nzip_c_embedModel,
    nzip_c_contentHash,
    nzip_c_undo,
    nzip_c_window,
    nzip_c_chained,
];

/// How nzip_compressStream goes on once it has taken all of its input.
#[repr(C)]
pub enum nzip_EndDirective {
    /// It waits for more, and may keep what it has taken.
    nzip_e_continue = 0,
    /// It ends a block: everything taken so far can be decompressed.
    nzip_e_flush = 1,
    /// It ends the stream.
    nzip_e_end = 2,
}

/// A compression context. It keeps options, models and threads from one content to the next.
pub struct nzip_CCtx(Mutex<Compressing>);

object!(nzip_CCtx(Compressing));

pub struct Compressing {
    options: Options,
    models: Models,
    /// The compressor for these options, once it has been needed.
    compressor: Option<Compressor>,
    stream: Option<Encoder>,
}

impl Compressing {
    fn new() -> Self {
        let models = Models::new();
        let options = Options::new().models(models.clone());
        Self { options, models, compressor: None, stream: None }
    }

    /// Changes the options, between streams.
    fn set(&mut self, change: impl FnOnce(Options) -> Outcome<Options>) -> Outcome<()> {
        if self.stream.is_some() {
            return Err(Failure::bad_argument("a stream has been begun"));
        }
        let options = change(self.options.clone())?;
        options.check()?;
        (self.options, self.compressor) = (options, None);
        Ok(())
    }

    fn parameter(&mut self, parameter: c_int, value: i64) -> Outcome<()> {
        let parameter = PARAMETERS.into_iter().find(|p| *p as c_int == parameter).ok_or_else(|| {
            Failure::bad_argument(format!("a compression context has no parameter {parameter}"))
        })?;
        if let nzip_c_memory = parameter {
            let models = self.models.clone().capped(number(value)?);
            self.set(|o| Ok(o.memory(number(value)?).models(models.clone())))?;
            self.models = models;
            return Ok(());
        }
        self.set(|o| {
            Ok(match parameter {
                nzip_c_level => with_level(o, value),
                nzip_c_threads => o.threads(number(value)?),
                nzip_c_memory => o.memory(number(value)?),
                nzip_c_decodeMemory => o.decode_memory(number(value)?),
                nzip_c_blockSize => o.block_size(number(value)?),
                nzip_c_seekable if flag(value)? => o.seekable(),
                nzip_c_seekable => o,
                nzip_c_embedModel => o.embed_model(flag(value)?),
                nzip_c_contentHash => o.content_hash(flag(value)?),
                nzip_c_undo => o.undo(flag(value)?),
                nzip_c_window => o.window(number(value)?),
                nzip_c_chained => o.chained(flag(value)?),
            })
        })
    }

    fn compressor(&mut self) -> Outcome<&Compressor> {
        if self.compressor.is_none() {
            self.compressor = Some(Compressor::new(self.options.clone())?);
        }
        self.compressor.as_ref().ok_or_else(|| Failure::null("the compressor"))
    }
}

/// A value that is a number and not negative.
pub fn number<T: TryFrom<i64>>(value: i64) -> Outcome<T> {
    T::try_from(value).map_err(|_| Failure::bad_argument(format!("{value} is no value of this parameter")))
}

/// A value that is 0 or 1.
pub fn flag(value: i64) -> Outcome<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::bad_argument(format!("{value}: 0 or 1 is wanted"))),
    }
}

/// Makes a compression context; null where there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_createCCtx() -> *mut nzip_CCtx {
    create(|| Ok(Compressing::new()))
}

/// Frees a compression context. Null is allowed.
///
/// # Safety
///
/// It must not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_freeCCtx(cctx: *mut nzip_CCtx) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { free(cctx) }
}

/// Sets an nzip_cParameter, between streams.
///
/// # Safety
///
/// The context must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_CCtx_setParameter(cctx: *mut nzip_CCtx, parameter: c_int, value: i64) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { call(cctx, |state| state.parameter(parameter, value).map(|()| 0)) }
}

/// Sets the codec by its name, such as "zstd" or "lm"; "auto" chooses for each block, which is the default.
///
/// # Safety
///
/// The context must be null or alive, the name null or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_CCtx_setCodec(cctx: *mut nzip_CCtx, codec: *const c_char) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(cctx, |state| {
            let name = utf8("codec", codec)?;
            let choice = match Codec::from_name(name) {
                _ if name == "auto" => CodecChoice::Auto,
                Some(codec) => CodecChoice::Only(codec),
                None => return Err(Failure::bad_argument(format!("no codec is called {name:?}"))),
            };
            state.set(|o| Ok(o.codec(choice))).map(|()| 0)
        })
    }
}

/// Sets the model of codecs that need one: the name of a model that ships, the path of a weight file (packed
/// or plain), or a hash in hexadecimal digits.
///
/// # Safety
///
/// The context must be null or alive, the name null or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_CCtx_setModel(cctx: *mut nzip_CCtx, model: *const c_char) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(cctx, |state| {
            let mut models = state.models.clone();
            let hash = models.resolve(utf8("model", model)?)?;
            state.set(|o| Ok(o.models(models.clone()).model(hash)))?;
            state.models = models;
            Ok(0)
        })
    }
}

/// Says that contents are one tensor each: the type of its elements, such as "F32" or "BF16", and its shape.
///
/// # Safety
///
/// The context must be null or alive, the name null or a text, and the shape must have so many dimensions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_CCtx_setTensor(
    cctx: *mut nzip_CCtx,
    dtype: *const c_char,
    shape: *const u64,
    rank: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(cctx, |state| {
            let (name, shape) = (utf8("dtype", dtype)?, items("shape", shape, rank)?);
            let dtype = Dtype::from_name(name);
            let unknown = || Failure::bad_argument(format!("no type of elements is called {name:?}"));
            let dtype = dtype.ok_or_else(unknown)?;
            state.set(|o| Ok(o.tensor(dtype, shape, 0))).map(|()| 0)
        })
    }
}

/// Gives up the stream that has been begun, if there is one. Options and models stay.
///
/// # Safety
///
/// The context must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_CCtx_reset(cctx: *mut nzip_CCtx) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(cctx, |state| {
            state.stream = None;
            Ok(0)
        })
    }
}

/// Compresses `src` into one stream, with the options of a context. Returns its size.
///
/// # Safety
///
/// The context must be null or alive; `src` and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_compress2(
    cctx: *mut nzip_CCtx,
    dst: *mut c_void,
    dstCapacity: usize,
    src: *const c_void,
    srcSize: usize,
) -> usize {
    // SAFETY: what the caller answers for; the two do not overlap.
    unsafe {
        call(cctx, |state| {
            apart(src, srcSize, dst, dstCapacity)?;
            let (raw, out) = (bytes("src", src, srcSize)?, room(dst, dstCapacity)?);
            if state.stream.is_some() {
                return Err(Failure::bad_argument("a stream has been begun"));
            }
            Ok(state.compressor()?.compress_to(raw, out)?)
        })
    }
}

/// Takes bytes of the input and puts bytes of a stream out, until one of them is used up; then, once all has
/// been taken, does what an nzip_EndDirective says. Returns 0 when that is done and all is put out. Otherwise
/// the output is full: the same call is to be made again with room for at least as many bytes as it returns,
/// or less, more often. After nzip_e_end the next call begins another stream. After an error, only
/// nzip_CCtx_reset or nzip_freeCCtx goes on.
///
/// # Safety
///
/// All must be null or alive, and buffers must describe memory that is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_compressStream(
    cctx: *mut nzip_CCtx,
    output: *mut nzip_outBuffer,
    input: *mut nzip_inBuffer,
    endOp: c_int,
) -> usize {
    let then = match endOp {
        op if op == nzip_EndDirective::nzip_e_continue as c_int => Ok(Then::Continue),
        op if op == nzip_EndDirective::nzip_e_flush as c_int => Ok(Then::Flush),
        op if op == nzip_EndDirective::nzip_e_end as c_int => Ok(Then::Finish),
        op => Err(op),
    };
    // SAFETY: what the caller answers for.
    unsafe {
        call(cctx, |state| {
            let then = then.map_err(|op| Failure::bad_argument(format!("endOp: {op} is none")))?;
            let (out, input) = buffers(output, input)?;
            let mut stream = match state.stream.take() {
                Some(stream) => stream,
                None => state.compressor()?.stream(),
            };
            let step = stream.step(input.rest, out.rest, then);
            let waiting = stream.waiting();
            state.stream = Some(stream);
            let step = step?;
            *input.pos += step.read;
            *out.pos += step.written;
            if step.done && then == Then::Finish {
                state.stream = None;
            }
            Ok(if step.done { 0 } else { waiting.max(1) })
        })
    }
}

/// The name of a codec of this library; null where `number` is not below their count.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_codecName(number: usize) -> *const c_char {
    guard_or(std::ptr::null(), || {
        Ok(Codec::AVAILABLE.get(number).map_or(std::ptr::null(), |c| codec_name(*c)))
    })
}

/// The name of a codec as a text of C.
pub fn codec_name(codec: Codec) -> *const c_char {
    use std::ffi::CString;
    use std::sync::LazyLock;
    static NAMES: LazyLock<Vec<(Codec, CString)>> = LazyLock::new(|| {
        let name = |c: &Codec| (*c, CString::new(c.name()).unwrap_or_default());
        Codec::AVAILABLE.iter().map(name).collect()
    });
    NAMES.iter().find(|n| n.0 == codec).map_or(c"?".as_ptr(), |n| n.1.as_ptr())
}

const _: () = assert!(NZIP_DEFAULT_LEVEL == Options::DEFAULT_LEVEL as c_int);
