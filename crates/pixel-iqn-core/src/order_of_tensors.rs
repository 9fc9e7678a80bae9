//! Generation orders of tensors.

use burn::tensor::Tensor;

use crate::order::Order;

impl Order {
    /// Turns images so that the raster order of the result is this generation order of `x`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[.., height, width]`
    /// - output: `[.., height, width]`, or `[.., width, height]` where the order
    ///   [transposes](Self::transposes)
    pub fn reorder<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let x = if self.transposes() {
            x.swap_dims(D - 2, D - 1)
        } else {
            x
        };
        self.flip(x)
    }

    /// Turns images back: the inverse of [`reorder`](Self::reorder).
    ///
    /// # Shapes
    ///
    /// - `x`: `[.., height, width]`
    /// - output: `[.., height, width]`, or `[.., width, height]` where the order
    ///   [transposes](Self::transposes)
    pub fn restore<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let x = self.flip(x);
        if self.transposes() {
            x.swap_dims(D - 2, D - 1)
        } else {
            x
        }
    }

    /// Turns rows and columns around, as the order says.
    fn flip<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let flips = [(2, D - 2), (1, D - 1)].into_iter();
        flips
            .filter(|(bit, _)| self.0 & bit != 0)
            .fold(x, |x, (_, axis)| x.flip([axis as isize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    const SIZE: [usize; 2] = [2, 3];

    #[test]
    fn tensors_and_values_turn_alike_and_back() {
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        let x = Tensor::<1>::from_data(values.as_slice(), &Device::flex()).reshape([2, 1, 2, 3]);
        let mut seen = std::collections::HashSet::new();
        for order in Order::first(8) {
            let turned = order.reorder(x.clone());
            let [_, _, height, width] = turned.dims();
            assert_eq!([height, width], order.size(SIZE));
            assert_eq!(order.restore(turned.clone()).to_data(), x.to_data());
            let turned: Vec<f32> = turned.into_data().try_to_vec().unwrap();
            assert_eq!(order.reorder_values(&values, SIZE), turned);
            assert_eq!(order.restore_values(&turned, SIZE), values);
            // The size and the pixels together tell all orders apart.
            assert!(seen.insert(format!("{height} {turned:?}")));
        }
    }
}
