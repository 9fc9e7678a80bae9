//! The kernels on a software adapter of WGPU, against their definitions in double precision. Needs Mesa's
//! lavapipe (Debian: mesa-vulkan-drivers, libvulkan1).

use burn::tensor::{Device, DeviceKind, Tensor};
use pixel_iqn_cube::{
    AdamStep, CubeTensor, Taps, adam, average, bias_gradient, convolve, gate, gate_gradient, norm,
    pack, parameter_gradients, primitive, tensor,
};

/// Numbers between -1 and 1 that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let next = || {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }
}

fn upload<const D: usize>(values: &[f32], shape: [usize; D]) -> CubeTensor {
    let device = Device::wgpu(DeviceKind::Cpu);
    let tensor = Tensor::<1>::from_data(values, &device).reshape(shape);
    primitive(&tensor).expect("this build has no fusion")
}

fn download(values: CubeTensor) -> Vec<f32> {
    let count = values.meta.num_elements();
    let values = tensor::<1>(burn_cubecl::ops::reshape(values, [count].into()));
    values.to_data().try_to_vec().unwrap()
}

fn assert_close(actual: &[f32], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(*actual) - expected).abs();
        assert!(
            difference <= 2e-6 * largest,
            "{what}: value {i} is {actual}, not {expected}"
        );
    }
}

/// A convolution and its gradients by their definitions.
struct Case {
    images: [usize; 3],
    inputs: usize,
    outputs: usize,
    taps: Taps,
    x: Vec<f32>,
    weight: Vec<f32>,
    mask: Vec<f32>,
    bias: Vec<f32>,
    base: Vec<f32>,
    dy: Vec<f32>,
}

struct Expected {
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

impl Case {
    fn new(images: [usize; 3], inputs: usize, outputs: usize, taps: Taps) -> Self {
        let positions: usize = images.iter().product();
        let mut numbers = Numbers(inputs as u64 * 1000 + outputs as u64);
        let weights = outputs * inputs * taps.count();
        Self {
            images,
            inputs,
            outputs,
            taps,
            x: numbers.take(positions * inputs),
            weight: numbers.take(weights),
            mask: numbers
                .take(weights)
                .iter()
                .map(|x| f32::from(*x > -0.3))
                .collect(),
            bias: numbers.take(images[0] * outputs),
            base: numbers.take(positions * outputs),
            dy: numbers.take(positions * outputs),
        }
    }

    /// The output without bias and base, and the gradients.
    fn expected(&self, masked: bool) -> Expected {
        let ([batch, height, width], taps) = (self.images, self.taps);
        let (inputs, outputs, count) = (self.inputs, self.outputs, taps.count());
        let mut expected = Expected {
            y: vec![0.0; self.dy.len()],
            dx: vec![0.0; self.x.len()],
            dw: vec![0.0; self.weight.len()],
        };
        for position in 0..batch * height * width {
            let (row, column) = (position / width % height, position % width);
            for tap in 0..count {
                let at = [tap / taps.size[1], tap % taps.size[1]];
                let [down, right] = [0, 1].map(|i| taps.start[i] + at[i] as i32 * taps.step[i]);
                let (r, c) = (row as i32 + down, column as i32 + right);
                if !(0..height as i32).contains(&r) || !(0..width as i32).contains(&c) {
                    continue;
                }
                let from = (position as i32 + down * width as i32 + right) as usize;
                for (output, input) in (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))) {
                    let w = (output * inputs + input) * count + tap;
                    let used = if masked { f64::from(self.mask[w]) } else { 1.0 };
                    let x = f64::from(self.x[from * inputs + input]);
                    let dy = f64::from(self.dy[position * outputs + output]);
                    let weight = used * f64::from(self.weight[w]);
                    expected.y[position * outputs + output] += weight * x;
                    expected.dx[from * inputs + input] += weight * dy;
                    expected.dw[w] += used * x * dy;
                }
            }
        }
        expected
    }

    fn check(&self, masked: bool, biases: Option<usize>, with_base: bool) {
        let what = format!(
            "{:?} {} to {}, {:?}, {masked} {biases:?} {with_base}",
            self.images, self.inputs, self.outputs, self.taps
        );
        let (images, taps) = (self.images, self.taps);
        let [batch, height, width] = images;
        let shape = [self.outputs, self.inputs, taps.size[0], taps.size[1]];
        let x = upload(&self.x, [batch, height, width, self.inputs]);
        let dy = upload(&self.dy, [batch, height, width, self.outputs]);
        let weight = upload(&self.weight, shape);
        let mask = masked.then(|| upload(&self.mask, shape));
        let bias = biases.map(|n| upload(&self.bias[..n * self.outputs], [n, self.outputs]));
        let base = with_base.then(|| upload(&self.base, [batch, height, width, self.outputs]));

        let mut expected = self.expected(masked);
        for (i, y) in expected.y.iter_mut().enumerate() {
            let (position, output) = (i / self.outputs, i % self.outputs);
            if let Some(biases) = biases {
                let image = position / (height * width) % biases;
                *y += f64::from(self.bias[image * self.outputs + output]);
            }
            if with_base {
                *y += f64::from(self.base[i]);
            }
        }
        let packed = pack(&weight, mask.as_ref(), false);
        let y = convolve(&x, &packed, taps, bias.as_ref(), base.as_ref());
        assert_close(&download(y), &expected.y, &format!("output of {what}"));
        let packed = pack(&weight, mask.as_ref(), true);
        let dx = convolve(&dy, &packed, taps.mirrored(), None, None);
        assert_close(
            &download(dx),
            &expected.dx,
            &format!("gradient of inputs, {what}"),
        );
        let gradients = parameter_gradients(&x, &dy, taps, mask.as_ref(), shape);
        let dw = download(gradients.weight);
        assert_close(&dw, &expected.dw, &format!("gradient of weights, {what}"));
        let mut db = vec![0.0; self.outputs];
        for (i, dy) in self.dy.iter().enumerate() {
            db[i % self.outputs] += f64::from(*dy);
        }
        assert_close(
            &download(gradients.bias),
            &db,
            &format!("gradient of biases, {what}"),
        );
    }
}

