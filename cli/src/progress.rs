//! The line of progress on a terminal.

use crate::quantity::human;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nzip::Progress;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// How far the command has come with all of its files.
static PROGRESS: LazyLock<Progress> = LazyLock::new(Progress::new);

/// The current bar.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The handle that counts what the command codes, for the library's options.
pub fn coded() -> &'static Progress {
    &PROGRESS
}

/// Removes the line from the terminal, before something ends the command at once.
pub fn clear() {
    if let Some(bar) = BAR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// A line that shows how far the work on a file has come, and disappears when this value is dropped. It
/// counts raw bytes that have been coded, not those that have been read.
#[derive(Default)]
pub struct Meter {
    /// Ends the thread that draws when it is dropped.
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Meter {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self::default()
    }

    /// Shows progress if standard error is a terminal. `total` is the number of raw bytes, if it is known.
    pub fn start(name: &str, total: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        let (before, start, name) = (coded().raw_done(), Instant::now(), name.to_string());
        let (sender, receiver) = mpsc::channel();
        let draw = move || {
            while receiver.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let state = State { done: coded().raw_done() - before, total, time: start.elapsed() };
                bar.set_message(state.line(&name, width()));
                bar.tick();
            }
        };
        Self { drawing: Some((sender, thread::spawn(draw))) }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.drawing.take() {
            drop(sender);
            let _ = thread.join();
            clear();
        }
    }
}

/// The number of columns of the terminal.
fn width() -> usize {
    console::Term::stderr().size_checked().map_or(80, |(_, columns)| columns.into())
}

/// How far the work on a file has come.
struct State {
    /// The raw bytes coded.
    done: u64,
    /// The raw bytes of the file.
    total: Option<u64>,
    time: Duration,
}

impl State {
    /// The text that fits into a line of `width` columns: first the share and the time left, then bytes and
    /// speed, then the name, and a bar.
    fn line(&self, name: &str, width: usize) -> String {
        let speed = self.done as f64 / self.time.as_secs_f64().max(1e-3);
        let speed = format!("{}/s", human(speed as u64));
        let Some(total) = self.total.filter(|t| *t > 0) else {
            let stats = format!("{}  {speed}", human(self.done));
            return longest(&[&format!("{name}  {stats}"), &stats, &human(self.done)], width);
        };
        let done = self.done.min(total);
        let share = done as f64 / total as f64;
        let percent = format!("{:>3} %", (share * 100.0) as u64);
        let short = match done {
            0 => percent.clone(),
            _ => format!("{percent}  {} left", clock(self.time.mul_f64((total - done) as f64 / done as f64))),
        };
        let stats = format!("{}/{}  {speed}  {short}", human(done), human(total));
        let named = format!("{name}  {stats}");
        let room = width.saturating_sub(named.chars().count() + 5);
        if room >= LEAST_BAR {
            let full = (share * room as f64) as usize;
            return format!("{name}  [{}{}]  {stats}", "#".repeat(full), " ".repeat(room - full));
        }
        longest(&[&named, &stats, &format!("{speed}  {short}"), &short, &percent], width)
    }
}

/// The shortest bar that is worth drawing.
const LEAST_BAR: usize = 10;

/// The first text, from long to short, that leaves the last column free; empty if none does.
fn longest(texts: &[&str], width: usize) -> String {
    let fits = texts.iter().find(|t| t.chars().count() < width);
    fits.map_or(String::new(), |t| (*t).to_string())
}

/// A time in readable form: `8 s`, `2:05 min`, `1:02:05 h`.
fn clock(time: Duration) -> String {
    let s = time.as_secs_f64().ceil().min(360_000.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02} h", s / 3600, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_at_any_width() {
        let state = State { done: 5 << 20, total: Some(39 << 20), time: Duration::from_secs(10) };
        for width in 0..200 {
            let line = state.line("a/long/name/of/a/file.txt", width);
            assert!(line.chars().count() < width.max(1), "{width}: {line}");
        }
        assert_eq!(state.line("a.txt", 33), "512 KiB/s   12 %  1:08 min left");
        assert_eq!(state.line("a.txt", 46), "5 MiB/39 MiB  512 KiB/s   12 %  1:08 min left");
        assert_eq!(state.line("a.txt", 10), " 12 %");
        let wide = state.line("a.txt", 80);
        assert!(wide.starts_with("a.txt  [##") && wide.ends_with("12 %  1:08 min left"), "{wide}");
        let open = State { total: None, ..state };
        assert_eq!(open.line("standard input", 60), "standard input  5 MiB  512 KiB/s");
    }

    #[test]
    fn times_are_for_people() {
        let clock = |s: f64| clock(Duration::from_secs_f64(s));
        assert_eq!([clock(7.2), clock(125.0), clock(3725.0)], ["8 s", "2:05 min", "1:02:05 h"]);
    }
}
