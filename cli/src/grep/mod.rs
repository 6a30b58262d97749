//! `nzip grep`.

mod words;

use crate::console::Console;
use crate::content::Content;
use crate::files::{each, is_dash, label};
use crate::output::Output;
use crate::resources::Resources;
use clap::{Args, ValueHint};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use nzip::{DecodeOptions, Decoder};
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The raw bytes that are decoded together: whole blocks of the usual sizes.
const PIECE: u64 = 64 << 20;

/// Search .nz files for lines that match a regular expression
///
/// Blocks are decoded in parallel. In files made with --searchable, whole words (-w, or a literal pattern with a word between
/// other characters than letters) are looked for only in blocks that may hold them, without -i, -n and -v. Each line is printed behind the offset of its first byte in the raw bytes; "nzip --range"
/// reads on from there. Exit codes: 0 a line matches, 1 none does or a file failed, 2 the command line makes no sense.
#[derive(Debug, Args)]
pub struct GrepArguments {
    /// Regular expression (syntax of Rust's crate regex)
    pattern: String,
    /// .nz files, URLs or manifests; - is standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Upper and lower case are the same
    #[arg(short, long)]
    ignore_case: bool,
    /// The pattern is text, not a regular expression
    #[arg(short = 'F', long)]
    fixed_strings: bool,
    /// Only whole words match
    #[arg(short, long)]
    word_regexp: bool,
    /// Lines that do not match
    #[arg(short = 'v', long)]
    invert_match: bool,
    /// Print line numbers, too (needs everything before the lines to be decoded)
    #[arg(short = 'n', long)]
    line_number: bool,
    /// Print lines without their offsets
    #[arg(long)]
    no_offset: bool,
    /// Print only the number of lines of each file
    #[arg(short, long, conflicts_with = "files_with_matches")]
    count: bool,
    /// Print only the names of files with such lines
    #[arg(short = 'l', long)]
    files_with_matches: bool,
    #[command(flatten)]
    resources: Resources,
}

impl GrepArguments {
    /// Prints the lines; false where there are none, or a file failed.
    pub fn run(self) -> anyhow::Result<bool> {
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(self.ignore_case)
            .fixed_strings(self.fixed_strings)
            .word(self.word_regexp)
            .line_terminator(Some(b'\n'))
            .build(&self.pattern)
            .map_err(|e| crate::failure::usage(e.to_string()))?;
        let options = self.resources.decode_options()?;
        let mut out = BufWriter::new(Output::stdout(false)?);
        let mut found = false;
        let good = each(&self.files, Console::new(0, 0), |file| {
            found |= self.search(&matcher, file, &options, &mut out)?;
            Ok(())
        })?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.finish(None, false)?;
        Ok(good && found)
    }

    /// Prints the lines of a file; false where there are none.
    fn search(
        &self,
        matcher: &RegexMatcher,
        file: &Path,
        options: &DecodeOptions,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let heap = usize::try_from(options.memory_cap() / 8).unwrap_or(usize::MAX);
        let mut searcher = SearcherBuilder::new()
            .line_number(self.line_number)
            .invert_match(self.invert_match)
            .binary_detection(BinaryDetection::none())
            .heap_limit(Some(heap))
            .build();
        let name = (self.files.len() > 1).then(|| label(file));
        let mut lines = Lines { arguments: self, name: name.as_deref(), base: 0, out: &mut *out, count: 0 };
        match input(file, options)? {
            Input::Pipe(reader) => searcher.search_reader(matcher, reader, &mut lines).map_err(failure)?,
            Input::Random(mut all) => {
                match self.word().map(|word| few(&mut all, word)).transpose()?.flatten() {
                    Some((word, blocks)) => {
                        let (mut done, len) = (0, all.len());
                        for block in blocks.into_iter().filter(|b| !b.is_empty()) {
                            let mut left = (heap as u64).saturating_add(block.end - block.start);
                            let read = &mut |range: Range<u64>| {
                                left = left.checked_sub(range.end - range.start).ok_or_else(|| {
                                    let message = format!("a line of more than {heap} bytes");
                                    nzip::Error::new(nzip::ErrorKind::LimitExceeded, message)
                                })?;
                                all.read_range(range)
                            };
                            let (start, text) = words::lines(block, word, done, len, read)?;
                            (done, lines.base) = (start + text.len() as u64, start);
                            searcher.search_slice(matcher, &text, &mut lines).map_err(failure)?;
                            if self.files_with_matches && lines.count > 0 {
                                break;
                            }
                        }
                    }
                    None => {
                        let piece = PIECE.min((options.memory_cap() / 8).max(1));
                        let pieces = Pieces { all, piece, at: 0, decoded: Vec::new(), read: 0 };
                        searcher.search_reader(matcher, pieces, &mut lines).map_err(failure)?;
                    }
                }
            }
        }
        let count = lines.count;
        if self.count {
            let prefix = name.map_or(String::new(), |name| name + ":");
            writeln!(out, "{prefix}{count}")?;
        } else if self.files_with_matches && count > 0 {
            writeln!(out, "{}", label(file))?;
        }
        Ok(count > 0)
    }
}

