use core::ops::Range;
use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, ExecutionError, Tensor};

/// Moves a loss, `[1]`, and the gradients of a model to another device: in one transfer, since each
/// waits for the device and, for one of another machine, for the network.
pub(crate) fn take<M: Module>(
    model: &M,
    loss: Tensor<1>,
    gradients: GradientsParams,
    home: &Device,
) -> Result<(Tensor<1>, GradientsParams), ExecutionError> {
    let mut flat = Flat {
        gradients,
        tensors: vec![loss],
        places: HashMap::new(),
        length: 1,
    };
    model.visit(&mut flat);
    let data = Tensor::cat(flat.tensors, 0).try_into_data()?;
    let mut parts = Parts {
        all: Tensor::from_data(data, home),
        places: flat.places,
        gradients: GradientsParams::new(),
    };
    model.visit(&mut parts);
    Ok((parts.all.narrow(0, 0, 1), parts.gradients))
}

/// Lays gradients end to end.
struct Flat {
    gradients: GradientsParams,
    tensors: Vec<Tensor<1>>,
    /// Where the gradient of each parameter lies.
    places: HashMap<ParamId, Range<usize>>,
    length: usize,
}

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let count = gradient.shape().num_elements();
            self.tensors.push(gradient.reshape([count]));
            let end = self.length + count;
            self.places.insert(param.id, self.length..end);
            self.length = end;
        }
    }
}

/// Cuts them apart again.
struct Parts {
    all: Tensor<1>,
    places: HashMap<ParamId, Range<usize>>,
    gradients: GradientsParams,
}

impl ModuleVisitor for Parts {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(place) = self.places.get(&param.id) {
            let gradient = self.all.clone().narrow(0, place.start, place.len());
            let shape: [usize; D] = param.val().dims();
            self.gradients.register(param.id, gradient.reshape(shape));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<2>>,
        unused: Param<Tensor<1>>,
        b: Param<Tensor<1>>,
    }

    #[test]
    fn what_is_taken_home_is_what_was_computed() {
        let device = Device::flex();
        let model = Two {
            a: Param::from_tensor(Tensor::zeros([2, 3], &device)),
            unused: Param::from_tensor(Tensor::zeros([4], &device)),
            b: Param::from_tensor(Tensor::zeros([2], &device)),
        };
        let a = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let b = Tensor::<1>::from_data([7.0, 8.0], &device);
        let mut gradients = GradientsParams::new();
        // As a view whose strides are not those of its shape.
        let view = Tensor::<2>::from_data([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], &device);
        gradients.register(model.a.id, view.transpose());
        gradients.register(model.b.id, b.clone());

        let loss = Tensor::<1>::from_data([0.5], &device);
        let (loss, taken) = take(&model, loss, gradients, &device).unwrap();

        assert_eq!(loss.into_scalar::<f32>(), 0.5);
        assert_eq!(taken.len(), 2);
        assert_eq!(
            taken.get::<2>(model.a.id).unwrap().into_data(),
            a.into_data()
        );
        assert_eq!(
            taken.get::<1>(model.b.id).unwrap().into_data(),
            b.into_data()
        );
    }
}
