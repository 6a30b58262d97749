//! Messages to the person at the terminal: reports, warnings, questions.

use crate::escape::{escaped, escaped_lines};
use crate::failure::describe;
use crate::progress::{Meter, coded};
use crate::quantity::human;
use crate::startup;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

/// How much to report on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    quiet: u8,
    verbose: u8,
}

impl Console {
    /// From the number of `-q` and `-v`.
    pub fn new(quiet: u8, verbose: u8) -> Self {
        Self { quiet, verbose }
    }

    /// Reports an error with a file.
    pub fn error(self, name: impl Display, e: &anyhow::Error) {
        if self.quiet < 2 {
            self.say(&format!("nzip: {name}: {}", describe(e)));
        }
    }

    /// Reports something unwanted that does not make the result wrong.
    pub fn warning(self, text: &str) {
        if self.quiet == 0 {
            self.say(&format!("nzip: warning: {text}"));
        }
    }

    /// Reports the summary of a file: to a terminal, or with `-v`.
    pub fn summary(self, text: &str) {
        if self.quiet == 0 && (self.verbose > 0 || io::stderr().is_terminal()) {
            self.say(text);
        }
    }

    /// Reports a detail, with `-v` only.
    pub fn detail(self, text: &str) {
        if self.quiet == 0 && self.verbose > 0 {
            self.say(text);
        }
    }

    /// Whether even more than a summary is wanted: `-vv`.
    pub fn is_talkative(self) -> bool {
        self.quiet == 0 && self.verbose > 1
    }

    fn say(self, text: &str) {
        // If standard error is gone, there is no way to report that.
        let _ = writeln!(io::stderr(), "{}", escaped_lines(text));
    }

    /// A line of progress on a terminal; nothing anywhere else. `total` is the number of raw bytes, if it is
    /// known.
    pub fn progress(self, name: &str, total: Option<u64>) -> Meter {
        if self.is_watched() { Meter::start(name, total) } else { Meter::hidden() }
    }

    /// Whether somebody may be watching.
    pub fn is_watched(self) -> bool {
        self.quiet == 0 && io::stderr().is_terminal()
    }
}

/// Measures how fast a file is coded.
pub struct Stopwatch {
    start: Instant,
    tokens: u64,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), tokens: coded().tokens() }
    }

    /// The raw bytes per second and, if a language model was at work, the tokens per second.
    pub fn speed(&self, raw: u64) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let bytes = format!("{}/s", human((raw as f64 / seconds) as u64));
        match coded().tokens() - self.tokens {
            0 => bytes,
            tokens => format!("{bytes}, {:.0} tokens/s", tokens as f64 / seconds),
        }
    }
}

/// Asks whether to overwrite a file. Where standard input or standard error is not a terminal, nobody is
/// asked, and the answer is no.
pub fn may_overwrite(path: &Path) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let asked = write!(
        io::stderr(),
        "nzip: {} exists already; overwrite it? [y/N] ",
        escaped(&path.display().to_string())
    );
    let mut answer = String::new();
    asked.is_ok() && io::stdin().read_line(&mut answer).is_ok() && answer.trim_start().starts_with(['y', 'Y'])
}

/// Writes a report to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    startup::needs_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
