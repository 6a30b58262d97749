//! `--device`: where models run.

use crate::console::Console;
use crate::quantity::human;
use nzip::Device;
use std::fmt::Write;

/// The device with this name. If there is none, warns, and the CPU does the work.
pub fn choose(name: Option<&str>, console: Console) -> Device {
    let found = match name {
        None | Some("" | "cpu") => Ok(Device::cpu()),
        Some("auto") => Ok(Device::auto()),
        Some("gpu") => Device::gpu(None),
        Some(name) => Device::gpu(Some(name)),
    };
    found.unwrap_or_else(|e| {
        console.warning(&format!("{e}; the CPU does the work"));
        Device::cpu()
    })
}

/// Warns if the CPU had to take over; with `-vv`, also reports what a GPU did.
pub fn report(device: &Device, console: Console) {
    if let Some(why) = device.warning() {
        console.warning(&format!("{why}; the CPU did the work"));
    }
    let Some(info) = device.info() else { return };
    let c = device.counters();
    console.detail(&format!(
        "{}: {} bytes decoded and {} encoded in {} dispatches and {} read-backs, {} of weights read, {:.3} s in kernels",
        info.name,
        c.decoded_bytes,
        c.encoded_bytes,
        c.dispatches,
        c.readbacks,
        human(c.weight_bytes),
        c.kernel_nanoseconds as f64 * 1e-9
    ));
}

/// The available devices, one per line.
pub fn list() -> String {
    let mut text = String::from("cpu\n");
    for gpu in Device::list() {
        let kind = if gpu.software { "software" } else { "gpu" };
        writeln!(text, "{}  ({}, {kind})", gpu.name, gpu.backend).expect("into memory");
    }
    text
}
