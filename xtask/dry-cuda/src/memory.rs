//! Memory of the host in place of a device's.

use core::ffi::{c_int, c_uint, c_void};
use std::alloc::{Layout, alloc_zeroed, dealloc};

use crate::{Handle, SUCCESS, Status, log};

/// The memory that the device says it has, in bytes. Pages that nothing touches take none of the host.
pub(crate) const TOTAL: usize = 64 << 30;

const OUT_OF_MEMORY: Status = 2;

/// What the host's memory is aligned to without being written; before each allocation as many bytes hold its size.
const ALIGNMENT: usize = 16;

fn take(bytes: usize) -> Option<*mut u8> {
    let size = bytes.checked_add(ALIGNMENT)?;
    let layout = Layout::from_size_align(size, ALIGNMENT).ok()?;
    // SAFETY: the size is not zero.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    // SAFETY: there are `ALIGNMENT` bytes before what is given.
    unsafe {
        start.cast::<usize>().write(size);
        Some(start.add(ALIGNMENT))
    }
}

unsafe fn give_back(memory: *mut u8) -> Status {
    if !memory.is_null() {
        // SAFETY: the memory is from `take`, which wrote its size before it.
        unsafe {
            let start = memory.sub(ALIGNMENT);
            let size = start.cast::<usize>().read();
            dealloc(start, Layout::from_size_align_unchecked(size, ALIGNMENT));
        }
    }
    SUCCESS
}

/// Gives memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(to: *mut *mut u8, bytes: usize) -> Status {
    log::allocation(bytes);
    match take(bytes) {
        Some(memory) => {
            // SAFETY: the caller gives a pointer to a pointer.
            unsafe { *to = memory };
            SUCCESS
        }
        None => OUT_OF_MEMORY,
    }
}

/// Gives memory, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(to: *mut *mut u8, bytes: usize, _: Handle) -> Status {
    // SAFETY: the contract is the same.
    unsafe { cuMemAlloc_v2(to, bytes) }
}

/// Gives memory of the host, which all is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(to: *mut *mut u8, bytes: usize) -> Status {
    // SAFETY: the contract is the same.
    unsafe { cuMemAlloc_v2(to, bytes) }
}

/// Takes memory back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(memory: *mut u8) -> Status {
    // SAFETY: the caller gives back what it was given.
    unsafe { give_back(memory) }
}

/// Takes memory back, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(memory: *mut u8, _: Handle) -> Status {
    // SAFETY: the caller gives back what it was given.
    unsafe { give_back(memory) }
}

/// Takes memory of the host back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(memory: *mut u8) -> Status {
    // SAFETY: the caller gives back what it was given.
    unsafe { give_back(memory) }
}

/// Copies to the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: *mut u8,
    from: *const u8,
    bytes: usize,
    _: Handle,
) -> Status {
    // SAFETY: the caller gives two ranges of as many bytes.
    unsafe { core::ptr::copy(from, to, bytes) };
    SUCCESS
}

/// Copies to the host, which is a read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut u8,
    from: *const u8,
    bytes: usize,
    _: Handle,
) -> Status {
    log::read(bytes);
    // SAFETY: the caller gives two ranges of as many bytes.
    unsafe { core::ptr::copy(from, to, bytes) };
    SUCCESS
}

/// Copies within the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(
    to: *mut u8,
    from: *const u8,
    bytes: usize,
    stream: Handle,
) -> Status {
    // SAFETY: the contract is the same, as all memory is the host's.
    unsafe { cuMemcpyHtoDAsync_v2(to, from, bytes, stream) }
}

/// Fills memory with a byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8Async(
    to: *mut u8,
    value: u8,
    bytes: usize,
    _: Handle,
) -> Status {
    // SAFETY: the caller gives a range of as many bytes.
    unsafe { core::ptr::write_bytes(to, value, bytes) };
    SUCCESS
}

/// `CUmemorytype`: memory of the host.
const HOST: c_uint = 1;

/// One side of a copy of a rectangle.
#[repr(C)]
struct Side {
    x: usize,
    y: usize,
    kind: c_int,
    host: *mut c_void,
    device: *mut c_void,
    array: Handle,
    pitch: usize,
}

impl Side {
    fn is_host(&self) -> bool {
        self.kind as c_uint == HOST
    }

    /// The start of a row.
    unsafe fn row(&self, row: usize) -> *mut u8 {
        let base = if self.is_host() {
            self.host
        } else {
            self.device
        };
        // SAFETY: the caller of the copy gives a rectangle within the memory.
        unsafe { base.cast::<u8>().add((self.y + row) * self.pitch + self.x) }
    }
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
pub struct Rectangle {
    from: Side,
    to: Side,
    width: usize,
    height: usize,
}

/// Copies a rectangle, which is a read where it goes to the host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: *const Rectangle, _: Handle) -> Status {
    // SAFETY: the caller gives a pointer to a description of two rectangles of the same size.
    unsafe {
        let copy = &*copy;
        if copy.to.is_host() {
            log::read(copy.width * copy.height);
        }
        for row in 0..copy.height {
            core::ptr::copy(copy.from.row(row), copy.to.row(row), copy.width);
        }
    }
    SUCCESS
}
