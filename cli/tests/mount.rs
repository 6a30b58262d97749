//! `nzip mount`: needs `/dev/fuse` and the right to mount, and says so where it is skipped; with NZIP_TEST_MOUNT=required it
//! fails there instead.

mod cli_support;

use cli_support::Folder;
use nzip::tensor::Dtype;
use nzip::{Encoder, Options};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A mount at the folder `m` of a test's folder.
struct Mount<'a> {
    folder: &'a Folder,
    child: Child,
}

impl<'a> Mount<'a> {
    /// Mounts; `None`, and a word about it, where this machine does not let it.
    fn start(folder: &'a Folder, arguments: &[&str]) -> Option<Self> {
        let at = folder.path("m");
        fs::create_dir_all(&at).unwrap();
        let device = at.metadata().unwrap().dev();
        let all = [&["mount"], arguments, &["m"]].concat();
        let messages = File::create(folder.path("stderr")).unwrap();
        let mut child = folder.command(&all).stdout(Stdio::null()).stderr(messages).spawn().unwrap();
        let start = Instant::now();
        while at.metadata().unwrap().dev() == device {
            if let Some(status) = child.try_wait().unwrap() {
                let said = String::from_utf8(folder.read("stderr")).unwrap();
                let refused = said.contains("cannot be mounted") || !Path::new("/dev/fuse").exists();
                assert!(refused, "{status}: {said}");
                assert!(std::env::var_os("NZIP_TEST_MOUNT").is_none(), "{said}");
                eprintln!("SKIPPED: this machine does not let us mount: {said}");
                return None;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "not mounted in time");
            thread::sleep(Duration::from_millis(5));
        }
        Some(Self { folder, child })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path("m").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn said(&self) -> String {
        String::from_utf8(self.folder.read("stderr")).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the command, and gives its exit code.
    fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait(), Some(0), "{}", self.said());
        assert!(fs::read_dir(self.folder.path("m")).unwrap().next().is_none(), "still mounted");
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn noise(len: usize, mut state: u64) -> Vec<u8> {
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// A file of blocks of 64 KiB, in which each line is another one.
fn blocks(folder: &Folder, name: &str, len: usize) -> Vec<u8> {
    let mut raw: Vec<u8> = (0..)
        .flat_map(|i: u32| format!("line {i} is {}\n", i.wrapping_mul(40503)).into_bytes())
        .take(len)
        .collect();
    raw.truncate(len);
    let options = Options::new().level(2).block_size(64 << 10);
    let mut encoder = Encoder::with_options(Vec::new(), options).unwrap();
    encoder.write_all(&raw).unwrap();
    folder.write(name, &encoder.finish().unwrap());
    raw
}

/// Safetensors with these tensors.
fn safetensors(tensors: &[(&str, &str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut at = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let start = at;
            at += bytes.len();
            format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{start},{at}]}}")
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    tensors.iter().for_each(|t| file.extend(&t.3));
    file
}

#[test]
fn an_archive_is_a_file_that_can_only_be_read() {
    let folder = Folder::new();
    let raw = blocks(&folder, "log.txt.nz", 700_001);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let packed = File::options().write(true).open(folder.path("log.txt.nz")).unwrap();
    packed.set_modified(modified).unwrap();
    packed.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
    let Some(mount) = Mount::start(&folder, &["log.txt.nz"]) else { return };
    assert_eq!(mount.names(""), ["log.txt"]);
    let metadata = mount.path("log.txt").metadata().unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o7777), (raw.len() as u64, 0o440));
    assert_eq!((metadata.modified().unwrap(), metadata.uid()), (modified, packed.metadata().unwrap().uid()));
    assert_eq!(folder.path("m").metadata().unwrap().mode() & 0o7777, 0o550);

