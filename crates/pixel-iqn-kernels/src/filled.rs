use core::mem::MaybeUninit;

use rayon::prelude::*;

/// Returns `len` numbers that `write` computes part by part, on all threads.
///
/// The numbers are in blocks of `block`, and each of these in parts of `part`; the last ones are what is
/// left. `write(i, j, numbers)` gets part `j` of block `i`, which is zero: each thread clears a part just
/// before it writes there, while it is in its caches. A vector that one thread clears beforehand leaves the
/// others idle, and the memory is written twice.
///
/// # Panics
///
/// Panics if `block` or `part` is 0 and `len` is not.
pub(crate) fn filled<T: Copy + Default + Send>(
    len: usize,
    [block, part]: [usize; 2],
    write: impl Fn(usize, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut numbers = Vec::with_capacity(len);
    if len == 0 {
        return numbers;
    }
    let room: &mut [MaybeUninit<T>] = &mut numbers.spare_capacity_mut()[..len];
    room.par_chunks_mut(block)
        .enumerate()
        .for_each(|(i, room)| {
            room.par_chunks_mut(part).enumerate().for_each(|(j, room)| {
                room.fill(MaybeUninit::new(T::default()));
                // SAFETY: all of them were written just now.
                write(i, j, unsafe { room.assume_init_mut() });
            });
        });
    // SAFETY: the parts are all `len` numbers, and each was written.
    unsafe { numbers.set_len(len) };
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_zero_and_in_their_places() {
        let numbers = filled(10, [4, 3], |i, j, part: &mut [f32]| {
            assert!(part.iter().all(|&x| x == 0.0));
            part.fill((10 * i + j) as f32);
        });
        let blocks = [0.0, 0.0, 0.0, 1.0, 10.0, 10.0, 10.0, 11.0, 20.0, 20.0];
        assert_eq!(numbers, blocks);
        assert!(
            filled(0, [0, 0], |_, _, _: &mut [f32]| unreachable!(
                "there are no parts"
            ))
            .is_empty()
        );
    }
}
