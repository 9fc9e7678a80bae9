use burn::tensor::{Device, Tensor};

/// The kind of a mask, which says which channel groups an output may read at its own position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskKind {
    /// The groups before its own, for the first layer, whose inputs are the image's channels.
    A,
    /// The groups up to its own, for all other layers.
    B,
}

/// Creates the mask of the weights between channel groups (van den Oord et al., "Pixel Recurrent
/// Neural Networks", 2016, section 3.4): 1 where the group of the output may read the group of the
/// input, else 0.
///
/// Features are in `groups` contiguous groups, one per image channel. `parts` repeats the mask for
/// outputs that stack several feature maps, such as the two halves of a gate.
///
/// # Shapes
///
/// - output: `[features_out, features_in]`
///
/// # Panics
///
/// Panics if `features_out / parts` or `features_in` is not a multiple of `groups`.
pub(crate) fn group_mask(
    [features_out, features_in]: [usize; 2],
    groups: usize,
    parts: usize,
    kind: MaskKind,
    device: &Device,
) -> Tensor<2> {
    let out = features_out / parts;
    assert!(
        out * parts == features_out
            && out.is_multiple_of(groups)
            && features_in.is_multiple_of(groups),
        "{parts} part(s) of {features_out} outputs and {features_in} inputs \
         must each divide into {groups} group(s)"
    );
    let values: Vec<f32> = (0..features_out)
        .flat_map(|o| (0..features_in).map(move |i| (o % out / (out / groups), i)))
        .map(|(group, i)| {
            let read = i / (features_in / groups);
            let may = match kind {
                MaskKind::A => read < group,
                MaskKind::B => read <= group,
            };
            f32::from(u8::from(may))
        })
        .collect();
    Tensor::<1>::from_data(values.as_slice(), device).reshape([features_out, features_in])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(shape: [usize; 2], groups: usize, parts: usize, kind: MaskKind) -> Vec<f32> {
        let mask = group_mask(shape, groups, parts, kind, &Device::flex());
        mask.to_data().try_to_vec().unwrap()
    }

    #[test]
    fn lower_triangle_of_groups() {
        let b = [1., 0., 0., 1., 1., 0., 1., 1., 1.];
        let a = [0., 0., 0., 1., 0., 0., 1., 1., 0.];
        assert_eq!(mask([3, 3], 3, 1, MaskKind::B), b);
        assert_eq!(mask([3, 3], 3, 1, MaskKind::A), a);
        assert_eq!(mask([6, 3], 3, 2, MaskKind::A), [a, a].concat());
        assert_eq!(mask([2, 1], 1, 1, MaskKind::A), [0., 0.]);
    }

    #[test]
    #[should_panic = "5 outputs and 3 inputs must each divide into 3 group(s)"]
    fn uneven_groups() {
        mask([5, 3], 3, 1, MaskKind::B);
    }
}