    let file = File::open(mount.path("log.txt")).unwrap();
    for (at, len) in
        [(699_990, 100), (350_003, 70_000), (65_535, 2), (0, 1), (700_001, 5), (123_456, 300_000)]
    {
        let mut piece = vec![0; len];
        let n = (0..).try_fold(0, |n, _| match file.read_at(&mut piece[n..], (at + n) as u64).unwrap() {
            0 => Err(n),
            more => Ok(n + more),
        });
        let end = raw.len().min(at + len);
        assert_eq!(piece[..n.unwrap_err()], raw[at..end], "{len} bytes from {at} on");
    }
    assert_eq!(mount.read("log.txt"), raw);
    let refused = File::options().write(true).open(mount.path("log.txt")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(fs::remove_file(mount.path("log.txt")).is_err());
    assert_eq!(mount.said(), "");
    drop(file);
    mount.end();
}

#[test]
fn tensors_are_files() {
    let folder = Folder::new();
    // Exponents that resemble each other, so that the index names the tensors.
    let a: Vec<u8> = noise(4 * 300 * 100, 1).chunks(4).flat_map(|c| [c[0], c[1], c[2], 0x3f]).collect();
    let b = noise(2 * 1000, 2);
    let raw = safetensors(&[
        ("layer/0/w", "F32", "[300,100]", a.clone()),
        ("bias", "BF16", "[1000]", b.clone()),
        ("../../up", "U8", "[5000]", noise(5000, 3)),
        ("bias.npy/x", "F4", "[10000]", noise(5000, 4)),
        ("scalar", "I64", "[]", noise(8, 5)),
    ]);
    folder.write("model.safetensors", &raw);
    folder.ok(&["-1", "model.safetensors"]);
    fs::remove_file(folder.path("model.safetensors")).unwrap();
    let Some(mount) = Mount::start(&folder, &["model.safetensors.nz"]) else { return };
    assert_eq!(mount.names(""), ["model.safetensors", "model.safetensors.tensors"]);
    assert_eq!(mount.read("model.safetensors"), raw);
    let tensors = "model.safetensors.tensors";
    assert_eq!(mount.names(tensors), ["%2E%2E", "bias.npy", "bias.npy~2", "layer", "scalar.npy"]);
    let w = mount.read(&format!("{tensors}/layer/0/w.npy"));
    let header = nzip::tensor::npy::header_of(Dtype::F32, &[300, 100]).unwrap();
    assert_eq!(w, [header, a.clone()].concat());
    assert!(mount.read(&format!("{tensors}/bias.npy")).ends_with(&b));
    assert_eq!(mount.read(&format!("{tensors}/bias.npy~2/x.bin")), noise(5000, 4));
    assert_eq!(mount.names(&format!("{tensors}/%2E%2E/%2E%2E")), ["up.npy"]);
    assert_eq!(mount.read(&format!("{tensors}/scalar.npy"))[128..], noise(8, 5));
    programs(&mount, &raw);
    mount.end();
}

/// Unchanged programs: `dd`, Python's `mmap` and, where they are installed, numpy and safetensors.
fn programs(mount: &Mount<'_>, raw: &[u8]) {
    let input = format!("if={}", mount.path("model.safetensors").display());
    let dd = Command::new("dd")
        .args([&input, "bs=1", "skip=70001", "count=3000", "status=none"])
        .output()
        .unwrap();
    assert_eq!(dd.stdout, raw[70_001..73_001]);
    let python = |program: &str, script: &str| {
        let out = Command::new(program).args(["-c", script]).current_dir(mount.path("")).output();
        let out = out.map(|out| (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned()));
        out.unwrap_or_else(|e| (false, e.to_string()))
    };
    let (good, said) = python(
        "python3",
        "import mmap, hashlib\n\
        f = open('model.safetensors', 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)\n\
        assert m[-5:] == f.read()[-5:] and m[70001:73001] == (f.seek(70001), f.read(3000))[1]",
    );
    match good {
        true => {}
        false if said.contains("No such file") => eprintln!("SKIPPED: python3 is not installed"),
        false => panic!("{said}"),
    }
    // The environment of tools/test-python.sh.
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/test/bin/python");
    let program = if Path::new(installed).exists() { installed } else { "python3" };
    let (good, said) = python(
        program,
        "import numpy\nfrom safetensors import safe_open\n\
        with safe_open('model.safetensors', 'np') as f: w = f.get_tensor('layer/0/w')\n\
        n = numpy.load('model.safetensors.tensors/layer/0/w.npy', mmap_mode='r')\n\
        assert n.shape == w.shape == (300, 100) and n.tobytes() == w.tobytes()\n\
        assert numpy.load('model.safetensors.tensors/bias.npy').view('u2').shape == (1000,)",
    );
    match good {
        true => {}
        false if said.contains("ModuleNotFoundError") || said.contains("No such file") => {
            eprintln!("SKIPPED: numpy or safetensors is not installed");
        }
        false => panic!("{said}"),
    }
}

#[test]
fn a_short_file_is_searched_for_tensors() {
    let folder = Folder::new();
    let raw = safetensors(&[("a", "U8", "[500]", noise(500, 1))]);
    folder.write("s.safetensors.nz", &nzip::compress(&raw, 1).unwrap());
    let Some(mount) = Mount::start(&folder, &["s.safetensors.nz"]) else { return };
    assert_eq!(mount.read("s.safetensors.tensors/a.npy")[128..], noise(500, 1));
    mount.end();
}

#[test]
fn a_folder_shows_everything_in_it() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("in/deep/er")).unwrap();
    let raw = blocks(&folder, "in/deep/er/a.txt.nz", 100_000);
    blocks(&folder, "in/b.nz", 70_000);
    folder.write("in/b", b"takes the name");
    folder.write("in/config.json", b"{}");
    folder.write("in/none.nz", b"not compressed");
    folder.write("in/empty.nz", &nzip::compress(b"", 1).unwrap());
    let packed = folder.read("in/b.nz");
    folder.write("in/cut.nz", &packed[..packed.len() - 9]);
    folder.ok(&["manifest", "in/all.log.nzm", "in/b.nz", "in/deep/er/a.txt.nz"]);
    std::os::unix::fs::symlink("deep", folder.path("in/link")).unwrap();
    std::os::unix::fs::symlink("../in/config.json", folder.path("in/linked.json")).unwrap();
    let Some(mount) = Mount::start(&folder, &["in"]) else { return };
    assert_eq!(
        mount.names(""),
        ["all.log", "b", "b~2", "config.json", "cut", "deep", "empty", "linked.json", "none.nz"]
    );
    assert_eq!(mount.read("deep/er/a.txt"), raw);
    assert_eq!(mount.read("b"), b"takes the name");
    let b = mount.read("b~2");
    assert_eq!(b, folder.ok(&["-dc", "in/b.nz"]).stdout);
    assert_eq!(mount.read("all.log"), [b, raw].concat());
    assert_eq!(
        (mount.read("linked.json"), mount.read("none.nz")),
        (b"{}".to_vec(), b"not compressed".to_vec())
    );
    assert_eq!(mount.read("empty"), b"");
    assert!(mount.said().contains("cut.nz: "), "{}", mount.said());
    assert_eq!(File::open(mount.path("cut")).unwrap_err().raw_os_error(), Some(5));

    // Another file in its place is not what was mounted.
    folder.write("in/b.nz", &nzip::compress(&noise(70_000, 1), 1).unwrap());
    folder.write("in/deep/er/a.txt.nz", &nzip::compress(&noise(100_000, 1), 1).unwrap());
    assert_eq!(mount.read("b").len(), 14);
    mount.end();
    let Some(mount) = Mount::start(&folder, &["in"]) else { return };
    folder.write("in/b.nz", &packed);
    assert_eq!(fs::read(mount.path("b~2")).unwrap_err().raw_os_error(), Some(5));
    assert!(mount.said().contains("has changed since it was mounted"), "{}", mount.said());
    mount.end();
}

