//! A CUDA driver for a machine without a GPU. It gives memory of the host, loads every program that is compiled
//! for it, and launches none, so that all results are zeros or what was copied to the device.
//!
//! With it a program that trains on CUDA runs as far as the host goes: every kernel is compiled by NVRTC, and every
//! launch is made. That tells which kernels are compiled and how many are launched in a step, and how long the host
//! takes for both. It tells nothing of what a GPU would compute, or how fast.
//!
//! It says that it is an H200. The environment variable `DRY_CUDA_LOG` names a file that gets a line for each event:
//! `module NAME`, `launch NAME`, `allocate BYTES`, and `read BYTES` where the host waits for a result. `DRY_CUDA_PTX` names a folder
//! that gets the program of each module, for `ptxas`.
//!
//! docs/devices.md says how to run it.

#![allow(
    non_snake_case,
    clippy::missing_safety_doc,
    reason = "the names and contracts are those of the CUDA driver API"
)]

mod log;
mod memory;

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// `CUresult`: 0 is success.
type Status = c_int;

const SUCCESS: Status = 0;
const NOT_SUPPORTED: Status = 801;

/// Defines functions that do nothing and succeed.
macro_rules! succeed {
    ($($name:ident($($argument:ty),*);)*) => {$(
        /// It does nothing.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) -> Status {
            SUCCESS
        }
    )*};
}

/// Defines functions that write one value to their first argument.
macro_rules! write {
    ($($name:ident($type:ty $(, $argument:ty)*) = $value:expr;)*) => {$(
        /// It writes one value.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(to: *mut $type $(, _: $argument)*) -> Status {
            // SAFETY: the caller gives a pointer to a value of the type.
            unsafe { *to = $value };
            SUCCESS
        }
    )*};
}

type Handle = *mut c_void;

/// A handle that no other object has, as the caller must tell them apart.
fn handle() -> Handle {
    static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
    NEXT.fetch_add(1, Ordering::Relaxed) as Handle
}

succeed! {
    cuInit(c_uint);
    cuCtxSetCurrent(Handle);
    cuCtxSynchronize();
    cuDevicePrimaryCtxRelease_v2(c_int);
    cuStreamDestroy_v2(Handle);
    cuStreamSynchronize(Handle);
    cuStreamQuery(Handle);
    cuStreamWaitEvent(Handle, Handle, c_uint);
    cuEventRecord(Handle, Handle);
    cuEventSynchronize(Handle);
    cuEventQuery(Handle);
    cuEventDestroy_v2(Handle);
    cuModuleUnload(Handle);
    cuFuncSetAttribute(Handle, c_int, c_int);
}

write! {
    cuDriverGetVersion(c_int) = 13_000;
    cuDeviceGetCount(c_int) = 1;
    cuDeviceGet(c_int, c_int) = 0;
    cuDeviceTotalMem_v2(usize, c_int) = memory::TOTAL;
    cuDeviceGetUuid([u8; 16], c_int) = [1; 16];
    cuDeviceGetUuid_v2([u8; 16], c_int) = [1; 16];
    cuDevicePrimaryCtxRetain(Handle, c_int) = 1 as Handle;
    cuCtxGetCurrent(Handle) = 1 as Handle;
    cuStreamCreate(Handle, c_uint) = handle();
    cuStreamCreateWithPriority(Handle, c_uint, c_int) = handle();
    cuEventCreate(Handle, c_uint) = handle();
    cuEventElapsedTime(f32, Handle, Handle) = 1e-3;
    cuEventElapsedTime_v2(f32, Handle, Handle) = 1e-3;
    cuFuncGetAttribute(c_int, c_int, Handle) = 0;
}

/// Writes a text for any error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(_: Status, to: *mut *const c_char) -> Status {
    // SAFETY: the caller gives a pointer to a text.
    unsafe { *to = c"CUDA_ERROR_OF_A_DRY_RUN".as_ptr() };
    SUCCESS
}

