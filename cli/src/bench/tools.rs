//! The programs that are run, with their arguments.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

/// A compressor with its options. It works in a folder with the source `raw`, from which it makes `packed`,
/// and from that `out`.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The name in reports.
    pub name: String,
    /// Whether it is nzip.
    pub own: bool,
    /// The command that makes `packed`.
    pub encode: Command,
    /// The command that makes `out`.
    pub decode: Command,
    /// The Python package that the commands need.
    pub package: Option<&'static str>,
    /// The first bytes of the only files that it takes, if it does not take all.
    pub only: &'static [&'static str],
}

/// The interpreter of the peers that are Python packages.
const PYTHON: &str = "python3";

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Command {
    /// Name or path.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
    /// The file that receives standard output.
    pub stdout: Option<&'static str>,
}

impl Command {
    /// Parses one line, at the end of which `> FILE` may stand.
    fn new(line: &str) -> Self {
        let (line, stdout) = match line.split_once(" > ") {
            Some((line, "packed")) => (line, Some("packed")),
            Some((line, _)) => (line, Some("out")),
            None => (line, None),
        };
        let mut words = line.split_whitespace().map(String::from);
        let program = words.next().unwrap_or_default().into();
        Self { program, arguments: words.collect(), stdout }
    }
}

impl Tool {
    /// nzip itself with these options, and with its models on this device.
    pub fn own(options: &[String], threads: usize, device: Option<&str>) -> anyhow::Result<Self> {
        let program = env::current_exe()?;
        let with = |last: &[&str]| {
            let threads = format!("-T{threads}");
            let words = ["-q", "-f", &threads].into_iter().chain(last.iter().copied());
            let device = device.map(|name| format!("--device={name}"));
            words.map(String::from).chain(device).collect::<Vec<_>>()
        };
        let mut arguments = with(&["-o", "packed", "raw"]);
        arguments.extend_from_slice(options);
        let encode = Command { program: program.clone(), arguments, stdout: None };
        let mut arguments = with(&["-d", "-o", "out", "packed"]);
        // The decoder needs the model that the encoder was given.
        if let Some(i) = options.iter().position(|o| o == "--model") {
            arguments.extend(options[i..].iter().take(2).cloned());
        }
        let decode = Command { program, arguments, stdout: None };
        let on = device.map_or(String::new(), |name| format!(" on {name}"));
        let name = format!("nzip {}{on}", options.join(" "));
        Ok(Self { name, own: true, encode, decode, package: None, only: &[] })
    }

    /// Whether it takes files that start with these bytes.
    pub fn takes(&self, start: &[u8]) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| start.starts_with(o.as_bytes()))
    }

    /// Whether the program can be found.
    pub fn is_installed(&self) -> bool {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path).any(|folder| folder.join(&self.encode.program).is_file());
        found && self.package.is_none_or(has_package)
    }
}

/// A peer whose commands are lines.
fn tool(name: &str, encode: &str, decode: &str) -> Tool {
    let (encode, decode) = (Command::new(encode), Command::new(decode));
    Tool { name: name.into(), own: false, encode, decode, package: None, only: &[] }
}

/// A peer that is a Python package.
fn python(package: &'static str) -> Tool {
    let command = |action: &str| Command {
        program: PYTHON.into(),
        arguments: ["-c", include_str!("peers.py"), action, package].map(String::from).to_vec(),
        stdout: None,
    };
    let (encode, decode) = (command("encode"), command("decode"));
    Tool { name: package.into(), own: false, encode, decode, package: Some(package), only: &[] }
}

/// JPEG XL without loss, for portable pixmaps.
fn jpeg_xl(t: usize) -> Tool {
    let encode = format!("cjxl raw packed.jxl -d 0 -e 9 --quiet --num_threads={t}");
    // Its decoder chooses the format by the name.
    let decode = format!("djxl packed.jxl out.ppm --quiet --num_threads={t}");
    Tool { only: &["P5", "P6"], ..tool("cjxl -d 0 -e 9", &encode, &decode) }
}

/// mcm, which restores under the name of the source.
fn mcm(level: &str) -> Tool {
    let script = "mkdir -p restored && cd restored && mcm d ../packed && mv raw ../out";
    let decode = Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()], stdout: None };
    Tool { decode, ..tool(&format!("mcm {level}"), &format!("mcm {level} raw packed"), "") }
}

/// The other compressors, at the levels for which they are known.
pub fn peers(threads: usize) -> Vec<Tool> {
    let t = threads;
    let unzstd = "zstd -q -d -f packed -o out";
    let bsc = |level: &str| {
        let one = if t == 1 { " -t -T" } else { "" };
        let (encode, decode) = (format!("bsc e raw packed {level}{one}"), format!("bsc d packed out{one}"));
        tool(&format!("bsc {level}"), &encode, &decode)
    };
    let kanzi = |level: u8| {
        let encode = format!("kanzi -c -f -v 0 -i raw -o packed -j {t} -l {level}");
        tool(&format!("kanzi -l {level}"), &encode, &format!("kanzi -d -f -v 0 -i packed -o out -j {t}"))
    };
    vec![
        tool("zstd -3", &format!("zstd -q -f -T{t} -3 raw -o packed"), unzstd),
        tool("zstd -19", &format!("zstd -q -f -T{t} -19 raw -o packed"), unzstd),
        tool("brotli -11", "brotli -q 11 -w 24 -c raw > packed", "brotli -d -c packed > out"),
        tool("xz -9e", &format!("xz -T{t} -9e -c raw > packed"), "xz -T1 -d -c --format=xz packed > out"),
        tool("bzip3", &format!("bzip3 -e -c -j {t} raw > packed"), "bzip3 -d -c packed > out"),
        tool(
            "7z PPMd",
            "7z a -t7z -m0=PPMd:o16:mem1g -mmt=1 -bso0 -bsp0 packed.7z raw",
            "7z e -so -bsp0 packed.7z > out",
        ),
        bsc("-e1"),
        bsc("-e2"),
        kanzi(7),
        kanzi(9),
        mcm("-t5"),
        mcm("-m8"),
        tool(
            "zpaq -m5",
            &format!("zpaq a packed.zpaq raw -m5 -t{t}"),
            &format!("zpaq x packed.zpaq raw -to out -t{t}"),
        ),
        jpeg_xl(t),
        python("zipnn"),
        python("pcodec"),
    ]
}

/// Whether Python can find a package.
fn has_package(name: &str) -> bool {
    let script = format!("import importlib.util as u, sys; sys.exit(u.find_spec('{name}') is None)");
    let mut python = std::process::Command::new(PYTHON);
    let status = python.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

/// The text that `--peers list` prints.
pub fn list() -> String {
    let line = |p: &Tool| format!("{}{}\n", p.name, if p.is_installed() { "" } else { " (not installed)" });
    peers(1).iter().map(line).collect()
}
