//! Learning circuits: what is learned pays, and is the same whatever the threads and the stops on the way.

use nzip::internal::SplitMix;
use nzip::{Codec, CodecChoice, DecodeOptions, ErrorKind, Likelihood, Models, Options};
use nzip_train::circuit::{self, CircuitJob, CircuitOptions, Event, Pseudo};
use std::fs;
use std::path::{Path, PathBuf};

const WIDTH: usize = 20;

/// Records with three hidden kinds, each with a slope of its own, and noise.
fn records(count: usize) -> Vec<u8> {
    let mut rng = SplitMix(4);
    let mut out = Vec::new();
    for _ in 0..count {
        let (kind, start) = (rng.below(3), 4 * rng.below(8));
        for v in 0..WIDTH as u64 {
            let level = 40 * kind + start + v * (kind + 1);
            out.push(if rng.below(10) == 0 { 0 } else { (level + rng.below(3)) as u8 });
        }
    }
    out
}

fn data(folder: &Path) -> PathBuf {
    let path = folder.join("records.idx");
    let header = [0, 0, 8, 2, 0, 0, 0x0B, 0xB8, 0, 0, 0, WIDTH as u8];
    fs::write(&path, [&header[..], &records(3000)].concat()).unwrap();
    path
}

fn job(folder: &Path, name: &str) -> CircuitJob {
    let options = CircuitOptions {
        latents: 24,
        classes: 256,
        epochs: 4,
        full: 1,
        batch: 64,
        step: (0.1, 0.01),
        pseudo: Pseudo { edge: 0.5, leaf: 0.5, ..Pseudo::default() },
        hold_out: 10,
        resume: false,
        prune: 0.0,
        prune_edges: 0.0,
        grow: false,
        seed: 3,
        state: folder.join(format!("{name}.ckpt")),
    };
    let (data, output) = (data(folder), folder.join(format!("{name}.nzpc")));
    CircuitJob { data, record: None, skip: 0, patch: None, output, log2_steps: 2, options }
}

fn train(job: &CircuitJob, threads: usize) -> Vec<u8> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut events = Vec::new();
    pool.install(|| circuit::train(job, &mut |e| events.push(e))).unwrap();
    let full = |e: &&Event| matches!(e, Event::Pass { full: true, held_out: Some(_), .. });
    assert_eq!(events.iter().filter(full).count(), job.options.full);
    assert!(matches!(events.last(), Some(Event::End { .. })));
    fs::read(&job.output).unwrap()
}

fn refused(job: &CircuitJob) -> bool {
    let failed = circuit::train(job, &mut |_| {}).err().map(|e| e.kind());
    matches!(failed, Some(ErrorKind::BadArgument | ErrorKind::Io))
}

fn mean_bits(model: &[u8]) -> f64 {
    let circuit = Likelihood::from_bytes(model).unwrap();
    let raw = records(3000);
    let bits = |r: &[u8]| -circuit.log2_likelihood(&r.iter().map(|&s| Some(s)).collect::<Vec<_>>()).unwrap();
    raw.chunks(WIDTH).map(bits).sum::<f64>() / 3000.0
}

#[test]
fn threads_and_stops_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let straight = job(folder.path(), "straight");
    let one = train(&straight, 1);
    assert!(one == train(&straight, 3));

    let mut stopped = job(folder.path(), "stopped");
    stopped.options.full = 0;
    train(&stopped, 2);
    // Go back to the state after the second pass.
    let mut half = job(folder.path(), "half");
    half.options.full = 0;
    half.options.epochs = 2;
    half.options.step.1 = (half.options.step.0 * half.options.step.1).sqrt();
    let two = train(&half, 1);
    assert!(two != one);
    let mut resumed = job(folder.path(), "half");
    resumed.options.resume = true;
    let four = mean_bits(&train(&resumed, 1));
    assert!(four < mean_bits(&two));
    assert!((four - mean_bits(&one)).abs() < 0.02 * four);
}

