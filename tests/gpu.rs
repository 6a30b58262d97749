//! Whole files through a GPU: the same bytes and the same errors as through the CPU.
//!
//! Where there is no GPU the tests say so and do nothing, unless `NZIP_TEST_GPU=required`. A software driver will do.

use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Decoder, Device, Models, Options};
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A GPU that may not fall back on the CPU.
fn gpu() -> Option<Device> {
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
    GPU.get_or_init(open).clone()
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
    assert!(after.encoded_bytes >= before.encoded_bytes + raw.len() as u64);
    assert!(after.decoded_bytes >= before.decoded_bytes + raw.len() as u64);
    // Streams and ranges.
    let options = DecodeOptions::new().device(device.clone()).models(models.clone());
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
    for line in manifest.lines().filter(|line| line.starts_with("lm-")) {
        let parts: Vec<&str> = line.split(' ').collect();
        let packed = fs::read(vectors().join(parts[0])).unwrap();
        let raw = decode(&packed, &device, &models).unwrap_or_else(|e| panic!("{}: {e}", parts[0]));
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
