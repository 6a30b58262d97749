//! `nzip FILE`.

use crate::blocks::Blocks;
use crate::console::{Console, Stopwatch};
use crate::failure::usage;
use crate::files::{first_difference, label, open_file, pump};
use crate::identity::{Identity, Source};
use crate::input::Input;
use crate::level::{self, Level};
use crate::list;
use crate::output::Output;
use crate::place::{self, Place};
use crate::progress::coded;
use crate::quantity::{Size, bits_per_byte, ratio};
use crate::resources::{Loaded, Resources};
use crate::target::Target;
use anyhow::{Context, bail};
use clap::{Args, ValueHint};
use nzip::family::nearest;
use nzip::tensor::{Dtype, Layout};
use nzip::{Bases, CodecChoice, DecodeOptions, Decoder, Encoder, ErrorKind, Options};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// How to compress.
#[derive(Debug, Args)]
pub struct Compression {
    #[command(flatten)]
    pub level: Level,
    /// Use only this codec [default: auto]
    #[arg(long, value_name = "NAME", value_parser = level::codec_choice())]
    pub codec: Option<CodecChoice>,
    #[command(flatten)]
    pub blocks: Blocks,
    /// Payload bytes of a window, for codecs that have windows
    #[arg(long, value_name = "SIZE", value_hint = ValueHint::Other, hide_short_help = true)]
    pub window: Option<Size>,
    /// Imported language models: windows decode alone, for ranges; larger files
    #[arg(long, hide_short_help = true)]
    pub unchained: bool,
    /// Leave packed content (gzip, PNG, JPEG, ZIP, PDF) as it is
    ///
    /// Otherwise deflate streams and JPEG pictures are undone at levels from 5 on, and their contents are compressed
    /// instead.
    #[arg(long, hide_short_help = true)]
    pub no_undo: bool,
    /// Decode each result on the CPU and compare it with its source
    #[arg(long, conflicts_with_all = ["decompress", "test", "list", "range", "stdout"])]
    pub verify: bool,
    /// Put the model into the file, so that it can be decoded anywhere
    ///
    /// Without --codec the model is left out, and not used, where the file would not become smaller with it.
    #[arg(long, hide_short_help = true)]
    pub embed_model: bool,
    /// The file holds one tensor of this type (f32, bf16, i8, ...)
    #[arg(long, value_name = "TYPE", value_parser = dtype, requires = "shape", hide_short_help = true, value_hint = ValueHint::Other)]
    pub dtype: Option<Dtype>,
    /// The tensor's dimensions, such as 1000x256
    #[arg(long, value_name = "N[xN]...", requires = "dtype", hide_short_help = true, value_hint = ValueHint::Other)]
    pub shape: Option<String>,
    /// Bytes before the tensor
    #[arg(long, value_name = "SIZE", requires = "dtype", value_hint = ValueHint::Other, hide_short_help = true)]
    pub skip: Option<Size>,
}

fn dtype(name: &str) -> Result<Dtype, String> {
    Dtype::from_name(name)
        .ok_or_else(|| "a type of safetensors expected: f32, f16, bf16, f64, i8, u8, i32 ...".into())
}

fn shape(text: &str) -> anyhow::Result<Vec<u64>> {
    let dims = text.split(['x', ',']).map(|d| d.trim().parse());
    dims.collect::<Result<_, _>>()
        .map_err(|_| usage(format!("--shape {text}: whole numbers expected, as in 1000x256")))
}

impl Compression {
    /// The options for the library.
    pub fn options(&self, resources: &Resources, loaded: Loaded) -> anyhow::Result<Options> {
        let model = loaded.model;
        let mut options = Options::new().resources(resources.shared(loaded)).embed_model(self.embed_model);
        options = options.chained(!self.unchained).undo(!self.no_undo);
        if let Some(model) = model {
            options = options.model(model);
        }
        if let (Some(dtype), Some(text)) = (self.dtype, &self.shape) {
            options = options.tensor(dtype, &shape(text)?, self.skip.map_or(0, |s| s.0));
        }
        if let Some(level) = self.level.chosen()? {
            options = options.level(level);
        }
        if let Some(codec) = self.codec {
            options = options.codec(codec);
        }
        if let Some(window) = self.window {
            options = options.window(usize::try_from(window.0).map_err(|_| usage("--window is too large"))?);
        }
        if let Some(memory) = resources.memory {
            options = options.decode_memory(memory.0);
        }
        self.blocks.apply(options)
    }
}

/// Checks before any file is touched whether the options make sense.
pub fn check(options: &Options) -> anyhow::Result<()> {
    match Encoder::with_options(io::sink(), options.clone()) {
        Err(e) if e.kind() == ErrorKind::BadArgument => Err(usage(e.to_string())),
        other => Ok(other.map(drop)?),
    }
}

/// How files are compressed.
pub struct Compressor<'a> {
    /// The options for the library.
    pub options: Options,
    /// How compressed files are read: candidates, and results that are to be verified.
    pub decoding: DecodeOptions,
    /// Whether results are verified before they get their names.
    pub verify: bool,
    /// The bases that are named, and the files among which the nearest is sought for each file in addition.
    pub bases: Bases,
    pub candidates: Vec<PathBuf>,
    /// The codec that was asked for.
    pub codec: Option<CodecChoice>,
    /// Whether the options describe the content (`--dtype`).
    pub described: bool,
    /// Where results go.
    pub target: &'a Target,
    /// Where reports go.
    pub console: Console,
}

