//! A mount as the kernel sees it.

use super::files::Files;
use super::tree::{Kind, Node, ROOT};
use crate::console::Console;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    ReplyOpen, Request, Session, SessionACL,
};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the kernel may keep what it knows: nothing changes.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The threads that answer what needs no decoding.
const QUICK: usize = 2;
/// The bytes that the kernel reads ahead, if it allows as much.
const READ_AHEAD: u32 = 1 << 20;
/// The most messages that are kept in order not to be repeated.
const MOST_MESSAGES: usize = 1000;

/// The files, and the threads that decode.
struct Mounted {
    files: Arc<Files>,
    jobs: Sender<Job>,
}

/// A part of a file that the kernel waits for.
struct Job {
    number: u64,
    range: Range<u64>,
    reply: ReplyData,
}

/// Messages, each of which is printed once: the kernel asks for every page of a damaged block.
struct Messages {
    console: Console,
    said: Mutex<HashSet<String>>,
}

/// Mounts the files at a folder, with so many threads that decode.
///
/// # Errors
///
/// Those of the system.
pub fn mount(
    files: Files,
    folder: &Path,
    threads: usize,
    everybody: bool,
    console: Console,
) -> io::Result<Session<impl Filesystem>> {
    let (jobs, waiting) = channel();
    let files = Arc::new(files);
    let waiting = Arc::new(Mutex::new(waiting));
    let messages = Arc::new(Messages { console, said: Mutex::default() });
    for _ in 0..threads {
        let (files, waiting, messages) = (files.clone(), waiting.clone(), messages.clone());
        thread::Builder::new().name("decode".into()).spawn(move || work(&files, &waiting, &messages))?;
    }
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::DefaultPermissions,
        MountOption::FSName("nzip".into()),
        MountOption::Subtype("nzip".into()),
    ];
    config.acl = if everybody { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(QUICK);
    Session::new(Mounted { files, jobs }, folder, &config)
}

/// Answers jobs as long as there are any.
fn work(files: &Files, waiting: &Mutex<Receiver<Job>>, messages: &Messages) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { number, range, reply }) = next else { return };
        match files.read(number, range) {
            Ok(bytes) => reply.data(&bytes),
            Err(e) => {
                messages.say(files, number, &e);
                reply.error(Errno::EIO);
            }
        }
    }
}

impl Messages {
    fn say(&self, files: &Files, number: u64, e: &anyhow::Error) {
        let name = files.source(number).map(super::sources::Source::label).unwrap_or_default();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MOST_MESSAGES {
            said.clear();
        }
        if said.insert(format!("{name}: {e:#}")) {
            self.console.error(name, e);
        }
    }
}

/// The attributes that `stat` gives, from the tree alone.
fn attributes(number: u64, node: &Node) -> FileAttr {
    let owner = node.owner;
    let (kind, size, nlink) = match &node.kind {
        Kind::Folder(_) => (FileType::Directory, 0, 2),
        Kind::File(body) => (FileType::RegularFile, body.len(), 1),
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: owner.modified,
        mtime: owner.modified,
        ctime: owner.modified,
        crtime: owner.modified,
        kind,
        perm: owner.mode,
        nlink,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        blksize: 256 << 10,
        flags: 0,
    }
}

impl Filesystem for Mounted {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if let Err(most) = config.set_max_readahead(READ_AHEAD) {
            // It never refuses what it offers.
            let _ = config.set_max_readahead(most);
        }
        // Older kernels do without.
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let tree = &self.files.tree;
        let found = tree.find(parent.0, name).and_then(|number| Some((number, tree.get(number)?)));
        match found {
            Some((number, node)) => reply.entry(&KEPT, &attributes(number, node), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.files.tree.get(ino.0) {
            Some(node) => reply.attr(&KEPT, &attributes(ino.0, node)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let tree = &self.files.tree;
        let Some(entries) = tree.entries(ino.0) else { return reply.error(Errno::ENOTDIR) };
        let parent = tree.get(ino.0).map_or(ROOT, |node| node.parent);
        let links = [(ino.0, OsStr::new(".")), (parent, OsStr::new(".."))];
        let all = links.into_iter().chain(entries.iter().map(|(name, number)| (*number, name.as_os_str())));
        for (at, (number, name)) in all.enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let is_folder = tree.entries(number).is_some();
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.files.source(ino.0) {
            Some(source) if source.is_broken() => reply.error(Errno::EIO),
            Some(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let range = offset..offset.saturating_add(size.into());
        if let Some(bytes) = self.files.at_hand(ino.0, range.clone()) {
            return reply.data(&bytes);
        }
        // Where nobody decodes any more, the reply is an error by being dropped.
        let _ = self.jobs.send(Job { number: ino.0, range, reply });
    }
}
