//! The horizontal stack of all layers at one value of each image, for sampling.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, each, empty, expect_shape};

/// The horizontal stack of a layer: how far left of a position it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrunkLayer {
    /// The taps left of the position.
    pub left: usize,
    /// The distance of neighbouring taps.
    pub dilation: usize,
}

/// The weights of the horizontal stacks of all layers, in the order in which a kernel reads them.
///
/// For each layer and in it for each of `C` channel groups of `G` features, one after the other, these are
///
/// - `[left * I + reads, 2 G]`: the weights of the gates of the group. The inputs are those of the taps to the left, the
///   farthest first, and those of the position that the group may read. `I` is `C` and `reads` the group's index in the
///   first layer (mask A), `I` is `C G` and `reads` is `G` times the next index in the others (mask B);
/// - `[(group + 1) G, G]` and `[G]`: the weights and biases of the 1x1 convolution to the group's output.
#[derive(Debug)]
pub struct TrunkWeights {
    weights: CubeTensor,
    /// For each layer its taps to the left and their dilation, then for each layer and group where its weights
    /// begin.
    table: Handle,
    table_len: usize,
    layers: usize,
    groups: usize,
    group: usize,
}

impl TrunkWeights {
    /// Takes weights in the order above, `[n]`, for groups of `group` features.
    ///
    /// # Panics
    ///
    /// Panics if the number of weights is not that of the layers.
    pub fn new(weights: CubeTensor, layers: &[TrunkLayer], [groups, group]: [usize; 2]) -> Self {
        let mut table: Vec<u32> = Vec::new();
        for layer in layers {
            table.extend([layer.left as u32, layer.dilation as u32]);
        }
        let mut at = 0;
        for (i, layer) in layers.iter().enumerate() {
            let inputs = if i == 0 { groups } else { groups * group };
            for index in 0..groups {
                table.push(u32::try_from(at).expect("the weights are less than 2^32"));
                let reads = if i == 0 { index } else { (index + 1) * group };
                at += (layer.left * inputs + reads) * 2 * group;
                at += (index + 1) * group * group + group;
            }
        }
        expect_shape("the weights", &weights, [at]);
        Self {
            table: weights.client.create_from_slice(u32::as_bytes(&table)),
            table_len: table.len(),
            layers: layers.len(),
            groups,
            group,
            weights,
        }
    }
}

/// One row of a batch of images and its features, as far as they are computed.
#[derive(Debug)]
pub struct TrunkRow<'a> {
    weights: &'a TrunkWeights,
    /// The values, `[images, width, groups]`.
    image: CubeTensor,
    /// The inputs of the layers after the first, `[layers - 1, images, width, groups * group]`.
    inputs: CubeTensor,
    /// The gated features of the position, `[layers, images, groups * group]`.
    gated: CubeTensor,
    /// The output of the last layer at the position after its ReLU, `[images, groups * group]`.
    top: CubeTensor,
    images: usize,
    width: usize,
}

impl<'a> TrunkRow<'a> {
    /// Makes room for the rows of `images` images of a width.
    pub fn new(weights: &'a TrunkWeights, [images, width]: [usize; 2]) -> Self {
        let features = weights.groups * weights.group;
        let empty = |shape: &[usize]| empty(&weights.weights, shape.to_vec());
        Self {
            weights,
            image: empty(&[images, width, weights.groups]),
            inputs: empty(&[(weights.layers - 1).max(1), images, width, features]),
            gated: empty(&[weights.layers, images, features]),
            top: empty(&[images, features]),
            images,
            width,
        }
    }

    /// Takes the values of a channel at a column.
    ///
    /// # Shapes
    ///
    /// - `values`: `[images, 1]`
    ///
    /// # Panics
    ///
    /// Panics if the shape is wrong, the channel or the column is not there, or the tensor is not
    /// [contiguous](crate::contiguous) or not in single precision.
    pub fn set(&mut self, [column, channel]: [usize; 2], values: &CubeTensor) {
        let groups = self.weights.groups;
        expect_shape("the values", values, [self.images, 1]);
        assert!(
            column < self.width && channel < groups,
            "column {column}, channel {channel}"
        );
        let (count, dim) = each(&values.client, self.images);
        // SAFETY: the row has a value of the channel at the column for each image.
        unsafe {
            set_kernel::launch_unchecked(
                &values.client,
                count,
                dim,
                buffer(values, 1),
                buffer(&self.image, 1),
                self.images,
                self.width * groups,
                column * groups + channel,
            );
        }
    }