#[test]
fn what_is_learned_pays() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), "pays");
    let model = train(&job, 2);
    // The noise takes 0.47 + 0.9·1.58 bits of every variable, kind and start 4.6 bits of a record; a variable
    // alone would take some 5 bits.
    let floor = WIDTH as f64 * (0.469 + 0.9 * 1.585) + 4.58;
    let bits = mean_bits(&model);
    assert!(bits < floor * 1.6 && bits > floor * 0.97, "{bits} bits, {floor} at best");

    let raw = fs::read(&job.data).unwrap();
    let mut models = Models::new();
    let name = models.add(model);
    let options = Options::new().models(models.clone()).model(name);
    let coded = nzip::compress_with(&raw, options.clone().codec(CodecChoice::Only(Codec::Circuit))).unwrap();
    let auto = nzip::compress_with(&raw, options).unwrap();
    let plain =
        nzip::compress_with(&raw, Options::new().codec(CodecChoice::Only(Codec::Zstd)).level(9)).unwrap();
    assert!(coded.len() < plain.len(), "{} and {} bytes", coded.len(), plain.len());
    assert!(auto.len() <= coded.len());
    assert!(nzip::decompress_with(&auto, DecodeOptions::new().models(models)).unwrap() == raw);
}

#[test]
fn pruning_and_growing_keep_a_circuit() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), "shape");
    job.options.latents = 12;
    let small = mean_bits(&train(&job, 2));
    job.options.resume = true;
    job.options.latents = 24;
    job.options.grow = true;
    let grown = mean_bits(&train(&job, 2));
    assert!(grown < small + 0.05, "{grown} after growing, {small} before");
    job.options.grow = false;
    job.options.prune = 0.5;
    let pruned = mean_bits(&train(&job, 2));
    assert!(pruned < small * 1.05, "{pruned} after pruning");
}

#[test]
fn bad_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = job(folder.path(), "bad");
    bad.options.latents = 1;
    assert!(refused(&bad));
    let mut bad = job(folder.path(), "bad");
    bad.record = Some(1 << 20);
    assert!(refused(&bad));
    let mut bad = job(folder.path(), "bad");
    bad.options.resume = true;
    assert!(refused(&bad), "there is no checkpoint");
}

/// A folder of pictures, and a wide array: what is learned codes such files.
#[test]
fn pictures_and_wide_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let picture = |seed: u64| {
        let mut rng = SplitMix(seed);
        let pixel = |i: u64, noise: u64| [i % 53 + noise, i % 53 + 9, i % 53 + 20].map(|b| b as u8);
        let pixels = (0..53 * 40).flat_map(|i| pixel(i, rng.below(4)));
        [&b"P6 53 40 255\n"[..], &pixels.collect::<Vec<_>>()].concat()
    };
    (0..3).for_each(|i| fs::write(folder.path().join(format!("{i}.ppm")), picture(i)).unwrap());
    let mut job = job(folder.path(), "pictures");
    (job.data, job.patch) = (folder.path().into(), Some((4, 2)));
    let mut models = Models::new();
    let name = models.add(train(&job, 2));
    let options = Options::new().models(models.clone()).model(name).codec(CodecChoice::Only(Codec::Circuit));
    let raw = picture(9);
    let coded = nzip::compress_with(&raw, options).unwrap();
    assert!(coded.len() < raw.len() / 5, "{} bytes", coded.len());
    assert!(nzip::decompress_with(&coded, DecodeOptions::new().models(models)).unwrap() == raw);

    job.patch = None;
    assert!(refused(&job), "a folder without patches");
    job.data = folder.path().join("wide.npy");
    let text = "{'descr': '<i2', 'fortran_order': False, 'shape': (3000, 20), }\n";
    let numbers: Vec<u8> = records(3000).iter().flat_map(|&b| i16::from(b as i8).to_le_bytes()).collect();
    let head = [&b"\x93NUMPY\x01\x00"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
    fs::write(&job.data, [&head[..], &numbers].concat()).unwrap();
    assert!(Likelihood::from_bytes(&train(&job, 2)).unwrap().width() == WIDTH);
    fs::write(&job.data, [&head[..], &numbers, &[0, 1]].concat()).unwrap();
    train(&job, 2);
    fs::write(&job.data, [&head[..], &[0, 1], &numbers].concat()).unwrap();
    assert!(refused(&job), "a number that is no byte");
}
