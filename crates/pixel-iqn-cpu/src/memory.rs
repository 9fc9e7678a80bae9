/// Tells the C library's allocator to keep the memory that this process frees.
///
/// Training makes and drops buffers of megabytes many times in a step. By default glibc gives each
/// back to the system, which then clears its pages anew: about a tenth of the time of a step. A
/// program calls this once, before it trains; other systems keep their defaults.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, i32::MAX)] {
        // SAFETY: `mallopt` takes any parameter and value, and reports those it does not know.
        unsafe { libc::mallopt(parameter, value) };
    }
}
