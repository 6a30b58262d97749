//! An HTTP/1.1 server on a port of this machine: for one file under any path, or for several files.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A fault of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Answers with the whole file, whatever was asked for.
    IgnoresRanges,
    /// Gives the file a weak tag, which cannot be asked for.
    WeakTag,
    /// Sends the file as it is now, whatever version was asked for.
    IgnoresTag,
    /// Answers the first requests with 503.
    Busy(u64),
    /// Breaks the connection in the middle of the first answers.
    Cuts(u64),
    /// Sends more bytes than were asked for.
    TooMany,
    /// Says that it sends what was asked for, and sends less.
    TooFew,
    /// Sends another range than the one that was asked for.
    WrongRange,
    /// Never answers.
    Hangs,
    /// Sends a few bytes at a time.
    Steady,
}

struct State {
    content: Vec<u8>,
    /// Files by their paths; where there are none, all paths stand for the content.
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    requests: AtomicU64,
    sent: AtomicU64,
    changed: AtomicBool,
    target: Mutex<String>,
}

pub struct Server {
    port: u16,
    state: Arc<State>,
}

impl Server {
    pub fn start(content: Vec<u8>, fault: Fault) -> Self {
        Self::serving(content, BTreeMap::new(), fault)
    }

    /// Serves files under paths such as `/folder/a.nz`.
    pub fn of_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::serving(Vec::new(), files, Fault::None)
    }

    fn serving(content: Vec<u8>, files: BTreeMap<String, Vec<u8>>, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let (changed, target) = (AtomicBool::new(false), Mutex::new(String::new()));
        let state = Arc::new(State { content, files, fault, requests, sent, changed, target });
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || while serve(&connection, &state).is_some() {});
            }
        });
        Self { port, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// The number of requests so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The bytes of the file that were sent so far.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    pub fn content(&self) -> Vec<u8> {
        self.state.content.clone()
    }

    /// The target of the last request.
    pub fn last_target(&self) -> String {
        self.state.target.lock().unwrap().clone()
    }

    /// Puts another version of the file in the place of this one.
    pub fn change(&self) {
        self.state.changed.store(true, Ordering::SeqCst);
    }
}

/// The start and end of a range of bytes; the end is not part of it.
fn range(value: &str, len: usize) -> Option<(usize, usize)> {
    let (start, end) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
    match (start.parse::<usize>(), end.parse::<usize>()) {
        (Ok(start), Ok(end)) => Some((start, (end + 1).min(len))),
        (Ok(start), Err(_)) => Some((start, len)),
        (Err(_), Ok(suffix)) => Some((len.saturating_sub(suffix), len)),
        _ => None,
    }
}

/// Answers one request; `None` ends the connection.
fn serve(mut connection: &TcpStream, state: &State) -> Option<()> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let target = lines.next()?.split(' ').nth(1)?.to_string();
    let headers: Vec<(String, String)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':').map(|(k, v)| (k.to_lowercase(), v.trim().to_string())))
        .collect();
    let header = |name: &str| headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
    let number = state.requests.fetch_add(1, Ordering::SeqCst);
    state.target.lock().unwrap().clone_from(&target);
    let mut answer = |status: &str, headers: &str, body: &[u8]| {
        let len = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{headers}\r\n");
        connection.write_all(head.as_bytes()).ok()?;
        connection.write_all(body).ok()
    };
    let content = if state.files.is_empty() { Some(&state.content) } else { state.files.get(&target) };
    let Some(content) = content.filter(|_| target != "/missing") else {
        return answer("404 Not Found", "", b"");
    };
    let tag = match (state.fault, state.changed.load(Ordering::SeqCst)) {
        (Fault::WeakTag, changed) => format!("W/\"{}\"", u8::from(changed)),
        (_, changed) => format!("\"{}\"", u8::from(changed)),
    };
    if header("if-match").is_some_and(|wanted| wanted != tag) && state.fault != Fault::IgnoresTag {
        return answer("412 Precondition Failed", "", b"");
    }
    let len = content.len();
    let (start, end) = header("range").and_then(|value| range(value, len)).unwrap_or((0, len));
    let partial = |start: usize, end: usize| {
        format!("ETag: {tag}\r\nContent-Range: bytes {start}-{}/{len}\r\n", end - 1)
    };
    let body = &content[start..end];
    let sent = |n: usize| _ = state.sent.fetch_add(n as u64, Ordering::SeqCst);
    match state.fault {
        Fault::IgnoresRanges => answer("200 OK", &format!("ETag: {tag}\r\n"), content),
        Fault::Busy(n) if number < n => answer("503 Service Unavailable", "", b"busy"),
        Fault::Cuts(n) if number < n => {
            let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n", body.len());
            let head = format!("{head}{}\r\n", partial(start, end));
            connection.write_all(head.as_bytes()).ok()?;
            connection.write_all(&body[..body.len() / 2]).ok()?;
            None
        }
        Fault::TooMany => answer("206 Partial Content", &partial(start, end), &[body, b"more"].concat()),
        Fault::TooFew => answer("206 Partial Content", &partial(start, end), &body[..body.len() / 2]),
        Fault::WrongRange => answer("206 Partial Content", &partial(start / 2, end / 2), body),
        Fault::Hangs => {
            thread::sleep(Duration::from_secs(30));
            None
        }
        Fault::Steady => {
            let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n", body.len());
            let head = format!("{head}{}\r\n", partial(start, end));
            connection.write_all(head.as_bytes()).ok()?;
            for piece in body.chunks(body.len().div_ceil(8)) {
                thread::sleep(Duration::from_millis(100));
                connection.write_all(piece).ok()?;
            }
            Some(())
        }
        _ => {
            sent(body.len());
            answer("206 Partial Content", &partial(start, end), body)
        }
    }
}
