//! The causal convolution as an operation on Flex.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pixel_iqn_kernels as kernels;
use pixel_iqn_kernels::{GridPanels, Panels, Rows, Tap, TapGrid};

use super::{apply, contiguous, dims, floats, none, optional, tensor};
use crate::lower::ReceptiveField;

#[derive(Debug)]
struct Convolve;

/// The state that a convolution keeps for its gradients.
#[derive(Debug, Clone)]
struct Convolution {
    x: FlexTensor,
    /// The weights, with zeros where the mask removes them.
    weight: FlexTensor,
    /// The mask of the weights, without elements where all are used.
    mask: FlexTensor,
    field: ReceptiveField,
    /// The shape of the bias, with zeros where there is none.
    bias: [usize; 2],
}

impl Convolution {
    /// The taps of the receptive field in row-major order.
    fn taps(&self) -> Vec<Tap> {
        let ReceptiveField {
            rows,
            columns,
            dilation,
        } = self.field;
        let [down, right] = dilation.map(|step| step as isize);
        (rows.0..=rows.1)
            .flat_map(|row| (columns.0..=columns.1).map(move |column| (row, column)))
            .map(|(row, column)| Tap {
                row: row * down,
                column: column * right,
            })
            .collect()
    }

    /// The taps as a grid, where the products of Winograd take less time than those of the definition:
    /// with fewer features the transforms cost more than they save. The bound is measured.
    fn grid(&self) -> Option<TapGrid> {
        const FEATURES: usize = 24;
        let [outputs, inputs, _, _] = dims(&self.weight);
        let grid = TapGrid::of(&self.taps())?;
        let all_used = optional(&self.mask).is_none();
        (inputs.min(outputs) >= FEATURES && all_used).then_some(grid)
    }

    /// Computes the convolution plus the bias.
    fn convolve(&self, bias: Option<&[f32]>) -> Vec<f32> {
        let (x, dims) = (floats(&self.x), self.positions());
        match self.grid() {
            Some(grid) => kernels::convolve_grid(x, dims, &self.packed_grid(), grid, bias),
            None => kernels::convolve(x, dims, &self.packed(), &self.taps(), bias),
        }
    }

    /// Adds the convolution to the output.
    fn convolve_onto(&self, y: &mut [f32]) {
        let (x, dims) = (floats(&self.x), self.positions());
        match self.grid() {
            Some(grid) => kernels::convolve_grid_onto(x, dims, &self.packed_grid(), grid, y),
            None => kernels::convolve_onto(x, dims, &self.packed(), &self.taps(), y),
        }
    }