    /// Computes the features of the channel group `group` at a column in all layers, and returns the output of the last
    /// one after its ReLU, `[images, groups * group]`, of which the groups after `group` are not defined. The next call
    /// overwrites it.
    ///
    /// The columns before it, and at the column the groups before it, must have been computed, and their values
    /// [set](Self::set).
    ///
    /// # Shapes
    ///
    /// - `gates`: `[layers, images, width, groups, 2 * group]`, the inputs of the gates from everything but the row
    ///   itself
    ///
    /// # Panics
    ///
    /// Panics if the shape is wrong, the group or the column is not there, or the tensor is not
    /// [contiguous](crate::contiguous) or not in single precision.
    pub fn compute(&mut self, gates: &CubeTensor, [column, group]: [usize; 2]) -> CubeTensor {
        let (weights, images, width) = (self.weights, self.images, self.width);
        let shape = [
            weights.layers,
            images,
            width,
            weights.groups,
            2 * weights.group,
        ];
        expect_shape("the inputs of gates", gates, shape);
        assert!(
            column < width && group < weights.groups,
            "column {column}, group {group}"
        );
        let client = &weights.weights.client;
        let most = client.properties().hardware.max_units_per_cube as usize;
        let units = [256, 64, 16, 1].into_iter().find(|units| *units <= most);
        let units = units.expect("every device runs a cube of one unit");
        // SAFETY: the table has `table_len` numbers, and the kernel's indices are within the shapes, which were checked
        // here or made of the same weights.
        unsafe {
            trunk_kernel::launch_unchecked(
                client,
                CubeCount::new_1d(images as u32),
                CubeDim::new_1d(units as u32),
                buffer(&weights.weights, 1),
                BufferArg::from_raw_parts(weights.table.clone(), weights.table_len),
                buffer(gates, 1),
                buffer(&self.image, 1),
                buffer(&self.inputs, 1),
                buffer(&self.gated, 1),
                buffer(&self.top, 1),
                images,
                width,
                weights.layers,
                weights.groups,
                column,
                group,
                weights.group,
                units,
            );
        }
        self.top.clone()
    }
}

/// Writes one value of each image into its row.
#[cube(launch_unchecked)]
fn set_kernel(values: &[f32], row: &mut [f32], images: usize, stride: usize, offset: usize) {
    let image = ABSOLUTE_POS;
    if image < images {
        row[image * stride + offset] = values[image];
    }
}

/// The sum of `x[from + i] * weights[at + i * stride]` over `i = lane, lane + lanes, ...` below `count`.
#[cube]
fn dot(
    x: &[f32],
    from: usize,
    count: usize,
    weights: &[f32],
    at: usize,
    stride: usize,
    lane: usize,
    lanes: usize,
) -> f32 {
    let mut sum = 0.0f32;
    let mut i = lane;
    while i < count {
        sum = fma(x[from + i], weights[at + i * stride], sum);
        i += lanes;
    }
    sum
}

/// Adds up the sums of the lanes of each output, for those that a pass of the units has.
#[cube]
fn over_lanes(sums: &Shared<[f32]>, first: usize, span: usize, lanes: usize) -> f32 {
    let mut sum = 0.0f32;
    for lane in 0..lanes {
        sum += sums[lane * span + first];
    }
    sum
}

