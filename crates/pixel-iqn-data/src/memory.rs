//! Room in memory, which is asked for before it is taken: a set that does not fit has to be an error,
//! not the end of the process.

use crate::{
    error::{DataError, Result},
    sizes::element_count,
};

/// Creates a vector with room for as many elements as the product of the dimensions.
///
/// # Errors
///
/// [`DataError::Memory`] if that is more memory than there is.
pub(crate) fn room<T>(shape: &[usize]) -> Result<Vec<T>> {
    room_within(shape, available())
}

/// Makes room for further elements, with some in reserve where there are elements already.
///
/// # Errors
///
/// [`DataError::Memory`] if that is more memory than there is.
pub(crate) fn reserve<T>(elements: &mut Vec<T>, more: usize) -> Result<()> {
    if elements.capacity() - elements.len() >= more {
        return Ok(());
    }
    // Growing may move all of them, for which the old and the new place are needed at once.
    let total = elements.len().saturating_add(more.max(elements.len()));
    let mut grown = room(&[total])?;
    grown.append(elements);
    *elements = grown;
    Ok(())
}

fn room_within<T>(shape: &[usize], available: Option<u64>) -> Result<Vec<T>> {
    let bytes = |bytes: u64, &dim: &usize| bytes.saturating_mul(dim as u64);
    let needed = shape.iter().fold(size_of::<T>() as u64, bytes);
    let too_large = || DataError::Memory { needed, available };
    let count = match element_count(shape) {
        Some(count) if available.is_none_or(|available| needed <= available) => count,
        _ => return Err(too_large()),
    };
    let mut elements = Vec::new();
    // What the allocator refuses, a limit of the process forbids, of which the system's figure says
    // nothing.
    let refused = |_| DataError::Memory {
        needed,
        available: None,
    };
    elements.try_reserve_exact(count).map_err(refused)?;
    Ok(elements)
}

/// Fails unless so many bytes of memory are free, for what is about to be reserved in many pieces.
///
/// ```
/// pixel_iqn_data::check_memory(1 << 10).unwrap();
/// ```
///
/// # Errors
///
/// [`DataError::Memory`] if the system says that less is free. Where it does not say, nothing fails.
pub fn check_memory(needed: u64) -> Result<()> {
    match available() {
        Some(free) if needed > free => Err(DataError::Memory {
            needed,
            available: Some(free),
        }),
        _ => Ok(()),
    }
}

/// Returns the bytes of memory that the system can give without swapping, or `None` where it does
/// not say. This is Linux's estimate, or what is left of the limit of a container or of the process;
/// on other systems only the allocator is asked. All are our choice.
fn available() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let system = of_meminfo(&read("/proc/meminfo")?)?;
    let of_group = |name: &str| read(&format!("/sys/fs/cgroup/memory.{name}"));
    let group = of_group("max")
        .zip(of_group("current"))
        .zip(of_group("stat"))
        .and_then(|((max, current), stat)| of_group_limit(&max, &current, &stat));
    let process = read("/proc/self/limits")
        .zip(read("/proc/self/status"))
        .and_then(|(limits, status)| of_process_limit(&limits, &status));
    [group, process].into_iter().flatten().chain([system]).min()
}

/// Returns what is left of the limit of the address space, as `ulimit -v` sets it; `None` without one.
fn of_process_limit(limits: &str, status: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let used = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))?;
    let used: u64 = used.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(limit.saturating_sub(used * 1024))
}

/// Returns what is left of the limit of a control group; `None` without a limit. Pages of files that
/// were not used of late count as free, as in the system's own figure.
fn of_group_limit(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let inactive = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "));
    let inactive = inactive.and_then(|bytes| bytes.trim().parse().ok());
    Some(max.saturating_sub(current.saturating_sub(inactive.unwrap_or(0))))
}

fn of_meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_measured_before_it_is_taken() {
        // A thousand pictures of 4096 x 4096 in colour, with 8 GiB free.
        let error = room_within::<u8>(&[1000, 3, 4096, 4096], Some(8 << 30)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "46.9 GiB of memory are needed, but 8.0 GiB are free: take fewer or smaller images"
        );
        let words = |bytes| room_within::<u32>(&[5, 5], Some(bytes));
        assert!(words(99).is_err() && words(100).unwrap().capacity() >= 25);
        // Products that overflow, and what no allocator has, without a limit.
        for shape in [[usize::MAX, 2], [usize::MAX, 1]] {
            let error = room_within::<u16>(&shape, None).unwrap_err().to_string();
            assert!(error.contains("but there is less"), "{error}");
        }
    }

    #[test]
    fn what_the_allocator_refuses_is_not_called_free() {
        // More than any address space holds, although the system says that it is there.
        let error = room_within::<u8>(&[1 << 62], Some(u64::MAX)).unwrap_err();
        assert!(error.to_string().contains("but there is less"), "{error}");
    }

    #[test]
    fn vectors_grow_where_there_is_room() {
        let mut elements = vec![1u8, 2];
        reserve(&mut elements, 100).unwrap();
        assert!(elements == [1, 2] && elements.capacity() >= 102);
        assert!(reserve(&mut elements, usize::MAX).is_err());
    }

    #[test]
    fn linux_says_what_is_free() {
        let text = "MemTotal:       32 kB\nMemFree:   1 kB\nMemAvailable:   12 kB\n";
        assert_eq!(of_meminfo(text), Some(12 << 10));
        assert_eq!(of_meminfo("MemFree: 1 kB"), None);
        let stat = "anon 5\ninactive_file 30\nactive_file 7\n";
        assert_eq!(of_group_limit("100\n", "90\n", stat), Some(40));
        assert_eq!(of_group_limit("100\n", "90\n", ""), Some(10));
        assert_eq!(of_group_limit("100\n", "190\n", stat), Some(0));
        assert_eq!(of_group_limit("max\n", "90\n", stat), None);
        let limits = "Max processes  7 7 processes\nMax address space  10240  unlimited  bytes\n";
        let status = "Name: x\nVmSize:\t    6 kB\n";
        assert_eq!(of_process_limit(limits, status), Some(4096));
        let none = limits.replace("10240", "unlimited");
        assert_eq!(of_process_limit(&none, status), None);
        assert_eq!(check_memory(1 << 60).is_err(), cfg!(target_os = "linux"));
        assert_eq!(available().is_some(), cfg!(target_os = "linux"));
    }
}