#[test]
fn a_family_is_its_files() {
    let folder = Folder::new();
    let values = |seed: u64| {
        noise(1 << 20, seed).chunks(4).flat_map(|c| [c[0], c[1], c[2], 0x3f]).collect::<Vec<u8>>()
    };
    let mut near = values(1);
    near[..4000].fill(0x3f);
    let [first, second] = [values(1), near].map(|w| safetensors(&[("w", "F32", "[512,512]", w)]));
    fs::create_dir_all(folder.path("run/2")).unwrap();
    fs::create_dir(folder.path("in")).unwrap();
    folder.write("run/1.safetensors", &first);
    folder.write("run/2/x.safetensors", &second);
    folder.ok(&["pack", "-2", "run", "-o", "in/run.nz"]);
    let Some(mount) = Mount::start(&folder, &["in/run.nz"]) else { return };
    assert_eq!(mount.names(""), ["1.safetensors", "1.safetensors.tensors", "2"]);
    assert!(mount.read("1.safetensors") == first && mount.read("2/x.safetensors") == second);
    assert!(second.ends_with(&mount.read("2/x.safetensors.tensors/w.npy")[128..]));
    mount.end();
    let Some(mount) = Mount::start(&folder, &["in"]) else { return };
    assert!(mount.read("run/2/x.safetensors") == second);
    mount.end();
}

