/// A generation order: the raster order of the image after it was transposed or turned around.
///
/// The joint distribution of an image factorises over any order of its values. A model of eight
/// orders (`ModelConfig::orders`) is told which one through an embedding beside the label's, so
/// that the values before a value can be the rows above it, those below, or the columns on either
/// side. The channels of a pixel keep their order.
///
/// Of the index, bit 4 transposes the image, then bit 2 turns its rows around, then bit 1 its
/// columns. The permutations of the raster are our choice.
///
/// ```
/// use pixel_iqn_core::Order;
///
/// // From the lowest row to the highest, each from left to right.
/// let upwards = Order::new(2).unwrap();
/// assert_eq!(upwards.reorder_values(&['a', 'b', 'c', 'd'], [2, 2]), ['c', 'd', 'a', 'b']);
/// assert_eq!(Order::default(), Order::RASTER);
/// assert!(Order::new(8).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Order(pub(crate) u8);

impl Order {
    /// The number of orders.
    pub const COUNT: usize = 8;
    /// Raster order: row by row from the top, each from left to right.
    pub const RASTER: Self = Self(0);

    /// Returns the order with an index, from 0, which is raster order, to 7.
    pub fn new(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }

    /// Returns the first `count` orders, those of a model with `orders = count`.
    ///
    /// # Panics
    ///
    /// Panics if there are not that many.
    pub fn first(count: usize) -> impl Iterator<Item = Self> + Clone {
        assert!(count <= Self::COUNT, "there are 8 orders, not {count}");
        (0..count as u8).map(Self)
    }

    /// The index, from 0 to 7.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Whether rows and columns change places.
    pub fn transposes(self) -> bool {
        self.0 & 4 != 0
    }

    /// The height and width of an image of size `[height, width]` after
    /// [`reorder_values`](Self::reorder_values).
    pub fn size(self, [height, width]: [usize; 2]) -> [usize; 2] {
        if self.transposes() {
            [width, height]
        } else {
            [height, width]
        }
    }

    /// The row and column, in an image of size `[height, width]`, of the pixel that comes at a row
    /// and column of the reordered image.
    pub fn position(self, [row, column]: [usize; 2], size: [usize; 2]) -> [usize; 2] {
        let [height, width] = self.size(size);
        let row = if self.0 & 2 != 0 {
            height - 1 - row
        } else {
            row
        };
        let column = if self.0 & 1 != 0 {
            width - 1 - column
        } else {
            column
        };
        if self.transposes() {
            [column, row]
        } else {
            [row, column]
        }
    }

    /// Turns planes of values on the host, so that the raster order of the result is this generation order of them.
    ///
    /// # Shapes
    ///
    /// - `values`: `[.., height, width]` with `size` as height and width
    ///
    /// # Panics
    ///
    /// Panics if `values` is not a whole number of planes.
    pub fn reorder_values<T: Copy>(self, values: &[T], size: [usize; 2]) -> Vec<T> {
        let plane = size[0] * size[1];
        assert!(values.len().is_multiple_of(plane), "whole planes");
        if self == Self::RASTER {
            return values.to_vec();
        }
        let places = self.places(size);
        let planes = values.chunks_exact(plane);
        planes
            .flat_map(|plane| places.iter().map(|&place| plane[place]))
            .collect()
    }

    /// Turns planes of values on the host back, the inverse of [`reorder_values`](Self::reorder_values).
    ///
    /// # Shapes
    ///
    /// - `values`: planes of the reordered image, of an image with `size` as height and width
    /// - output: `[.., height, width]`
    ///
    /// # Panics
    ///
    /// Panics if `values` is not a whole number of planes.
    pub fn restore_values<T: Copy>(self, values: &[T], size: [usize; 2]) -> Vec<T> {
        let plane = size[0] * size[1];
        assert!(values.len().is_multiple_of(plane), "whole planes");
        let mut restored = values.to_vec();
        if self == Self::RASTER {
            return restored;
        }
        let places = self.places(size);
        let planes = values.chunks_exact(plane);
        for (plane, restored) in planes.zip(restored.chunks_exact_mut(plane)) {
            for (value, &place) in plane.iter().zip(&places) {
                restored[place] = *value;
            }
        }
        restored
    }

    /// The index in the image of each pixel of the reordered image.
    fn places(self, size: [usize; 2]) -> Vec<usize> {
        let [height, width] = self.size(size);
        let pixels = (0..height * width).map(|pixel| [pixel / width, pixel % width]);
        pixels
            .map(|pixel| self.position(pixel, size))
            .map(|[row, column]| row * size[1] + column)
            .collect()
    }

    /// Chooses, of the first `orders`, the one in which most of the known pixels come before the
    /// missing ones: the largest number of pairs of a missing pixel and a known one before it. Of
    /// equal orders it is the first.
    ///
    /// # Shapes
    ///
    /// - `missing`: `[height, width]` with `size` as height and width
    ///
    /// # Panics
    ///
    /// Panics if `missing` has another size.
    pub fn for_region(missing: &[bool], size: [usize; 2], orders: usize) -> Self {
        assert_eq!(missing.len(), size[0] * size[1], "one entry per pixel");
        let pairs = |order: &Self| {
            let mut known = 0u64;
            let pixels = order.reorder_values(missing, size).into_iter();
            let before = pixels.filter_map(|missing| {
                known += u64::from(!missing);
                missing.then_some(known)
            });
            // The latest of equal maxima wins, so the first order must be the largest.
            (before.sum::<u64>(), core::cmp::Reverse(order.index()))
        };
        Self::first(orders).max_by_key(pairs).unwrap_or_default()
    }
}

impl core::fmt::Display for Order {
    /// Writes the index.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_region_begins_at_the_known_side() {
        let size = [4, 4];
        let chosen = |missing: &dyn Fn(usize, usize) -> bool| {
            let missing: Vec<bool> = (0..16).map(|i| missing(i / 4, i % 4)).collect();
            Order::for_region(&missing, size, 8)
        };
        // Of two orders that are equally good, the first is taken.
        assert_eq!(chosen(&|row, _| row >= 2), Order::RASTER);
        assert_eq!(chosen(&|row, _| row < 2).index(), 2);
        assert_eq!(chosen(&|_, column| column >= 2).index(), 4);
        assert_eq!(chosen(&|_, column| column < 2).index(), 6);
        assert_eq!(Order::for_region(&[true; 16], size, 1), Order::RASTER);
    }
}
