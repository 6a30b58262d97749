//! An opened GPU: buffers, kernels, dispatches and read-backs. Every failure is noticed.

use super::adapter;
use super::device::{GpuCounters, GpuInfo, Wanted};
use super::fault::{Fault, Outcome};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use wgpu::BufferUsages as Usage;

/// An opened GPU.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: GpuInfo,
    /// The first failure. Results after it are not trusted.
    fault: Arc<Mutex<Option<Fault>>>,
    shaders: Mutex<HashMap<String, Shader>>,
    counts: Counts,
    timer: Option<Mutex<Timer>>,
}

/// A compiled compute shader with one bind group.
#[derive(Clone)]
pub struct Shader(wgpu::ComputePipeline);

#[derive(Default)]
struct Counts {
    decoded: AtomicU64,
    encoded: AtomicU64,
    dispatches: AtomicU64,
    readbacks: AtomicU64,
    weight_bytes: AtomicU64,
    kernel_nanoseconds: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens a GPU.
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
        let timer = Timer::new(&device, &queue).map(Mutex::new);
        Ok(Self { device, queue, info, fault, shaders: Mutex::default(), counts: Counts::default(), timer })
    }

    /// The description of the GPU.
    pub fn info(&self) -> &GpuInfo {
        &self.info
    }

    /// wgpu's handles.
    pub fn handles(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    /// Fails if anything has gone wrong since the GPU was opened.
    pub fn check(&self) -> Outcome<()> {
        lock(&self.fault).clone().map_or(Ok(()), Err)
    }

    /// The largest buffer that a kernel may use, in bytes.
    pub fn max_buffer(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
    }

    /// Compiles a shader, or returns the one that was compiled from the same text before. `source` includes
    /// the shader's constants.
    pub fn shader(&self, source: &str, entry: &str) -> Outcome<Shader> {
        let key = format!("{entry}\n{source}");
        let mut shaders = lock(&self.shaders);
        if let Some(shader) = shaders.get(&key) {
            return Ok(shader.clone());
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
        shaders.insert(key, Shader(pipeline.clone()));
        Ok(Shader(pipeline))
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

    /// A buffer of `words` u32 for kernels to work in, all zeros.
    pub fn zeroed(&self, words: usize) -> Outcome<wgpu::Buffer> {
        self.buffer(4 * words as u64, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
    }

    /// A buffer with the content `words` that kernels read.
    pub fn upload(&self, words: &[u32]) -> Outcome<wgpu::Buffer> {
        let buffer = self.zeroed(words.len())?;
        self.write(&buffer, words);
        Ok(buffer)
    }

    /// A small buffer with the constants of a dispatch.
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

    /// Overwrites a part of a buffer, from word `start` on, before the next dispatch.
    pub fn write_at(&self, buffer: &wgpu::Buffer, start: usize, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.queue.write_buffer(buffer, 4 * start as u64, &bytes);
    }

    /// Binds buffers to a kernel in the order of their numbers.
    pub fn bind(&self, shader: &Shader, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let numbered: Vec<_> = (0..).zip(buffers.iter().copied()).collect();
        self.bind_numbered(shader, &numbered)
    }

    /// Binds buffers to a kernel, each with its binding number.
    pub fn bind_numbered(&self, shader: &Shader, buffers: &[(u32, &wgpu::Buffer)]) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .map(|&(binding, b)| wgpu::BindGroupEntry { binding, resource: b.as_entire_binding() })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &shader.0.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    /// Runs a kernel `times` times in succession, on `workgroups` workgroups each time.
    pub fn dispatch(&self, shader: &Shader, bound: &wgpu::BindGroup, workgroups: u32, times: usize) {
        self.dispatch_sequence(std::iter::repeat_n((shader, bound, workgroups), times));
    }

    /// Runs kernels in succession, each on its own number of workgroups.
    pub fn dispatch_sequence<'k>(&self, steps: impl Iterator<Item = (&'k Shader, &'k wgpu::BindGroup, u32)>) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut count = 0;
        {
            let mut timer = self.timer.as_ref().map(lock);
            let timestamp_writes = timer.as_mut().and_then(|timer| timer.next_pass());
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            for (shader, bound, workgroups) in steps {
                pass.set_pipeline(&shader.0);
                pass.set_bind_group(0, bound, &[]);
                pass.dispatch_workgroups(workgroups, 1, 1);
                count += 1;
            }
        }
        self.queue.submit([encoder.finish()]);
        self.counts.dispatches.fetch_add(count, Ordering::Relaxed);
    }

    /// Starts to copy the first `words` words of a buffer to the host, after all work so far.
    pub fn start_read(&self, buffer: &wgpu::Buffer, words: usize) -> Outcome<Reading> {
        self.start_read_from(buffer, 0, words)
    }

    /// Starts to copy `words` words of a buffer, from word `start` on, to the host.
    pub fn start_read_from(&self, buffer: &wgpu::Buffer, start: usize, words: usize) -> Outcome<Reading> {
        self.counts.readbacks.fetch_add(1, Ordering::Relaxed);
        self.copy_out(buffer, 4 * start as u64, 4 * words as u64)
    }

    fn copy_out(&self, buffer: &wgpu::Buffer, start: u64, size: u64) -> Outcome<Reading> {
        let staging = self.buffer(size, Usage::MAP_READ | Usage::COPY_DST)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, start, &staging, 0, size);
        let submission = self.queue.submit([encoder.finish()]);
        let (done, mapped) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = done.send(result);
        });
        Ok(Reading { staging, submission, mapped })
    }

    /// Waits for a copy and returns its words.
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

    /// Adds finished work to the counters.
    pub fn count(&self, decoded: u64, encoded: u64, weight_bytes: u64) {
        self.counts.decoded.fetch_add(decoded, Ordering::Relaxed);
        self.counts.encoded.fetch_add(encoded, Ordering::Relaxed);
        self.counts.weight_bytes.fetch_add(weight_bytes, Ordering::Relaxed);
    }

    /// The counters so far. Waits for kernels whose time is being measured.
    pub fn counters(&self) -> GpuCounters {
        if let Some(nanoseconds) = self.timer.as_ref().and_then(|t| self.read_timer(&mut lock(t)).ok()) {
            self.counts.kernel_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        }
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        GpuCounters {
            decoded_bytes: get(&self.counts.decoded),
            encoded_bytes: get(&self.counts.encoded),
            dispatches: get(&self.counts.dispatches),
            readbacks: get(&self.counts.readbacks),
            weight_bytes: get(&self.counts.weight_bytes),
            kernel_nanoseconds: get(&self.counts.kernel_nanoseconds),
        }
    }

    /// The nanoseconds that kernels have run since the last call, as far as they were measured.
    fn read_timer(&self, timer: &mut Timer) -> Outcome<u64> {
        let count = std::mem::take(&mut timer.used);
        if count == 0 {
            return Ok(0);
        }
        let bytes = 8 * u64::from(count);
        let resolved = self.buffer(bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.resolve_query_set(&timer.set, 0..count, &resolved, 0);
        self.queue.submit([encoder.finish()]);
        let words = self.finish_read(self.copy_out(&resolved, 0, bytes)?)?;
        let times: Vec<u64> =
            words.as_chunks().0.iter().map(|&[l, h]| u64::from(h) << 32 | u64::from(l)).collect();
        let ticks: u64 = times.as_chunks().0.iter().map(|&[start, end]| end.saturating_sub(start)).sum();
        Ok((ticks as f64 * f64::from(timer.period)) as u64)
    }

    /// Makes the GPU fail as if it had been lost.
    #[cfg(test)]
    pub fn lose(&self) {
        self.device.destroy();
    }
}

/// Measures the time of passes, where the driver supports that.
struct Timer {
    set: wgpu::QuerySet,
    /// The nanoseconds of a tick.
    period: f32,
    /// The number of queries written so far, two per pass. Passes for which there is no room are not
    /// measured.
    used: u32,
}

impl Timer {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        let offered = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        offered.then(|| Self {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: wgpu::QUERY_SET_MAX_QUERIES,
            }),
            period: queue.get_timestamp_period(),
            used: 0,
        })
    }

    fn next_pass(&mut self) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let first = self.used;
        if first + 2 > wgpu::QUERY_SET_MAX_QUERIES {
            return None;
        }
        self.used += 2;
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }
}

/// A copy to the host that is under way.
pub struct Reading {
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}
