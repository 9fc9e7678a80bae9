/// Makes the allocator of glibc keep the memory that this process frees.
///
/// Training allocates and frees buffers of megabytes many times in a step. By default glibc returns
/// each to the system, which clears its pages again at the next allocation: about a tenth of the
/// time of a step. A program should call this once, before it trains. On other systems it does
/// nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, i32::MAX)] {
        // SAFETY: `mallopt` accepts any parameter and value, and reports those it does not know.
        unsafe { libc::mallopt(parameter, value) };
    }
}