#[test]
fn damage_is_an_error_of_what_it_hits() {
    let folder = Folder::new();
    let raw = blocks(&folder, "log.nz", 640 << 10);
    let mut packed = folder.read("log.nz");
    let info = |number| nzip::Archive::open(folder.path("log.nz")).unwrap().block(number).unwrap().unwrap();
    let (hit, last) = (info(5), info(9));
    packed[(hit.offset + hit.stored_len - 20) as usize] ^= 4;
    folder.write("log.nz", &packed);
    let Some(mount) = Mount::start(&folder, &["log.nz"]) else { return };
    assert_eq!(mount.path("log").metadata().unwrap().len(), raw.len() as u64, "stat decodes nothing");
    let file = File::open(mount.path("log")).unwrap();
    let mut piece = vec![0; 64 << 10];
    let (start, end) = (hit.raw_start as usize, (hit.raw_start + hit.raw_len) as usize);
    let before = start - piece.len();
    file.read_exact_at(&mut piece, before as u64).unwrap();
    assert_eq!(piece, raw[before..start]);
    file.read_exact_at(&mut piece, last.raw_start).unwrap();
    assert_eq!(piece, raw[last.raw_start as usize..][..piece.len()]);
    for at in [start, start + 30_000, end - 1] {
        let e = file.read_at(&mut piece[..1], at as u64).unwrap_err();
        assert_eq!(e.raw_os_error(), Some(5), "byte {at}: {e}");
    }
    assert!(fs::read(mount.path("log")).is_err());
    file.read_exact_at(&mut piece, end as u64).unwrap();
    assert_eq!(piece, raw[end..][..piece.len()]);
    let said = mount.said();
    assert!(said.contains("log.nz: ") && said.contains("block 5") && said.lines().count() == 1, "{said}");
    drop(file);
    mount.end();
}

#[test]
fn many_readers_at_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    let contents = [blocks(&folder, "in/0.nz", 3 << 20), blocks(&folder, "in/1.nz", 2 << 20)];
    // With so little memory, long blocks take all of it at a time.
    let long: Vec<u8> = noise(9 << 20, 3).iter().map(|b| b & 0x0f).collect();
    folder.write("in/2.nz", &nzip::compress(&long, 1).unwrap());
    let Some(mount) = Mount::start(&folder, &["-M", "36M", "in"]) else { return };
    let contents = [&contents[0][..], &contents[1], &long];
    thread::scope(|scope| {
        for reader in 0..6u64 {
            let mount = &mount;
            scope.spawn(move || {
                let places = noise(24, reader);
                for (i, place) in places.chunks(3).enumerate() {
                    let which = (reader as usize + i) % 3;
                    let raw = contents[which];
                    let at = usize::from(place[0]) * raw.len() / 256 + usize::from(place[1]);
                    let mut piece = vec![0; (usize::from(place[2]) * 1000).min(raw.len() - at)];
                    let file = File::open(mount.path(&which.to_string())).unwrap();
                    file.read_exact_at(&mut piece, at as u64).unwrap();
                    assert!(
                        piece == raw[at..at + piece.len()],
                        "{} bytes from {at} on of {which}",
                        piece.len()
                    );
                }
            });
        }
    });
    assert!(mount.read("2") == long && mount.read("0") == contents[0]);
    mount.end();
}

