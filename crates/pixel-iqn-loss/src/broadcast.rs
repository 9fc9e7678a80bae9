/// Panics with the names and shapes of three arguments if they do not broadcast, since the message
/// of a backend names none of them.
pub(crate) fn assert_broadcast<const D: usize>(arguments: [(&str, [usize; D]); 3]) {
    let fits = (0..D).all(|axis| {
        let mut sizes = arguments
            .iter()
            .map(|(_, shape)| shape[axis])
            .filter(|&size| size != 1);
        let first = sizes.next();
        sizes.all(|size| Some(size) == first)
    });
    let [(a, a_shape), (b, b_shape), (c, c_shape)] = arguments;
    assert!(
        fits,
        "{a} {a_shape:?}, {b} {b_shape:?} and {c} {c_shape:?} do not broadcast: \
         the sizes of an axis must be equal or 1"
    );
}
