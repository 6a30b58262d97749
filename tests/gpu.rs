//! Whole files through a GPU: the same bytes and the same errors as through the CPU.
//!
//! Without a GPU the tests print that they are skipped and pass, unless `NZIP_TEST_GPU=required`. A software driver is
//! enough.

use nzip::internal::SplitMix;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Decoder, Device, Models, Options};
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A GPU that does not let the CPU take over. Tests use it one after the other, so that nothing else changes its counters.
struct Turn {
    device: Device,
    _turn: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Turn {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

fn gpu() -> Option<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    let open = || match Device::gpu(None) {
        Ok(device) => Some(device.without_fallback()),
        Err(why) => {
            let required = std::env::var_os("NZIP_TEST_GPU").is_some_and(|v| v == "required");
            assert!(!required, "{why}");
            eprintln!("SKIPPED: {why}");
            None
        }
    };
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    GPU.get_or_init(open).clone().map(|device| Turn { device, _turn: turn })
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("formats/vectors")
}

fn micro() -> (Models, [u8; 32]) {
    let mut models = Models::new();
    let hash = models.add_file(vectors().join("lm/micro.nzlm")).unwrap();
    (models, hash)
}

fn text(n: usize) -> Vec<u8> {
    let mut text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora/sample.txt")).unwrap();
    text.truncate(n);
    text
}

fn decode(packed: &[u8], device: &Device, models: &Models) -> nzip::Result<Vec<u8>> {
    let options = DecodeOptions::new().device(device.clone()).models(models.clone());
    nzip::decompress_with(packed, options)
}

#[test]
fn language_model_files_are_the_same() {
    let Some(device) = gpu() else { return };
    let (models, hash) = micro();
    let raw = text(6000);
    let options = |device: &Device| {
        let options = Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(Codec::Lm));
        options.window(256).block_size(4096).device(device.clone())
    };
    let packed = nzip::compress_with(&raw, options(&Device::cpu())).unwrap();
    let before = device.counters();
    assert_eq!(nzip::compress_with(&raw, options(&device)).unwrap(), packed);
    assert!(decode(&packed, &device, &models).unwrap() == raw);
    let after = device.counters();
    assert_eq!(after.encoded_bytes - before.encoded_bytes, raw.len() as u64);
    assert_eq!(after.decoded_bytes - before.decoded_bytes, raw.len() as u64);
    // Streams and ranges.
    let options = DecodeOptions::new().device(device.device.clone()).models(models.clone());
    let mut streamed = Vec::new();
    Decoder::with_options(&packed[..], options.clone()).unwrap().read_to_end(&mut streamed).unwrap();
    assert!(streamed == raw);
    let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
    assert_eq!(archive.read_range(1500..4200).unwrap(), raw[1500..4200]);
    assert!(archive.decoded_bytes() < raw.len() as u64);
    assert_eq!(device.warning(), None);
}

#[test]
fn a_built_in_model() {
    let Some(device) = gpu() else { return };
    let raw = text(700);
    let options = Options::new().codec(CodecChoice::Only(Codec::Lm)).window(64);
    let packed = nzip::compress_with(&raw, options).unwrap();
    assert!(decode(&packed, &device, &Models::new()).unwrap() == raw);
}

#[test]
fn golden_files() {
    let Some(device) = gpu() else { return };
    let (models, _) = micro();
    let manifest = fs::read_to_string(vectors().join("manifest.txt")).unwrap();
    let mut models = models;
    models.add_file(vectors().join("circuit/micro.nzpc")).unwrap();
    models.add_file(vectors().join("circuit/patch.nzpc")).unwrap();
    models.add_file(vectors().join("llm/micro.nzllm")).unwrap();
    // The least share of the raw bytes, in tenths, that the GPU decodes, by the start of a file's name. The CPU decodes
    // headers, records that are not contiguous bytes, some kinds of tensors, and chained windows.
    let kinds = [
        ("lm-", 10),
        ("circuit-patches", 0),
        ("circuit-wide", 0),
        ("circuit-", 9),
        ("llm-windows", 10),
        ("llm-short", 10),
        ("tensor-", 0),
    ];
    for line in manifest.lines() {
        let Some((_, tenths)) = kinds.iter().find(|kind| line.starts_with(kind.0)) else { continue };
        if ["tensor-delta", "tensor-rounded"].iter().any(|name| line.starts_with(name)) {
            continue; // needs a base, and is the CPU's
        }
        let parts: Vec<&str> = line.split(' ').collect();
        let packed = fs::read(vectors().join(parts[0])).unwrap();
        let before = device.counters().decoded_bytes;
        let raw = decode(&packed, &device, &models).unwrap_or_else(|e| panic!("{}: {e}", parts[0]));
        let decoded = device.counters().decoded_bytes - before;
        let least = raw.len() * tenths / 10;
        assert!(decoded >= least as u64, "{}: {decoded} of {} bytes", parts[0], raw.len());
        assert_eq!(blake3::hash(&raw).to_hex().as_str(), parts[3], "{}", parts[0]);
    }
}