impl Compressor<'_> {
    /// Compresses one file.
    pub fn run(&self, source: &Path) -> anyhow::Result<()> {
        let Self { target, console, .. } = *self;
        let watch = Stopwatch::start();
        if place::url(source).is_some() {
            bail!("only compressed files are read from URLs (-d, -t, -l, --range)");
        }
        let mut input = Input::open(source, target.follows())?;
        let found = input.source.as_ref();
        let output = target.open(source, found, true, || target.packed_name(source))?;
        if self.verify && (found.is_none() || output.reopen().is_none()) {
            bail!("--verify reads source and result a second time: both must be files");
        }
        let len = found.map(|s| s.metadata().len());
        let (meter, refused) = (console.progress(&label(source), len), coded().raw_refused());
        let whole = whole(found, self.described)?;
        let nearest = whole.map(|file| self.nearest(source, file)).transpose()?.flatten();
        let options =
            nearest.as_ref().map_or(self.options.clone(), |b| self.options.clone().bases(b.clone()));
        let mut encoder = Encoder::with_options(Tally { inner: output, bytes: 0 }, options)?;
        if let Some(file) = whole.filter(|_| !self.described) {
            tell_unknown(source, file, console);
        }
        let (raw, tally) = match whole {
            Some(file) => (file.metadata()?.len(), encoder.finish_file(file)?),
            None => (pump(&mut input.reader, &mut encoder).map_err(nzip::Error::from)?, encoder.finish()?),
        };
        let Tally { inner: mut output, bytes: stored } = tally;
        drop(input.reader);
        drop(meter);
        if let Some(found) = found.filter(|_| self.verify) {
            let _meter = console.progress(&format!("verifying {}", label(source)), len);
            let options = nearest.map_or(self.decoding.clone(), |bases| self.decoding.clone().bases(bases));
            verify(&mut output, found.file(), &options).context("nothing was written: --verify")?;
        }
        let what = match output.reopen().filter(|_| console.is_talkative()) {
            Some(file) => Some(list::describe(Place::Here(file?))?),
            None => None,
        };
        target.finish(output, source, found, console)?;
        self.tell_refused(source, coded().raw_refused() - refused);
        console.summary(&format!(
            "{}: {raw} -> {stored} bytes, ratio {:.3}, {:.3} bits per byte, {}",
            label(source),
            ratio(raw, stored),
            bits_per_byte(raw, stored),
            watch.speed(raw)
        ));
        what.iter().for_each(|text| console.detail(text));
        Ok(())
    }

    /// The bases that are named and the nearest candidate for a file of tensors; `None` where no candidate is near.
    fn nearest(&self, source: &Path, file: &File) -> anyhow::Result<Option<Bases>> {
        if self.candidates.is_empty() || Layout::read_file(file).is_err() {
            return Ok(None);
        }
        let own = Identity::of_open(source, file);
        let others: Vec<&PathBuf> = self.candidates.iter().filter(|path| Identity::of(path) != own).collect();
        let opened =
            others.iter().map(|path| open_file(path, true)).collect::<anyhow::Result<Vec<File>>>()?;
        let Some(found) = nearest(file, &opened.iter().collect::<Vec<_>>(), &self.decoding)? else {
            self.console.summary(&format!("{}: no file of --base-from is near", label(source)));
            return Ok(None);
        };
        let path = others[found.candidate];
        let mut bases = self.bases.clone();
        bases.add_file(path).with_context(|| format!("--base {}", label(path)))?;
        let (count, bits) = (found.tensors, found.bits);
        self.console.summary(&format!(
            "{}: base {}, {count} tensors are near, elements differ in {bits:.1} bits",
            label(source),
            label(path)
        ));
        Ok(Some(bases))
    }

    /// Warns if the codec that was asked for did not take all bytes.
    fn tell_refused(&self, source: &Path, bytes: u64) {
        if let (Some(CodecChoice::Only(codec)), 1..) = (self.codec, bytes) {
            self.console.warning(&format!(
                "{}: codec {} does not suit {bytes} bytes of it; zstd or store coded them",
                label(source),
                codec.name()
            ));
        }
    }
}

/// Decodes a result that has no name yet, and compares it with its source.
fn verify(output: &mut Output, mut source: &File, options: &DecodeOptions) -> anyhow::Result<()> {
    output.flush()?;
    source.rewind()?;
    let result = output.reopen().context("it cannot be read again")??;
    let decoder = Decoder::with_options(result, options.clone().verify_hash(true))?;
    match first_difference(decoder, source).map_err(nzip::Error::from)? {
        None => Ok(()),
        Some(at) => bail!("the result differs from its source at byte {at}, or the source has changed"),
    }
}

/// The file, if it must be seen as a whole: because it may hold tensors, or its content is described.
fn whole(source: Option<&Source>, described: bool) -> anyhow::Result<Option<&File>> {
    let Some(mut file) = source.filter(|s| s.metadata().len() > 0).map(Source::file) else { return Ok(None) };
    let mut start = Vec::new();
    file.take(16).read_to_end(&mut start)?;
    file.rewind()?;
    Ok((described || Layout::is_likely(&start)).then_some(file))
}

/// Reports tensors of types that this release does not know.
fn tell_unknown(source: &Path, file: &File, console: Console) {
    let Ok(layout) = Layout::read_file(file) else { return };
    let all = layout.tensors.len() + layout.unknown.len();
    if let Some(first) = layout.unknown.first() {
        console.detail(&format!(
            "{}: {} of {all} tensors, the first {:?}, are of unknown types (type {}): coded as bytes, without names",
            label(source),
            layout.unknown.len(),
            first.name,
            first.kind
        ));
    }
}

/// Counts the bytes written.
struct Tally<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