fn taps(size: [usize; 2], start: [i32; 2], step: [i32; 2]) -> Taps {
    let mut taps = Taps::POINT;
    (taps.size, taps.start, taps.step) = (size, start, step);
    taps
}

#[test]
fn a_convolution_and_its_gradients_are_their_definitions() {
    let fields = [
        Taps::POINT,
        taps([2, 3], [-1, -1], [1, 1]),
        taps([1, 2], [0, -2], [1, 1]),
        taps([3, 5], [-4, -4], [2, 2]),
        taps([3, 3], [-1, -1], [1, 1]),
        taps([1, 1], [-1, 0], [1, 1]),
    ];
    let features = [(1, 2), (3, 24), (12, 10), (6, 7), (16, 36)];
    for (i, taps) in fields.into_iter().enumerate() {
        for (j, (inputs, outputs)) in features.into_iter().enumerate() {
            let case = Case::new([2, 5, 7], inputs, outputs, taps);
            let biases = [None, Some(1), Some(2)][(i + j) % 3];
            case.check((i + j) % 2 == 0, biases, i % 2 == 0);
        }
    }
}

#[test]
fn a_convolution_of_many_tiles_and_parts_is_its_definition() {
    // More positions than one part of the gradient has, and more outputs and weights than a tile.
    let field = taps([2, 3], [-1, -1], [1, 1]);
    Case::new([3, 19, 23], 40, 140, field).check(true, Some(3), true);
    // Enough of them for the largest cubes.
    Case::new([2, 48, 48], 12, 140, field).check(false, Some(1), true);
}

#[test]
fn one_position_is_an_image() {
    let field = taps([2, 3], [-1, -1], [1, 1]);
    Case::new([1, 1, 1], 4, 8, field).check(false, Some(1), false);
}

#[test]
fn the_gradient_of_biases_is_a_sum() {
    for (images, outputs) in [([2, 3, 5], 6), ([3, 40, 50], 7), ([1, 1, 1], 4)] {
        let [batch, height, width] = images;
        let positions = height * width;
        let dy = Numbers(7).take(batch * positions * outputs);
        let on_device = upload(&dy, [batch, height, width, outputs]);
        for biases in [1, batch] {
            let mut expected = vec![0.0; biases * outputs];
            for (i, dy) in dy.iter().enumerate() {
                let image = i / outputs / positions % biases;
                expected[image * outputs + i % outputs] += f64::from(*dy);
            }
            let actual = download(bias_gradient(&on_device, biases));
            assert_close(&actual, &expected, &format!("{images:?} {biases}"));
        }
    }
}

