use std::collections::HashMap;

use pixel_iqn_kernels::{Conv2d, Window};

use super::architecture::{Conv, Engine};
use super::weights::InceptionWeights;

/// The network on one image, on one thread, by the kernels of `pixel-iqn-kernels`.
#[derive(Debug, Clone)]
pub(super) struct CpuEngine {
    convs: HashMap<String, Conv2d>,
}

/// The features of an image, `[height, width, channels]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub data: Vec<f32>,
    pub size: [usize; 2],
    pub channels: usize,
}

impl CpuEngine {
    pub fn new(weights: &InceptionWeights) -> Self {
        let pack = |conv: &super::weights::FoldedConv| {
            Conv2d::new(&conv.weight, conv.bias.clone(), conv.shape)
        };
        let convs = weights.convs.iter();
        Self {
            convs: convs
                .map(|(name, conv)| (name.clone(), pack(conv)))
                .collect(),
        }
    }
}

impl Map {
    /// The mean over all positions, `[channels]`.
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0f32; self.channels];
        for position in self.data.chunks_exact(self.channels) {
            for (sum, x) in sums.iter_mut().zip(position) {
                *sum += x;
            }
        }
        let count = (self.size[0] * self.size[1]) as f32;
        sums.into_iter().map(|sum| sum / count).collect()
    }

    /// Combines each 3x3 window from `start` on, `finish` being told how many positions of it lie
    /// in the image.
    fn pool(
        &self,
        window: Window,
        start: f32,
        combine: impl Fn(f32, f32) -> f32,
        finish: impl Fn(f32, usize) -> f32,
    ) -> Self {
        let [height, width] = window.output(self.size, [3, 3]);
        let inside = |i: usize, axis: usize| {
            let first = (i * window.stride) as isize - window.padding[axis] as isize;
            let last = (first + 3).min(self.size[axis] as isize);
            first.max(0) as usize..last as usize
        };
        let mut data = vec![start; height * width * self.channels];
        for (position, out) in data.chunks_exact_mut(self.channels).enumerate() {
            let rows = inside(position / width, 0);
            let columns = inside(position % width, 1);
            let count = rows.len() * columns.len();
            for row in rows {
                for column in columns.clone() {
                    let at = (row * self.size[1] + column) * self.channels;
                    for (out, x) in out.iter_mut().zip(&self.data[at..at + self.channels]) {
                        *out = combine(*out, *x);
                    }
                }
            }
            for out in out {
                *out = finish(*out, count);
            }
        }
        Self {
            data,
            size: [height, width],
            channels: self.channels,
        }
    }
}

impl Engine for CpuEngine {
    type Map = Map;

    fn conv(&self, name: &str, x: &Map, conv: Conv) -> Map {
        let size = conv.window.output(x.size, conv.kernel);
        let mut data = vec![0.0; size[0] * size[1] * conv.outputs];
        self.convs[name].forward(&x.data, x.size, conv.window, &mut data, conv.outputs);
        Map {
            data,
            size,
            channels: conv.outputs,
        }
    }

    fn max_pool(&self, x: &Map, window: Window) -> Map {
        x.pool(
            window,
            f32::NEG_INFINITY,
            |a, b| if b > a { b } else { a },
            |max, _| max,
        )
    }

    fn avg_pool(&self, x: &Map) -> Map {
        let window = Window {
            stride: 1,
            padding: [1, 1],
        };
        x.pool(window, 0.0, |a, b| a + b, |sum, count| sum / count as f32)
    }

    fn concat(&self, maps: Vec<Map>) -> Map {
        let size = maps[0].size;
        let channels = maps.iter().map(|map| map.channels).sum();
        let mut data = Vec::with_capacity(size[0] * size[1] * channels);
        for position in 0..size[0] * size[1] {
            for map in &maps {
                data.extend_from_slice(&map.data[position * map.channels..][..map.channels]);
            }
        }
        Map {
            data,
            size,
            channels,
        }
    }
}
