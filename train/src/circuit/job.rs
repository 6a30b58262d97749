//! Learns a model file from a file of records.

use std::fs;
use std::path::{Path, PathBuf};

use nzip::Result;
use nzip::internal::codec::circuit::layout::{Arrangement, Layout, detect};
use nzip::internal::model::circuit::learn::Dataset;
use nzip::internal::model::circuit::{Model, Patch, Weights};

use super::run::{CircuitOptions, Event, learn};
use crate::error::{Place, bad_argument};

/// A job: the source of the records, the file for the model, and the settings of learning.
#[derive(Debug, Clone)]
pub struct CircuitJob {
    /// IDX, `.npy` of integers, raw records, or a PGM or PPM picture or a folder of such.
    pub data: PathBuf,
    /// The bytes of a raw record; IDX and `.npy` headers state it themselves.
    pub record: Option<usize>,
    /// The bytes before the first raw record.
    pub skip: usize,
    /// The columns and rows of the patches into which pictures are cut.
    pub patch: Option<(u8, u8)>,
    /// The model file.
    pub output: PathBuf,
    /// log2 of the steps per octave in the model file.
    pub log2_steps: u8,
    /// How the circuit is learned.
    pub options: CircuitOptions,
}

/// Records of one width, one after the other.
struct Records {
    bytes: Vec<u8>,
    width: usize,
    patch: Option<Patch>,
}

impl Records {
    fn read(job: &CircuitJob) -> Result<Self> {
        match job.patch {
            Some(size) => Self::of_pictures(&job.data, size),
            None => Self::of_file(job),
        }
    }

    fn of_file(job: &CircuitJob) -> Result<Self> {
        if job.data.is_dir() {
            return Err(bad_argument("a folder of pictures needs --patch"));
        }
        let file = read(&job.data)?;
        let found = match job.record {
            Some(width) => Some(Layout { start: job.skip, ..Layout::records(width) }),
            None => detect(&file, None),
        };
        let unknown = "neither IDX nor .npy of integers: --record gives the length of a record, --patch the size of patches of a picture";
        let layout = found.ok_or_else(|| bad_argument(unknown))?;
        if layout.width == 0 || layout.start >= file.len() {
            return Err(bad_argument("no whole record"));
        }
        let bytes = layout.gather(&file);
        let bytes = bytes.ok_or_else(|| bad_argument("the array holds numbers that do not fit a byte"))?;
        Ok(Self { bytes, width: layout.width, patch: None })
    }

    /// All whole patches of a picture, or of all pictures in a folder, which must have the same channels.
    fn of_pictures(path: &Path, size: (u8, u8)) -> Result<Self> {
        let (mut bytes, mut patch) = (Vec::new(), None);
        for path in pictures(path)? {
            let file = read(&path)?;
            let cut = |patch: Patch| {
                let few = (1..=usize::from(u16::MAX)).contains(&patch.variables());
                let found = detect(&file, Some(patch).filter(|_| few));
                found.filter(|l| matches!(l.arrangement, Arrangement::Patches { .. })).map(|l| (patch, l))
            };
            let found = match patch {
                None => [3, 1].into_iter().find_map(|channels| cut(new_patch(size, channels))),
                Some(patch) => cut(patch),
            };
            let (same, layout) = found.ok_or_else(|| {
                let name = path.display();
                bad_argument(format!(
                    "{name} is not a PGM or PPM picture like the others, or has an odd size"
                ))
            })?;
            patch = Some(same);
            bytes.extend(layout.gather(&file).unwrap_or_default());
        }
        let width = patch.as_ref().map_or(0, Patch::variables);
        Ok(Self { bytes, width, patch })
    }
}

fn new_patch((width, height): (u8, u8), channels: u8) -> Patch {
    Patch { width, height, channels, green: channels == 3 }
}

/// The file, or those files of a folder that are named like pictures, ordered by name.
fn pictures(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_picture = |p: &PathBuf| {
        p.extension().is_some_and(|e| ["pgm", "ppm", "pnm"].iter().any(|kind| e.eq_ignore_ascii_case(kind)))
    };
    let entries = fs::read_dir(path).at(path.display())?;
    let mut found = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>().at(path.display())?;
    found.retain(is_picture);
    found.sort();
    if found.is_empty() {
        return Err(bad_argument(format!("{} has no .pgm, .ppm or .pnm files", path.display())));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).at(path.display())
}

/// Learns a circuit and writes the model file after every pass. `report` is called after each step of the
/// work.
///
/// # Errors
///
/// [`nzip::ErrorKind::BadArgument`] for options that make no sense or data that holds no records,
/// [`nzip::ErrorKind::Corrupt`] for a damaged checkpoint, and those of reading and writing files.
pub fn train(job: &CircuitJob, report: &mut dyn FnMut(Event)) -> Result<()> {
    if job.log2_steps > 3 {
        return Err(bad_argument("an octave has at most 8 steps"));
    }
    if job.record.is_some() && job.patch.is_some() {
        return Err(bad_argument("--record and --patch are about different files"));
    }
    let Records { bytes, width, patch } = Records::read(job)?;
    let channels = patch.map_or(1, |p| p.channels.into());
    let data = Dataset::from_bytes(&bytes, width, channels, job.options.classes)?;
    drop(bytes);
    let export = |state: &super::checkpoint::State| {
        let mut weights = state.export(job.log2_steps);
        weights.patch = patch;
        weights.to_bytes()
    };
    let write = |file: &[u8]| fs::write(&job.output, file).at(job.output.display());
    let state = learn(&data, &job.options, |state| write(&export(state)), report)?;
    let file = export(&state);
    // The file must be readable before anything is coded with it.
    Model::new(&Weights::from_bytes(&file)?)?;
    report(Event::End { file_len: file.len() as u64 });
    write(&file)
}