#[test]
fn damage_is_the_same_error() {
    let Some(device) = gpu() else { return };
    let (models, hash) = micro();
    let options = Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(Codec::Lm));
    let packed = nzip::compress_with(&text(3000), options.window(256).block_size(4096)).unwrap();
    for at in [packed.len() / 3, packed.len() / 2, packed.len() * 2 / 3] {
        let mut bad = packed.clone();
        bad[at] ^= 0x40;
        let cpu = decode(&bad, &Device::cpu(), &models).unwrap_err();
        let gpu = decode(&bad, &device, &models).unwrap_err();
        assert_eq!((gpu.kind(), gpu.to_string()), (cpu.kind(), cpu.to_string()));
    }
}

#[test]
fn a_gpu_that_is_not_there() {
    let e = Device::gpu(Some("no GPU has this name")).err().unwrap();
    assert_eq!(e.kind(), nzip::ErrorKind::Device);
}

/// bfloat16 weights in rows, some of them of another scale.
fn weights(rows: usize, row: usize) -> Vec<u8> {
    let mut rng = SplitMix(7);
    let mut next = || rng.below(1 << 24) as f32 / (1 << 24) as f32 - 0.5;
    let value = |i: usize, v: f32| (v * if (i / row).is_multiple_of(3) { 8.0 } else { 0.1 }).to_bits() >> 16;
    (0..rows * row).flat_map(|i| (value(i, next() * next()) as u16).to_le_bytes()).collect()
}

#[test]
fn tensors_are_the_same_on_the_host_and_on_the_gpu() {
    let Some(device) = gpu() else { return };
    let raw = weights(300, 128);
    let options = Options::new().tensor(nzip::tensor::Dtype::from_name("bf16").unwrap(), &[300, 128], 0);
    let packed = nzip::compress_with(&raw, options).unwrap();
    let before = device.counters().decoded_bytes;
    assert!(decode(&packed, &device, &Models::new()).unwrap() == raw);
    assert_eq!(device.counters().decoded_bytes - before, raw.len() as u64);
    let options = DecodeOptions::new().device(device.device.clone());
    let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
    let mut host = vec![0; raw.len()];
    archive.tensor("data").unwrap().read_into(&mut host).unwrap();
    assert!(host == raw);
    let before = device.counters().decoded_bytes;
    let buffer = archive.tensor("data").unwrap().read_to_gpu().unwrap();
    assert_eq!(device.counters().decoded_bytes - before, raw.len() as u64);
    assert_eq!(buffer.len, raw.len() as u64);
    assert!(read_back(&device, &buffer) == raw);
    let mut on_cpu = Archive::new(Cursor::new(&packed)).unwrap();
    let refused = on_cpu.tensor("data").unwrap().read_to_gpu().unwrap_err();
    assert_eq!(refused.kind(), nzip::ErrorKind::BadArgument);
}

fn read_back(device: &Device, buffer: &nzip::TensorBuffer) -> Vec<u8> {
    use nzip::wgpu30::{self, wgpu};
    let (gpu, queue) = wgpu30::handles(device).unwrap();
    let (buffer, len) = (wgpu30::buffer(buffer), buffer.len);
    let staging = gpu.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    gpu.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    staging.get_mapped_range(..).unwrap()[..len as usize].to_vec()
}

#[test]
fn a_trained_imported_model() {
    let Some(device) = gpu() else { return };
    let file = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-llama").join(name)).unwrap()
    };
    let (tensors, config, tokenizer) =
        (file("model.safetensors"), file("config.json"), file("tokenizer.json"));
    let mut models = Models::new();
    let hash = models.add(nzip::llm::import_safetensors(&tensors, &config, &tokenizer, None).unwrap());
    let raw = text(900);
    let options = Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(Codec::Llm));
    let packed = nzip::compress_with(&raw, options.chained(false).window(128)).unwrap();
    let before = device.counters().decoded_bytes;
    assert!(decode(&packed, &device, &models).unwrap() == raw);
    assert_eq!(device.counters().decoded_bytes - before, raw.len() as u64);
}