#[test]
fn a_gate_and_its_gradient_are_their_formulas() {
    for features in [1, 3, 6, 8] {
        let rows = 37;
        let mut x: Vec<f32> = Numbers(1).take(rows * 2 * features);
        x.iter_mut().for_each(|x| *x *= 4.0);
        // Where the exponential of a single precision overflows.
        (x[0], x[features]) = (-100.0, -100.0);
        let dy = Numbers(2).take(rows * features);
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        for (i, dy) in dy.iter().enumerate() {
            let at = i / features * 2 * features + i % features;
            let (a, b) = (f64::from(x[at]), f64::from(x[at + features]));
            let (t, s) = (a.tanh(), 1.0 / (1.0 + (-b).exp()));
            y[i] = t * s;
            dx[at] = f64::from(*dy) * s * (1.0 - t * t);
            dx[at + features] = f64::from(*dy) * t * s * (1.0 - s);
        }
        let x = upload(&x, [rows, 2 * features]);
        let dy = upload(&dy, [rows, features]);
        assert_close(&download(gate(&x)), &y, "gate");
        assert_close(&download(gate_gradient(&x, &dy)), &dx, "gradient");
    }
}

#[test]
fn a_step_of_adam_and_of_an_average_are_their_formulas() {
    let step = AdamStep {
        gradient_scale: 0.5,
        rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-4,
        penalty: 0.01,
        keep: 0.98,
    };
    for count in [1, 2, 3, 1000] {
        let mut numbers = Numbers(3);
        let [w, m, g] = [(); 3].map(|()| numbers.take(count));
        let v: Vec<f32> = numbers.take(count).iter().map(|v| v.abs()).collect();
        let [w32, m32, v32, g32] = [&w, &m, &v, &g].map(|values| upload(values, [count]));
        let after = adam([w32, m32, v32], g32, step).map(download);
        let mut expected = [const { Vec::new() }; 3];
        for i in 0..count {
            let [w, m, v, g] = [w[i], m[i], v[i], g[i]].map(f64::from);
            // The numbers of the step as they are in single precision, as are their complements.
            let numbers = [step.beta_1, step.beta_2];
            let ([b1, b2], [c1, c2]) = (
                numbers.map(f64::from),
                numbers.map(|beta| f64::from(1.0 - beta)),
            );
            let g = 0.5 * g + f64::from(step.penalty) * w;
            let (m, v) = (b1 * m + c1 * g, b2 * v + c2 * g * g);
            let delta = f64::from(step.rate) * m / (v.sqrt() + f64::from(step.epsilon));
            expected[0].push(f64::from(step.keep) * w - delta);
            expected[1].push(m);
            expected[2].push(v);
        }
        for (after, expected) in after.iter().zip(&expected) {
            assert_close(after, expected, &format!("Adam, {count}"));
        }

        let moved = average(upload(&w, [count]), upload(&g, [count]), 0.75);
        let expected = w.iter().zip(&g);
        let expected = expected.map(|(w, g)| 0.75 * f64::from(*w) + 0.25 * f64::from(*g));
        assert_close(&download(moved), &expected.collect::<Vec<_>>(), "average");
        // A decay that single precision rounds to 1 still moves an average of zeros.
        let zeros = vec![0.0; count];
        let moved = average(upload(&zeros, [count]), upload(&w, [count]), 1.0 - 1e-9);
        for (moved, w) in download(moved).iter().zip(&w) {
            assert!((f64::from(*moved) - 1e-9 * f64::from(*w)).abs() < 1e-15);
        }
    }
}

#[test]
fn a_norm_is_over_all_tensors() {
    for counts in [vec![1], vec![63, 64, 65], vec![3, 70_000, 1]] {
        let mut numbers = Numbers(4);
        let values: Vec<Vec<f32>> = counts.iter().map(|count| numbers.take(*count)).collect();
        let squares = values.iter().flatten().map(|x| f64::from(*x).powi(2));
        let expected = squares.sum::<f64>().sqrt();
        let tensors: Vec<_> = values.iter().map(|x| upload(x, [x.len()])).collect();
        let actual = download(norm(&tensors));
        assert_eq!(actual.len(), 1);
        assert!((f64::from(actual[0]) / expected - 1.0).abs() < 1e-6);
    }
}