#[test]
fn it_ends_by_signals_and_by_umount() {
    let folder = Folder::new();
    let raw = blocks(&folder, "log.nz", 200_000);
    let Some(mut mount) = Mount::start(&folder, &["log.nz"]) else { return };
    // A file that is open does not keep it.
    let mut open = File::open(mount.path("log")).unwrap();
    let mut piece = [0; 10];
    open.read_exact(&mut piece).unwrap();
    assert_eq!(piece, raw[..10]);
    mount.signal(Signal::INT);
    assert_eq!(mount.wait(), Some(0), "{}", mount.said());
    assert!(mount.said().contains("still open"), "{}", mount.said());
    assert!(fs::read_dir(folder.path("m")).unwrap().next().is_none());

    let Some(mut mount) = Mount::start(&folder, &["log.nz"]) else { return };
    assert_eq!(mount.read("log"), raw);
    unmount(&folder);
    assert_eq!(mount.wait(), Some(0), "{}", mount.said());
}

#[test]
fn it_goes_on_in_the_background() {
    let folder = Folder::new();
    let raw = blocks(&folder, "log.nz", 100_000);
    // Says so where mounting is not possible.
    let Some(mount) = Mount::start(&folder, &["log.nz"]) else { return };
    mount.end();
    let failed = folder.run(&["mount", "--daemon", "none.nz", "m"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(folder.stderr(&failed).contains("none.nz: "), "{}", folder.stderr(&failed));
    let messages = File::create(folder.path("stderr")).unwrap();
    let status = folder.command(&["mount", "--daemon", "log.nz", "m"]).stderr(messages).status().unwrap();
    assert!(status.success());
    let found = fs::read(folder.path("m/log"));
    unmount(&folder);
    assert_eq!(found.unwrap(), raw);
    assert!(fs::read_dir(folder.path("m")).unwrap().next().is_none());
}

fn unmount(folder: &Folder) {
    let root = rustix::process::geteuid().is_root();
    let (tool, arguments) = if root { ("umount", &["m"][..]) } else { ("fusermount3", &["-u", "m"][..]) };
    assert!(Command::new(tool).args(arguments).current_dir(folder.path("")).status().unwrap().success());
}

#[test]
fn what_cannot_be_mounted() {
    let folder = Folder::new();
    folder.write_blocks("a.nz", 1);
    fs::create_dir(folder.path("full")).unwrap();
    folder.write("full/x", b"x");
    let said = |arguments: &[&str]| {
        let out = folder.run(arguments);
        assert_eq!(out.status.code(), Some(1), "{arguments:?}");
        folder.stderr(&out)
    };
    assert!(said(&["mount", "a.nz", "full"]).contains("is not empty"));
    assert!(said(&["mount", "a.nz", "missing"]).contains("missing: "));
    fs::create_dir(folder.path("m")).unwrap();
    assert!(said(&["mount", "full/x", "m"]).contains("not a .nz file"));
    assert!(said(&["mount", "none.nz", "m"]).contains("none.nz: "));
}

#[cfg(feature = "remote")]
#[path = "../../tests/remote/server.rs"]
mod server;

#[cfg(feature = "remote")]
#[test]
fn what_lies_behind_a_url_is_fetched_when_it_is_read() {
    let folder = Folder::new();
    let raw = noise(4 << 20, 8);
    let options = Options::new().level(1).block_size(256 << 10);
    let server = server::Server::start(nzip::compress_with(&raw, options).unwrap(), server::Fault::None);
    let Some(mount) = Mount::start(&folder, &[&server.url("d/data.bin.nz")]) else { return };
    assert_eq!(mount.names(""), ["data.bin"]);
    assert_eq!(mount.path("data.bin").metadata().unwrap().len(), raw.len() as u64);
    let (before, mut piece) = (server.sent(), [0; 1000]);
    assert!(before <= 64 << 10, "{before} bytes to mount");
    File::open(mount.path("data.bin")).unwrap().read_exact_at(&mut piece, 2_000_000).unwrap();
    assert_eq!(piece, raw[2_000_000..2_001_000]);
    assert!(server.sent() - before < 1 << 20, "{} bytes for 1000", server.sent() - before);
    assert!(mount.read("data.bin") == raw);
    mount.end();
}
