/// Panics with the names and shapes of some arguments if they do not broadcast, since the message of
/// a backend names none of them.
pub(crate) fn assert_broadcast<const D: usize, const N: usize>(arguments: [(&str, [usize; D]); N]) {
    let fits = (0..D).all(|axis| {
        let mut sizes = arguments
            .iter()
            .map(|(_, shape)| shape[axis])
            .filter(|&size| size != 1);
        let first = sizes.next();
        sizes.all(|size| Some(size) == first)
    });
    let each = arguments.map(|(name, shape)| format!("{name} {shape:?}"));
    let (last, others) = each.split_last().expect("shapes of some arguments");
    assert!(
        fits,
        "{} and {last} do not broadcast: the sizes of an axis must be equal or 1",
        others.join(", ")
    );
}

/// The shape that shapes which broadcast have together.
pub(crate) fn broadcast_shape<const D: usize, const N: usize>(
    shapes: [[usize; D]; N],
) -> [usize; D] {
    core::array::from_fn(|axis| {
        let mut sizes = shapes.iter().map(|shape| shape[axis]);
        sizes.find(|&size| size != 1).unwrap_or(1)
    })
}