impl GrepArguments {
    /// A word that every line holds, if there is one.
    fn word(&self) -> Option<&str> {
        let plain = !self.ignore_case && !self.invert_match && !self.line_number;
        let literal = self.fixed_strings || words::is_literal(&self.pattern);
        if plain && literal { words::needed(&self.pattern, self.word_regexp) } else { None }
    }
}

/// The library's own error where a reader has wrapped it.
fn failure(e: io::Error) -> anyhow::Error {
    let broken = e.kind() == io::ErrorKind::BrokenPipe;
    if broken { e.into() } else { nzip::Error::from(e).into() }
}

/// The raw bytes of a file.
enum Input {
    Pipe(Box<dyn Read>),
    Random(Content),
}

fn input(file: &Path, options: &DecodeOptions) -> anyhow::Result<Input> {
    if is_dash(file) {
        let input = crate::input::Input::open(file, true)?;
        return Ok(Input::Pipe(Box::new(Decoder::with_options(input.reader, options.clone())?)));
    }
    Ok(Input::Random(Content::open(file, options)?))
}

/// A word, and the blocks that may hold it.
type Hits<'w> = (&'w str, Vec<Range<u64>>);

/// The blocks that may hold a word, where they are few: otherwise all is better decoded together.
fn few<'w>(all: &mut Content, word: &'w str) -> nzip::Result<Option<Hits<'w>>> {
    let blocks = all.ranges_with(word)?;
    let sum: u64 = blocks.iter().map(|b| b.end - b.start).sum();
    Ok((sum <= all.len() / 4).then_some((word, blocks)))
}

/// A reader that decodes many blocks at a time, in parallel.
struct Pieces {
    all: Content,
    piece: u64,
    /// The offset of what is decoded next.
    at: u64,
    decoded: Vec<u8>,
    /// How many of the decoded bytes have been read.
    read: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.decoded.len() && self.at < self.all.len() {
            self.decoded = Vec::new();
            let end = (self.at + self.piece).min(self.all.len());
            self.decoded = self.all.read_range(self.at..end)?;
            (self.at, self.read) = (end, 0);
        }
        let n = out.len().min(self.decoded.len() - self.read);
        out[..n].copy_from_slice(&self.decoded[self.read..self.read + n]);
        self.read += n;
        Ok(n)
    }
}

/// Prints or counts lines.
struct Lines<'a, W> {
    arguments: &'a GrepArguments,
    name: Option<&'a str>,
    /// The offset of what is searched.
    base: u64,
    out: &'a mut W,
    count: u64,
}

impl<W: Write> Sink for Lines<'_, W> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, line: &SinkMatch<'_>) -> io::Result<bool> {
        self.count += 1;
        let arguments = self.arguments;
        if arguments.count || arguments.files_with_matches {
            return Ok(arguments.count);
        }
        if let Some(name) = self.name {
            write!(self.out, "{name}:")?;
        }
        if let Some(number) = line.line_number() {
            write!(self.out, "{number}:")?;
        }
        if !arguments.no_offset {
            write!(self.out, "{}:", self.base + line.absolute_byte_offset())?;
        }
        self.out.write_all(line.bytes())?;
        if !line.bytes().ends_with(b"\n") {
            self.out.write_all(b"\n")?;
        }
        Ok(true)
    }
}
