//! Finds GPUs and opens one.

use super::device::{GpuInfo, Wanted};
use super::fault::{Fault, Outcome};
use pollster::block_on;
use std::sync::LazyLock;

fn describe(info: &wgpu::AdapterInfo) -> GpuInfo {
    GpuInfo {
        name: info.name.clone(),
        backend: info.backend.to_string(),
        software: info.device_type == wgpu::DeviceType::Cpu,
    }
}

/// The connection to all drivers. It is made only once, since loading drivers takes time and some of them
/// print messages.
static INSTANCE: LazyLock<Option<wgpu::Instance>> = LazyLock::new(|| {
    // On a system without any interface to GPUs, `Instance::new` would panic.
    let possible = !wgpu::Instance::enabled_backend_features().is_empty();
    let descriptor = || wgpu::InstanceDescriptor::new_without_display_handle().with_env();
    possible.then(|| wgpu::Instance::new(descriptor()))
});

fn adapters() -> Vec<wgpu::Adapter> {
    let Some(instance) = &*INSTANCE else { return Vec::new() };
    let mut adapters = block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    adapters.retain(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    // The sort is stable: GPUs of one kind stay in the drivers' order.
    adapters.sort_by_key(|a| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::Cpu => 3,
        _ => 2,
    });
    adapters
}

/// All adapters that can run nzip's kernels, hardware first.
pub fn list() -> Vec<GpuInfo> {
    adapters().iter().map(|a| describe(&a.get_info())).collect()
}

/// Opens an adapter with the limits that every GPU supports, except that buffers may be as large as it
/// allows.
pub fn open(wanted: Wanted<'_>) -> Outcome<(wgpu::Device, wgpu::Queue, GpuInfo)> {
    let fits = |a: &wgpu::Adapter| {
        let info = describe(&a.get_info());
        match wanted {
            Wanted::Hardware => !info.software,
            Wanted::Any => true,
            Wanted::Named(name) => info.name.to_lowercase().contains(&name.to_lowercase()),
        }
    };
    let adapter = adapters().into_iter().find(fits).ok_or_else(|| match wanted {
        Wanted::Named(name) => Fault::new(format!("no GPU named {name}")),
        _ => Fault::new("no GPU found"),
    })?;
    let offered = adapter.limits();
    let required_limits = wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        ..wgpu::Limits::default()
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("nzip"),
        required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        required_limits,
        ..Default::default()
    };
    let opened = block_on(adapter.request_device(&descriptor));
    let (device, queue) = opened.map_err(|e| Fault::new(format!("the GPU cannot be opened: {e}")))?;
    Ok((device, queue, describe(&adapter.get_info())))
}