    /// Computes the gradient of the inputs from that of the output.
    fn input_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let dims = self.positions();
        match self.grid() {
            Some(grid) => {
                let weight = self.packed_grid_transposed();
                kernels::convolve_grid(dy, dims, &weight, grid.mirrored(), None)
            }
            None => {
                let mirrored: Vec<Tap> = self.taps().iter().map(|tap| tap.mirrored()).collect();
                kernels::convolve(dy, dims, &self.packed_transposed(), &mirrored, None)
            }
        }
    }

    /// Computes the gradient of the weights, `[outputs, inputs, taps]`.
    fn weight_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let (x, dims) = (floats(&self.x), self.positions());
        match self.grid() {
            Some(grid) => kernels::grid_weight_gradient(x, dy, dims, grid),
            None => kernels::weight_gradient(x, dy, dims, &self.taps(), optional(&self.mask)),
        }
    }

    /// The batch, height and width of the images.
    fn positions(&self) -> [usize; 3] {
        let [batch, height, width, _] = dims(&self.x);
        [batch, height, width]
    }

    /// Packs the weights from the layout of PyTorch, `[outputs, inputs, taps]`.
    fn packed(&self) -> Panels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (taps, weight) = (self.field.taps(), floats(&self.weight));
        Panels::new([taps, inputs, outputs], |k, output| {
            weight[(output * inputs + k % inputs) * taps + k / inputs]
        })
    }

    /// Transforms and packs the weights of a grid of taps.
    fn packed_grid(&self) -> GridPanels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (pairs, _) = floats(&self.weight).as_chunks();
        GridPanels::new([inputs, outputs], |input, output| {
            pairs[output * inputs + input]
        })
    }

    /// Transforms and packs the weights of the transposed convolution with a grid of taps.
    fn packed_grid_transposed(&self) -> GridPanels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (pairs, _) = floats(&self.weight).as_chunks();
        GridPanels::new([outputs, inputs], |output, input| {
            let mut taps: [f32; TapGrid::TAPS] = pairs[output * inputs + input];
            taps.reverse();
            taps
        })
    }

    /// Packs the weights of the transposed convolution, which computes the gradient of the inputs.
    fn packed_transposed(&self) -> Panels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (taps, weight) = (self.field.taps(), floats(&self.weight));
        Panels::new([taps, outputs, inputs], |k, input| {
            weight[(k % outputs * inputs + input) * taps + k / outputs]
        })
    }

    /// Computes the output, the convolution plus the bias and the base.
    fn forward(&self, bias: &FlexTensor, base: FlexTensor) -> FlexTensor {
        let [batch, height, width] = self.positions();
        let [outputs, _, _, _] = dims(&self.weight);
        let shape = [batch, height, width, outputs];
        let bias = optional(bias);
        if base.shape().num_elements() == 0 {
            return tensor(self.convolve(bias), shape);
        }
        // The base is overwritten in place where nothing else holds it.
        let mut base = contiguous(base);
        let at = base.layout().start_offset();
        let y = &mut base.storage_mut::<f32>()[at..][..batch * height * width * outputs];
        if let Some(bias) = bias {
            kernels::add_rows(y, bias, outputs);
        }
        self.convolve_onto(y);
        base
    }
}

pub(in crate::lower) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    mask: Option<Tensor<4>>,
    field: ReceptiveField,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
) -> Tensor<4> {
    let operands = [
        x.into_dispatch(),
        weight.into_dispatch(),
        mask.map_or_else(none, Tensor::into_dispatch),
        bias.map_or_else(none, Tensor::into_dispatch),
        base.map_or_else(none, Tensor::into_dispatch),
    ];
    apply(Convolve, operands, |[x, weight, mask, bias, base]| {
        let (weight, mask, bias) = (contiguous(weight), contiguous(mask), contiguous(bias));
        let state = Convolution {
            x: contiguous(x),
            weight: masked(weight, &mask),
            mask,
            field,
            bias: optional(&bias).map_or([0, 0], |_| dims(&bias)),
        };
        (state.forward(&bias, base), state)
    })
}

/// Sets the weights that a mask removes to zero.
fn masked(weight: FlexTensor, mask: &FlexTensor) -> FlexTensor {
    let Some(mask) = optional(mask) else {
        return weight;
    };
    let products = floats(&weight).iter().zip(mask).map(|(w, m)| w * m);
    tensor(products.collect(), dims::<4>(&weight))
}

impl Backward<Flex, 5> for Convolve {
    type State = Convolution;

    fn backward(self, ops: Ops<Convolution, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [x, weight, _, bias, base] = ops.parents;
        let [batch, height, width] = state.positions();
        let [outputs, inputs, rows, columns] = dims(&state.weight);
        if let Some(x) = x {
            let dx = state.input_gradient(floats(&dy));
            grads.register::<Flex>(x.id, tensor(dx, [batch, height, width, inputs]));
        }
        if let Some(weight) = weight {
            let dw = state.weight_gradient(floats(&dy));
            let dw = tensor(dw, [outputs, inputs, rows, columns]);
            grads.register::<Flex>(weight.id, dw);
        }
        if let Some(bias) = bias {
            let dy = Rows {
                data: floats(&dy),
                stride: outputs,
            };
            let db = kernels::column_sums(dy, state.bias[0]);
            grads.register::<Flex>(bias.id, tensor(db, state.bias));
        }
        if let Some(base) = base {
            grads.register::<Flex>(base.id, dy);
        }
    }
}
