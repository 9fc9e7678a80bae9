//! The causal convolution as an operation on Flex.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pixel_iqn_kernels as kernels;
use pixel_iqn_kernels::{Bfloat16, GridPanels, Pair, Panels, Rows, Tap, TapGrid};

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
    bfloat16: Option<Bfloat16>,
}

/// The weights of a convolution and what they multiply.
pub(in crate::lower) struct Kernel {
    pub weight: Tensor<4>,
    /// The mask of the weights, where not all are used.
    pub mask: Option<Tensor<4>>,
    pub field: ReceptiveField,
    /// Whether operands are rounded to bfloat16, where that saves time.
    pub bfloat16: Option<Bfloat16>,
}

/// How a convolution is computed.
enum Products {
    /// By the products of Winograd, with a grid of taps.
    Grid(TapGrid),
    /// By its definition.
    Direct,
    /// By its definition, with operands that are rounded.
    Rounded(Bfloat16),
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

    /// The products that take the least time. The bounds are measured: with few features the transforms of
    /// Winograd, and the rounding of the operands, cost more than they save.
    fn products(&self) -> Products {
        const WINOGRAD_FEATURES: usize = 24;
        const BFLOAT16_FEATURES: usize = 32;
        let [outputs, inputs, _, _] = dims(&self.weight);
        let least = inputs.min(outputs);
        let all_used = optional(&self.mask).is_none();
        match (TapGrid::of(&self.taps()), self.bfloat16) {
            (Some(grid), _) if all_used && least >= WINOGRAD_FEATURES => Products::Grid(grid),
            (_, Some(bfloat16)) if least >= BFLOAT16_FEATURES => Products::Rounded(bfloat16),
            _ => Products::Direct,
        }
    }

    /// Computes the convolution plus the bias.
    fn convolve(&self, bias: Option<&[f32]>) -> Vec<f32> {
        let (x, dims, taps) = (floats(&self.x), self.positions(), self.taps());
        match self.products() {
            Products::Grid(grid) => {
                kernels::convolve_grid(x, dims, &self.packed_grid(), grid, bias)
            }
            Products::Direct => kernels::convolve(x, dims, &self.packed(), &taps, bias),
            Products::Rounded(bfloat16) => {
                let (x, weight) = self.rounded(bfloat16);
                kernels::convolve(&x, dims, &weight, &taps, bias)
            }
        }
    }

    /// Adds the convolution to the output.
    fn convolve_onto(&self, y: &mut [f32]) {
        let (x, dims, taps) = (floats(&self.x), self.positions(), self.taps());
        match self.products() {
            Products::Grid(grid) => {
                kernels::convolve_grid_onto(x, dims, &self.packed_grid(), grid, y);
            }
            Products::Direct => kernels::convolve_onto(x, dims, &self.packed(), &taps, y),
            Products::Rounded(bfloat16) => {
                let (x, weight) = self.rounded(bfloat16);
                kernels::convolve_onto(&x, dims, &weight, &taps, y);
            }
        }
    }

    /// Computes the gradient of the inputs from that of the output.
    fn input_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let [taps, inputs, outputs] = self.shape();
        let dims = self.positions();
        let mirrored: Vec<Tap> = self.taps().iter().map(|tap| tap.mirrored()).collect();
        let (shape, element) = ([taps, outputs, inputs], self.transposed_weights());
        match self.products() {
            Products::Grid(grid) => {
                let weight = self.packed_grid_transposed();
                kernels::convolve_grid(dy, dims, &weight, grid.mirrored(), None)
            }
            Products::Direct => {
                kernels::convolve(dy, dims, &Panels::new(shape, element), &mirrored, None)
            }
            Products::Rounded(bfloat16) => {
                let dy = bfloat16.pair_columns(dy, outputs);
                kernels::convolve(&dy, dims, &bfloat16.pack(shape, element), &mirrored, None)
            }
        }
    }

    /// Packs the weights.
    fn packed(&self) -> Panels {
        Panels::new(self.shape(), self.weights())
    }

    /// Rounds the inputs, and rounds and packs the weights.
    fn rounded(&self, bfloat16: Bfloat16) -> (Vec<Pair>, Panels<Pair>) {
        let [_, inputs, _] = self.shape();
        (
            bfloat16.pair_columns(floats(&self.x), inputs),
            bfloat16.pack(self.shape(), self.weights()),
        )
    }

    /// Computes the gradient of the weights, `[outputs, inputs, taps]`.
    fn weight_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let (x, dims, mask) = (floats(&self.x), self.positions(), optional(&self.mask));
        let taps = self.taps();
        match self.products() {
            Products::Grid(grid) => kernels::grid_weight_gradient(x, dy, dims, grid),
            Products::Direct => kernels::weight_gradient(x, dy, dims, &taps, mask),
            Products::Rounded(bfloat16) => {
                kernels::weight_gradient_bfloat16(bfloat16, x, dy, dims, &taps, mask)
            }
        }
    }

    /// The batch, height and width of the images.
    fn positions(&self) -> [usize; 3] {
        let [batch, height, width, _] = dims(&self.x);
        [batch, height, width]
    }

    /// The numbers of taps, inputs and outputs.
    fn shape(&self) -> [usize; 3] {
        let [outputs, inputs, _, _] = dims(&self.weight);
        [self.field.taps(), inputs, outputs]
    }

    /// The weights as a function of `k` and an output: that of the output and of input `k % inputs` at tap
    /// `k / inputs`. In memory they are `[outputs, inputs, taps]`, as PyTorch has them.
    fn weights(&self) -> impl Fn(usize, usize) -> f32 + Sync {
        let [taps, inputs, _] = self.shape();
        let weights = floats(&self.weight);
        move |k, output| weights[(output * inputs + k % inputs) * taps + k / inputs]
    }

    /// The weights of the transposed convolution, which computes the gradient of the inputs, as a function of
    /// `k` and an input: that of the input and of output `k % outputs` at tap `k / outputs`.
    fn transposed_weights(&self) -> impl Fn(usize, usize) -> f32 + Sync {
        let [taps, inputs, outputs] = self.shape();
        let weights = floats(&self.weight);
        move |k, input| weights[(k % outputs * inputs + input) * taps + k / outputs]
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
    kernel: Kernel,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
) -> Tensor<4> {
    let operands = [
        x.into_dispatch(),
        kernel.weight.into_dispatch(),
        kernel.mask.map_or_else(none, Tensor::into_dispatch),
        bias.map_or_else(none, Tensor::into_dispatch),
        base.map_or_else(none, Tensor::into_dispatch),
    ];
    apply(Convolve, operands, |[x, weight, mask, bias, base]| {
        let (weight, mask, bias) = (contiguous(weight), contiguous(mask), contiguous(bias));
        let state = Convolution {
            x: contiguous(x),
            weight: masked(weight, &mask),
            mask,
            field: kernel.field,
            bfloat16: kernel.bfloat16,
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
