//! Arguments that several verbs share: the resources that they may use.

use crate::console::Console;
use crate::failure::usage;
use crate::files::first_bytes;
use crate::gather::gather;
use crate::identity::Identity;
use crate::progress::coded;
use crate::quantity::Size;
use crate::{device, names};
use anyhow::Context;
use clap::{Args, ValueHint};
use nzip::tensor::Layout;
use nzip::{Bases, DecodeOptions, Device, Models};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The memory, in bytes, that a cap must have for each thread: the allocator keeps some of what a thread has freed.
const THREAD: u64 = 4 << 20;

/// Threads, memory, models, bases and the device.
#[derive(Debug, Args)]
pub struct Resources {
    /// Threads; 0 is one per core [default: 0]
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(env = "NZIP_THREADS", hide_env = true, value_hint = ValueHint::Other)]
    pub threads: usize,
    /// Most memory to use [default: 1G]
    #[arg(short = 'M', long, value_name = "SIZE", value_parser = memory, value_hint = ValueHint::Other)]
    pub memory: Option<Size>,
    /// File of tensors (or .nz file of one): tensors of the same names are, or were, coded against them
    ///
    /// auto takes the nearest file of --base-from, and says which; to decompress, all of them.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub base: Vec<PathBuf>,
    /// Folder with the files among which --base auto chooses
    #[arg(long, value_name = "FOLDER", hide_short_help = true, requires = "base", value_hint = ValueHint::DirPath)]
    pub base_from: Vec<PathBuf>,
    /// Name, hash or file of a model, to compress or to decompress with
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::AnyPath)]
    pub model: Option<String>,
    /// Where models run: cpu, gpu, auto, list, or a GPU's name [default: cpu]
    ///
    /// list shows the devices. A part of a GPU's name is enough. auto is a GPU if there is a hardware one, and the CPU otherwise.
    #[arg(long, value_name = "NAME", env = "NZIP_DEVICE", hide_env = true, value_hint = ValueHint::Other)]
    pub device: Option<String>,
}

/// The models and bases that the options name, in memory.
#[derive(Clone)]
pub struct Loaded {
    /// The models that may be used.
    pub models: Models,
    /// The hash of `--model`.
    pub model: Option<[u8; 32]>,
    /// The tensors of `--base`.
    pub bases: Bases,
}

/// The bytes that tell what a file is.
const START: u64 = 16;
/// With less memory, no block can be coded.
const LEAST_MEMORY: u64 = 1 << 20;

fn memory(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if size.0 < LEAST_MEMORY {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        return Err(format!("{} bytes are too few, 1M is the least; did you mean {digits}M?", size.0));
    }
    Ok(size)
}

/// Whether the nearest of several files is to be found.
fn is_auto(path: &Path) -> bool {
    path.as_os_str() == "auto"
}

/// Whether a file may hold tensors, plain or compressed.
fn holds_tensors(path: &Path) -> bool {
    first_bytes(path, START).is_ok_and(|start| nzip::is_nz(&start) || Layout::is_likely(&start))
}

impl Resources {
    /// The device of `--device`, or the CPU and a warning.
    pub fn device(&self, console: Console) -> Device {
        device::choose(self.device.as_deref(), console)
    }

    /// Starts the threads that all files share.
    fn start_threads(&self) -> anyhow::Result<()> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let wanted = if self.threads > 0 { self.threads } else { cores() };
        let fitting = self.memory.map_or(usize::MAX, |m| (m.0 / THREAD).try_into().unwrap_or(usize::MAX));
        // The library limits the pools of its own, but not this one.
        let threads = wanted.min(fitting.max(1)).min(nzip::most_threads());
        // Otherwise rayon starts its pool itself, as its environment variable says.
        let chosen = self.threads > 0 || threads < wanted;
        if chosen && !STARTED.swap(true, Ordering::Relaxed) {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
            pool.with_context(|| format!("{threads} threads"))?;
        }
        Ok(())
    }

    /// Loads what `--model` and `--base` name.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        self.start_threads()?;
        let (mut models, mut bases) = (Models::new(), Bases::new());
        if let Some(memory) = self.memory {
            (models, bases) = (models.capped(memory.0), bases.capped(memory.0));
        }
        let model = self.model.as_ref().map(|name| names::resolve(&mut models, name)).transpose()?;
        for path in self.base.iter().filter(|path| !is_auto(path)) {
            bases.add_file(path).with_context(|| format!("--base {}", path.display()))?;
        }
        Ok(Loaded { models, model, bases })
    }

    /// The files among which `--base auto` chooses; empty without it.
    pub fn candidates(&self) -> anyhow::Result<Vec<PathBuf>> {
        let auto = self.base.iter().any(|path| is_auto(path));
        if !auto && self.base_from.is_empty() {
            return Ok(Vec::new());
        }
        if auto == self.base_from.is_empty() {
            return Err(usage("--base auto and --base-from FOLDER go together"));
        }
        Ok(gather(&self.base_from, |_| false)?
            .into_iter()
            .map(|f| f.path)
            .filter(|path| holds_tensors(path))
            .collect())
    }

    /// The files that `--model` and `--base` name.
    pub fn files(&self) -> Vec<Identity> {
        let model = self.model.iter().map(Path::new);
        self.base.iter().map(PathBuf::as_path).chain(model).filter_map(Identity::of).collect()
    }

    /// The library's options for decompressing.
    pub fn decode_options(&self) -> anyhow::Result<DecodeOptions> {
        let mut loaded = self.load()?;
        for path in self.candidates()? {
            // Other files may lie there, too.
            let _ = loaded.bases.add_file(path);
        }
        Ok(self.decode_with(loaded))
    }

    /// The library's resources, with the models and bases that have been loaded.
    pub fn shared(&self, loaded: Loaded) -> nzip::Resources {
        // The threads for all files have been started; see `start_threads`.
        let shared = nzip::Resources::new().models(loaded.models).bases(loaded.bases);
        let shared = shared.progress(coded().clone());
        self.memory.map_or(shared.clone(), |m| shared.memory(m.0))
    }

    /// The library's options for decompressing, with what has been loaded.
    pub fn decode_with(&self, loaded: Loaded) -> DecodeOptions {
        DecodeOptions::new().resources(self.shared(loaded))
    }
}
