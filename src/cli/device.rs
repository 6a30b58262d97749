//! `--device`: where models run.

use super::console::Console;
use nzip::Device;
use std::fmt::Write;

/// The device with this name. Where there is none, a warning is given and the CPU does the work.
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

/// Says so if the CPU had to take over.
pub fn report(device: &Device, console: Console) {
    if let Some(why) = device.warning() {
        console.warning(&format!("{why}; the CPU did the work"));
    }
}

/// The devices that there are, a line each.
pub fn list() -> String {
    let mut text = String::from("cpu\n");
    for gpu in Device::list() {
        let kind = if gpu.software { "software" } else { "gpu" };
        writeln!(text, "{}  ({}, {kind})", gpu.name, gpu.backend).expect("into memory");
    }
    text
}
