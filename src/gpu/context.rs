//! An opened GPU: buffers, kernels, dispatches and read-backs, with every failure noticed.

use super::adapter::{self, AdapterInfo, Wanted};
use super::fault::{Fault, Outcome};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use wgpu::BufferUsages as Usage;

/// An opened GPU.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: AdapterInfo,
    /// The first thing that went wrong; nothing is trusted after it.
    fault: Arc<Mutex<Option<Fault>>>,
    kernels: Mutex<HashMap<String, Kernel>>,
    counts: Counts,
}

/// A compiled compute shader with one bind group.
#[derive(Clone)]
pub struct Kernel(wgpu::ComputePipeline);

#[derive(Default)]
struct Counts {
    decoded: AtomicU64,
    encoded: AtomicU64,
    dispatches: AtomicU64,
    readbacks: AtomicU64,
    weight_bytes: AtomicU64,
}

/// What a GPU has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Raw bytes that it decoded.
    pub decoded_bytes: u64,
    /// Raw bytes that it encoded.
    pub encoded_bytes: u64,
    /// Kernels started.
    pub dispatches: u64,
    /// Copies from its memory.
    pub readbacks: u64,
    /// Bytes of model weights that its workgroups asked for.
    pub weight_bytes: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens an adapter.
    pub fn open(wanted: Wanted<'_>) -> Outcome<Self> {
        let (device, queue, info) = adapter::open(wanted)?;
        let fault = Arc::new(Mutex::new(None));
        let note = |fault: &Mutex<Option<Fault>>, what: String| {
            lock(fault).get_or_insert(Fault(what));
        };
        let noted = fault.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| note(&noted, format!("GPU: {e}"))));
        let noted = fault.clone();
        device.set_device_lost_callback(move |_, why| note(&noted, format!("GPU lost: {why}")));
        Ok(Self { device, queue, info, fault, kernels: Mutex::default(), counts: Counts::default() })
    }

    /// The adapter behind it.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// Fails if anything has gone wrong since it was opened.
    pub fn check(&self) -> Outcome<()> {
        lock(&self.fault).clone().map_or(Ok(()), Err)
    }

    /// Largest buffer that a kernel may use, in bytes.
    pub fn max_buffer(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
    }

    /// Compiles a shader once; `source` holds its constants.
    pub fn kernel(&self, source: &str, entry: &str) -> Outcome<Kernel> {
        let key = format!("{entry}\n{source}");
        let mut kernels = lock(&self.kernels);
        if let Some(kernel) = kernels.get(&key) {
            return Ok(kernel.clone());
        }
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(entry),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        self.check()?;
        kernels.insert(key, Kernel(pipeline.clone()));
        Ok(Kernel(pipeline))
    }

    fn buffer(&self, bytes: u64, usage: Usage) -> Outcome<wgpu::Buffer> {
        if bytes > self.max_buffer() {
            return Err(Fault::new(format!("a buffer of {bytes} bytes is beyond the GPU's limits")));
        }
        let size = bytes.next_multiple_of(4).max(4);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        self.check()?;
        Ok(buffer)
    }

    /// A buffer of `words` u32 for kernels to work in, all zero.
    pub fn zeroed(&self, words: usize) -> Outcome<wgpu::Buffer> {
        self.buffer(4 * words as u64, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
    }

    /// A buffer that kernels read, holding `words`.
    pub fn upload(&self, words: &[u32]) -> Outcome<wgpu::Buffer> {
        let buffer = self.zeroed(words.len())?;
        self.write(&buffer, words);
        Ok(buffer)
    }

    /// A small buffer of constants of a dispatch.
    pub fn uniform(&self, words: &[u32]) -> Outcome<wgpu::Buffer> {
        let buffer =
            self.buffer(4 * words.len().next_multiple_of(4) as u64, Usage::UNIFORM | Usage::COPY_DST)?;
        self.write(&buffer, words);
        Ok(buffer)
    }

    /// Overwrites the start of a buffer before the next dispatch.
    pub fn write(&self, buffer: &wgpu::Buffer, words: &[u32]) {
        self.write_at(buffer, 0, words);
    }

    /// The same from a word on.
    pub fn write_at(&self, buffer: &wgpu::Buffer, start: usize, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.queue.write_buffer(buffer, 4 * start as u64, &bytes);
    }

    /// Binds buffers to a kernel in the order of their numbers.
    pub fn bind(&self, kernel: &Kernel, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let numbered: Vec<_> = (0..).zip(buffers.iter().copied()).collect();
        self.bind_numbered(kernel, &numbered)
    }

    /// Binds buffers to the numbers that a kernel uses.
    pub fn bind_numbered(&self, kernel: &Kernel, buffers: &[(u32, &wgpu::Buffer)]) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .map(|&(binding, b)| wgpu::BindGroupEntry { binding, resource: b.as_entire_binding() })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &kernel.0.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    /// Runs a kernel `times` times, one after the other, on `workgroups` workgroups each.
    pub fn dispatch(&self, kernel: &Kernel, bound: &wgpu::BindGroup, workgroups: u32, times: usize) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&kernel.0);
            pass.set_bind_group(0, bound, &[]);
            for _ in 0..times {
                pass.dispatch_workgroups(workgroups, 1, 1);
            }
        }
        self.queue.submit([encoder.finish()]);
        self.counts.dispatches.fetch_add(times as u64, Ordering::Relaxed);
    }

    /// Runs kernels one after the other, each on so many workgroups.
    pub fn dispatch_sequence<'k>(&self, steps: impl Iterator<Item = (&'k Kernel, &'k wgpu::BindGroup, u32)>) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut count = 0;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (kernel, bound, workgroups) in steps {
                pass.set_pipeline(&kernel.0);
                pass.set_bind_group(0, bound, &[]);
                pass.dispatch_workgroups(workgroups, 1, 1);
                count += 1;
            }
        }
        self.queue.submit([encoder.finish()]);
        self.counts.dispatches.fetch_add(count, Ordering::Relaxed);
    }

    /// Waits for all work so far.
    pub fn wait(&self) -> Outcome<()> {
        let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
        waited.map_err(|e| Fault::new(format!("GPU: {e}")))?;
        self.check()
    }

    /// Starts to copy the first `words` words of a buffer to the host, behind the work so far.
    pub fn start_read(&self, buffer: &wgpu::Buffer, words: usize) -> Outcome<Reading> {
        self.start_read_from(buffer, 0, words)
    }

    /// The same for words from `start` on.
    pub fn start_read_from(&self, buffer: &wgpu::Buffer, start: usize, words: usize) -> Outcome<Reading> {
        let size = 4 * words as u64;
        let staging = self.buffer(size, Usage::MAP_READ | Usage::COPY_DST)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 4 * start as u64, &staging, 0, size);
        let submission = self.queue.submit([encoder.finish()]);
        let (done, mapped) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = done.send(result);
        });
        self.counts.readbacks.fetch_add(1, Ordering::Relaxed);
        Ok(Reading { staging, submission, mapped })
    }

    /// Waits for a copy.
    pub fn finish_read(&self, reading: Reading) -> Outcome<Vec<u32>> {
        let poll = wgpu::PollType::Wait { submission_index: Some(reading.submission), timeout: None };
        self.device.poll(poll).map_err(|e| Fault::new(format!("GPU: {e}")))?;
        self.check()?;
        match reading.mapped.recv() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(Fault::new(format!("GPU: {e}"))),
            Err(_) => return Err(Fault::new("GPU: a copy was given up")),
        }
        let view = reading.staging.get_mapped_range(..).map_err(|e| Fault::new(format!("GPU: {e}")))?;
        let words = view.as_chunks().0.iter().map(|&w| u32::from_le_bytes(w)).collect();
        drop(view);
        reading.staging.unmap();
        Ok(words)
    }

    /// Notes finished work.
    pub fn count(&self, decoded: u64, encoded: u64, weight_bytes: u64) {
        self.counts.decoded.fetch_add(decoded, Ordering::Relaxed);
        self.counts.encoded.fetch_add(encoded, Ordering::Relaxed);
        self.counts.weight_bytes.fetch_add(weight_bytes, Ordering::Relaxed);
    }

    /// What has been done so far.
    pub fn counters(&self) -> Counters {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counters {
            decoded_bytes: get(&self.counts.decoded),
            encoded_bytes: get(&self.counts.encoded),
            dispatches: get(&self.counts.dispatches),
            readbacks: get(&self.counts.readbacks),
            weight_bytes: get(&self.counts.weight_bytes),
        }
    }

    /// Gives the GPU up, as if it had been lost.
    #[cfg(test)]
    pub fn lose(&self) {
        self.device.destroy();
    }
}

/// A copy to the host under way.
pub struct Reading {
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}
