//! The cosines of the quantile embedding and its projection into the gates as operations on Flex.

use core::f32::consts::PI;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pixel_iqn_kernels as kernels;
use pixel_iqn_kernels::ProjectionShape;

use super::{apply, contiguous, dims, floats, tensor};

#[derive(Debug)]
struct ProjectTau;

pub(in crate::lower) fn project_tau(
    base: Tensor<4>,
    phi: Tensor<3>,
    weight: Tensor<3>,
) -> Tensor<4> {
    let [groups, positions, embedding] = phi.dims();
    let [_, features, _] = weight.dims();
    let sizes = ProjectionShape {
        positions,
        groups,
        embedding,
        features,
    };
    let operands = [
        base.into_dispatch(),
        phi.into_dispatch(),
        weight.into_dispatch(),
    ];
    apply(ProjectTau, operands, |[base, phi, weight]| {
        let (phi, weight) = (contiguous(phi), contiguous(weight));
        let mut gates = contiguous(base);
        let at = gates.layout().start_offset();
        let values = &mut gates.storage_mut::<f32>()[at..][..positions * 2 * features];
        kernels::project(sizes, floats(&phi), floats(&weight), values);
        (gates, (sizes, phi, weight))
    })
}

impl Backward<Flex, 3> for ProjectTau {
    type State = (ProjectionShape, FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let (sizes, phi, weight) = ops.state;
        let [base, phi_node, weight_node] = ops.parents;
        if let Some(node) = phi_node {
            let dphi = kernels::embedding_gradient(sizes, floats(&weight), floats(&dy));
            grads.register::<Flex>(node.id, tensor(dphi, phi.shape()));
        }
        if let Some(node) = weight_node {
            let dw = kernels::projection_weight_gradient(sizes, floats(&phi), floats(&dy));
            grads.register::<Flex>(node.id, tensor(dw, weight.shape()));
        }
        if let Some(node) = base {
            grads.register::<Flex>(node.id, dy);
        }
    }
}

#[derive(Debug)]
struct Cosines;

pub(in crate::lower) fn cosines(tau: Tensor<2>, n: usize) -> Tensor<2> {
    apply(Cosines, [tau.into_dispatch()], |[tau]| {
        let tau = contiguous(tau);
        let [positions, _] = dims(&tau);
        let y = kernels::cosines(floats(&tau), n);
        (tensor(y, [positions, n]), (tau, n))
    })
}

impl Backward<Flex, 1> for Cosines {
    type State = (FlexTensor, usize);

    /// Computes the gradient of tau. Training never needs it, so that it need not be fast.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [Some(node)] = ops.parents else { return };
        let (tau, n) = ops.state;
        let dtau = floats(&tau).iter().zip(floats(&dy).chunks_exact(n));
        let dtau = dtau.map(|(tau, dy)| {
            let terms = dy.iter().enumerate().map(|(i, dy)| {
                let factor = PI * i as f32;
                -factor * (factor * tau).sin() * dy
            });
            terms.sum()
        });
        grads.register::<Flex>(node.id, tensor(dtau.collect(), tau.shape()));
    }
}
