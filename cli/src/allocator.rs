//! Settings of the allocator of glibc; others give large buffers back of their own accord or have no such setting.
//!
//! It would learn how large buffers are and keep up to 64 MiB for each thread that has ever freed one (mallopt(3),
//! `M_MMAP_THRESHOLD`): a multiple of the memory cap for files, and too little for training, which takes and frees
//! larger ones in each step.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), allow(unsafe_code))]

/// Has buffers of 1 MiB and more given back to the system as soon as they are freed, unless the user has set a threshold.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_MMAP_THRESHOLD_").is_none() {
        set(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// Has all buffers that are freed kept for later ones.
#[cfg(feature = "train")]
pub(crate) fn keep_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        set(libc::M_MMAP_MAX, 0);
        set(libc::M_TRIM_THRESHOLD, -1);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set(parameter: libc::c_int, value: libc::c_int) {
    // SAFETY: sets a number that later allocations read, under the allocator's own lock.
    unsafe { libc::mallopt(parameter, value) };
}