/// Each cube computes all layers for one image. The outputs of a product are divided among the units, and where there
/// are more units than outputs, the inputs as well.
#[cube(launch_unchecked)]
fn trunk_kernel(
    weights: &[f32],
    table: &[u32],
    gates: &[f32],
    row: &[f32],
    inputs: &mut [f32],
    gated: &mut [f32],
    top: &mut [f32],
    images: usize,
    width: usize,
    layers: usize,
    groups: usize,
    column: usize,
    index: usize,
    #[comptime] group: usize,
    #[comptime] units: usize,
) {
    let image = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let features = groups * group;
    let both = comptime!(2 * group);

    let mut sums = Shared::<[f32]>::new_slice(units);
    // The gates of this group, its gated features, and its part of a layer's inputs.
    let mut both_gates = Shared::<[f32]>::new_slice(both);
    let mut gate = Shared::<[f32]>::new_slice(group);
    let mut mine = Shared::<[f32]>::new_slice(group);

    for layer in 0..layers {
        let left = table[2 * layer] as usize;
        let dilation = table[2 * layer + 1] as usize;
        let begin = table[2 * layers + layer * groups + index] as usize;
        let mut width_in = features;
        if layer == 0 {
            width_in = groups;
        }
        // The gates.
        let span = comptime!(if both < units { both } else { units });
        let lanes = comptime!(units / span);
        let lane = unit / span;
        #[unroll]
        for pass in 0..comptime!(both.div_ceil(span)) {
            let output = pass * span + unit % span;
            let mut sum = 0.0f32;
            if lane < lanes && output < both {
                for tap in 0..left {
                    let distance = (left - tap) * dilation;
                    if column >= distance {
                        let at = begin + tap * width_in * both + output;
                        let position = image * width + column - distance;
                        if layer == 0 {
                            sum += dot(
                                row,
                                position * groups,
                                groups,
                                weights,
                                at,
                                both,
                                lane,
                                lanes,
                            );
                        } else {
                            let from = ((layer - 1) * images * width + position) * features;
                            sum += dot(&*inputs, from, features, weights, at, both, lane, lanes);
                        }
                    }
                }
                let at = begin + left * width_in * both + output;
                let position = image * width + column;
                if layer == 0 {
                    sum += dot(
                        row,
                        position * groups,
                        index,
                        weights,
                        at,
                        both,
                        lane,
                        lanes,
                    );
                } else {
                    let from = ((layer - 1) * images * width + position) * features;
                    let known = index * group;
                    sum += dot(&*inputs, from, known, weights, at, both, lane, lanes);
                    let at = at + known * both;
                    sum += dot(mine.inner_ref(), 0, group, weights, at, both, lane, lanes);
                }
            }
            sums[unit] = sum;
            sync_cube();
            if lane == 0 && output < both {
                let total = over_lanes(&sums, unit, span, lanes);
                let at = (layer * images + image) * width + column;
                both_gates[output] = total + gates[(at * groups + index) * both + output];
            }
            sync_cube();
        }
        let mut feature = unit;
        while feature < group {
            let value =
                both_gates[feature].tanh() / (1.0f32 + (-both_gates[group + feature]).exp());
            gate[feature] = value;
            gated[(layer * images + image) * features + index * group + feature] = value;
            feature += units;
        }
        sync_cube();
        // The output.
        let reads = index * group + group;
        let begin = begin + (left * width_in) * both;
        let mut own = index;
        if layer > 0 {
            own = reads;
        }
        let begin = begin + own * both;
        let span = comptime!(if group < units { group } else { units });
        let lanes = comptime!(units / span);
        let lane = unit / span;
        #[unroll]
        for pass in 0..comptime!(group.div_ceil(span)) {
            let output = pass * span + unit % span;
            let mut sum = 0.0f32;
            if lane < lanes && output < group {
                let from = (layer * images + image) * features;
                let known = index * group;
                sum += dot(
                    &*gated,
                    from,
                    known,
                    weights,
                    begin + output,
                    group,
                    lane,
                    lanes,
                );
                let at = begin + known * group + output;
                sum += dot(gate.inner_ref(), 0, group, weights, at, group, lane, lanes);
            }
            sums[unit] = sum;
            sync_cube();
            if lane == 0 && output < group {
                let mut value = over_lanes(&sums, unit, span, lanes);
                value += weights[begin + reads * group + output];
                if layer > 0 {
                    value += mine[output];
                }
                mine[output] = value;
                let feature = index * group + output;
                if layer + 1 < layers {
                    let position = (layer * images + image) * width + column;
                    inputs[position * features + feature] = value;
                } else {
                    top[image * features + feature] = max(value, 0.0f32);
                }
            }
            sync_cube();
        }
    }
}