/// Writes a text for any error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(_: Status, to: *mut *const c_char) -> Status {
    // SAFETY: the caller gives a pointer to a text.
    unsafe { *to = c"out of memory, or not supported by a driver without a GPU".as_ptr() };
    SUCCESS
}

/// Writes the lowest and the highest priority.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(low: *mut c_int, high: *mut c_int) -> Status {
    // SAFETY: the caller gives two pointers to integers.
    unsafe { (*low, *high) = (0, -5) };
    SUCCESS
}

/// Writes a property of an H200.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(to: *mut c_int, which: c_int, _: c_int) -> Status {
    let value = match which {
        // Threads of a block, and its sizes along three axes.
        1..=3 => 1024,
        4 => 64,
        // Blocks along three axes.
        5 => i32::MAX,
        6 | 7 => 65_535,
        // Threads of a warp.
        10 => 32,
        // Multiprocessors.
        16 => 132,
        // Compute capability 9.0.
        75 => 9,
        76 => 0,
        // Shared memory of a block that asks for more, in bytes.
        97 => 232_448,
        _ => 1,
    };
    // SAFETY: the caller gives a pointer to an integer.
    unsafe { *to = value };
    SUCCESS
}

/// Writes a text with a zero at its end into `length` bytes.
unsafe fn write_text(to: *mut c_char, length: c_int, text: &CStr) -> Status {
    let bytes = text.to_bytes_with_nul();
    if bytes.len() > length as usize {
        return NOT_SUPPORTED;
    }
    // SAFETY: the caller gives room for `length` bytes, which are enough.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len()) };
    SUCCESS
}

/// Writes the name of the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(to: *mut c_char, length: c_int, _: c_int) -> Status {
    // SAFETY: the contract is the same.
    unsafe { write_text(to, length, c"dry run of an NVIDIA H200") }
}

/// Writes the place of the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetPCIBusId(to: *mut c_char, length: c_int, _: c_int) -> Status {
    // SAFETY: the contract is the same.
    unsafe { write_text(to, length, c"0000:01:00.0") }
}

/// There is no such number outside of Windows.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetLuid(_: *mut c_char, _: *mut c_uint, _: c_int) -> Status {
    NOT_SUPPORTED
}

/// Takes a compiled program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(to: *mut Handle, program: *const c_void) -> Status {
    // SAFETY: the caller gives a pointer to a handle, and a program as a text with a zero at its end.
    let program = unsafe {
        *to = handle();
        CStr::from_ptr(program.cast())
    };
    log::module(program);
    SUCCESS
}

/// Takes a compiled program, without looking at the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    to: *mut Handle,
    program: *const c_void,
    _: c_uint,
    _: *mut c_int,
    _: *mut *mut c_void,
) -> Status {
    // SAFETY: the contract is the same.
    unsafe { cuModuleLoadData(to, program) }
}

/// Gives a kernel of a program: its handle is its name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    to: *mut Handle,
    _: Handle,
    name: *const c_char,
) -> Status {
    // SAFETY: the caller gives a pointer to a handle, and a name with a zero at its end. The copy is never
    // freed, so that it outlives every launch.
    unsafe { *to = CStr::from_ptr(name).to_owned().into_raw().cast() };
    SUCCESS
}

/// Launches nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    kernel: Handle,
    _: c_uint,
    _: c_uint,
    _: c_uint,
    _: c_uint,
    _: c_uint,
    _: c_uint,
    _: c_uint,
    _: Handle,
    _: *mut *mut c_void,
    _: *mut *mut c_void,
) -> Status {
    // SAFETY: handles of kernels are names, see `cuModuleGetFunction`.
    log::launch(unsafe { CStr::from_ptr(kernel.cast()) });
    SUCCESS
}

/// Launches nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernelEx(
    _: *const c_void,
    kernel: Handle,
    _: *mut *mut c_void,
    _: *mut *mut c_void,
) -> Status {
    // SAFETY: handles of kernels are names, see `cuModuleGetFunction`.
    log::launch(unsafe { CStr::from_ptr(kernel.cast()) });
    SUCCESS
}
