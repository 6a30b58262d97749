//! Messages to the person at the terminal: reports, warnings, progress.

use crate::escape::escaped_lines;
use crate::failure::describe;
use crate::quantity::human;
use crate::startup;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use nzip::Progress;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Read, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How far the command has come with all of its files.
static PROGRESS: LazyLock<Progress> = LazyLock::new(Progress::new);

/// The handle that counts what the command codes, for the options of the library.
pub fn coded() -> &'static Progress {
    &PROGRESS
}

/// How much to say on standard error.
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

    /// Reports something that is not as wanted, though nothing is wrong with the result.
    pub fn warning(self, text: &str) {
        if self.quiet == 0 {
            self.say(&format!("nzip: warning: {text}"));
        }
    }

    /// The summary of a file: for people who look on, or ask for it.
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

    fn say(self, text: &str) {
        // There is nobody left to tell that standard error is gone.
        let _ = writeln!(io::stderr(), "{}", escaped_lines(text));
    }

    /// A bar on a terminal, and nothing anywhere else.
    pub fn progress(self, name: &str, len: Option<u64>) -> ProgressBar {
        if self.quiet > 0 || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match len {
            Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {left}",
            None => "{prefix} {spinner} {bytes} {binary_bytes_per_sec} {left}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let before = (coded().raw_done(), coded().raw_taken(), coded().tokens());
        let style = style.with_key("left", move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = time_left(state, before, out);
        });
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

/// Writes the time left. A language model works long on bytes that were read at once, so it reports its own progress.
fn time_left(state: &ProgressState, before: (u64, u64, u64), out: &mut dyn fmt::Write) -> fmt::Result {
    let (done, given) = (coded().raw_done() - before.0, coded().raw_taken() - before.1);
    if done == 0 || coded().tokens() == before.2 {
        return write!(out, "{}", HumanDuration(state.eta()));
    }
    let left = state.elapsed().mul_f64(given.saturating_sub(done) as f64 / done as f64);
    write!(out, "llm {}/{} {}", human(done), human(given), HumanDuration(left))
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

    /// Raw bytes a second and, where a language model was at work, tokens a second.
    pub fn speed(&self, raw: u64) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let bytes = format!("{}/s", human((raw as f64 / seconds) as u64));
        match coded().tokens() - self.tokens {
            0 => bytes,
            tokens => format!("{bytes}, {:.0} tokens/s", tokens as f64 / seconds),
        }
    }
}

/// Counts the bytes read from `R`, on the bar too.
pub struct Counted<R> {
    /// The source of the bytes.
    pub inner: R,
    /// The number of bytes read so far.
    pub bytes: u64,
    /// Shows it.
    pub bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.bytes += n as u64;
        self.bar.set_position(self.bytes);
        Ok(n)
    }
}

impl<R> Drop for Counted<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a report to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    startup::needs_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
