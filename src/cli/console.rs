//! What is said to the person at the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

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

    /// What is wrong with a file.
    pub fn error(self, name: impl Display, e: &anyhow::Error) {
        if self.quiet < 2 {
            self.say(&format!("nzip: {name}: {e:#}"));
        }
    }

    /// What is not as wanted, though nothing is wrong with the result.
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

    /// What only those want to know who ask for it.
    pub fn detail(self, text: &str) {
        if self.quiet == 0 && self.verbose > 0 {
            self.say(text);
        }
    }

    fn say(self, text: &str) {
        // There is nobody left to tell that standard error is gone.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A bar on a terminal, and nothing anywhere else.
    pub fn progress(self, name: &str, len: Option<u64>) -> ProgressBar {
        if self.quiet > 0 || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match len {
            Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            None => "{prefix} {spinner} {bytes} {binary_bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

/// Counts what is read from `R`, on the bar too.
pub struct Counted<R> {
    /// Where the bytes come from.
    pub inner: R,
    /// How many there were.
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
