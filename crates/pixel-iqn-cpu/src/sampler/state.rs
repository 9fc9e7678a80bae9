//! What the threads of a run share.

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use pixel_iqn_core::{Order, SampleBatch};

use super::layer_state::LayerState;
use super::plan::{Layer, Plan};
use super::team::Progress;

/// The features that are kept while some images of a batch are sampled.
///
/// Rows of features are ordered by column, then by image, so that all images of a pixel are contiguous rows.
#[derive(Debug)]
pub(super) struct State {
    pub plan: Arc<Plan>,
    /// The batch in the raster of its order.
    pub batch: Arc<SampleBatch>,
    /// The index in the batch of the first image of the run.
    pub first: usize,
    /// The number of images of the run.
    pub images: usize,
    /// The layers of the horizontal stack.
    layers: Vec<Mutex<LayerState>>,
    /// The input rows that the vertical stack of each layer reads now or later,
    /// `[rows, (reach + width + reach) * images, input]`, with row `r` at `r` modulo their number,
    /// and zeros outside of the image.
    pub vertical: Vec<RwLock<Vec<f32>>>,
    /// A row of a layer of the vertical stack before its gate, `[width * images, 2 F]`.
    pub sums: RwLock<Vec<f32>>,
    /// The embedding of the tau of a row, `[channels, width * images, E]`.
    pub embedding: RwLock<Vec<f32>>,
    /// The inputs of the gates of the blocks after the trunk, `[width * images, 2 F]` each.
    pub blocks: Vec<Mutex<Vec<f32>>>,
    /// The biases of the vertical and of the horizontal stack of each layer, with those of the order.
    pub biases: Vec<[Vec<f32>; 2]>,
    /// How far the threads are.
    pub progress: Progress,
}

impl State {
    /// Creates the state before the first row, for `images` images of the batch from `first` on and for up
    /// to so many threads.
    pub fn new(
        plan: &Arc<Plan>,
        batch: &Arc<SampleBatch>,
        [first, images]: [usize; 2],
        threads: usize,
    ) -> Self {
        let [_, channels, _, width] = batch.dims;
        let positions = width * images;
        let features = plan.config.features;
        let layers = || plan.layers.iter();
        let vertical = layers().map(|layer| vec![0.0; layer.rows_len(width, images)]);
        let states = layers().map(|layer| LayerState::new(layer, features, width, images));
        let embedding = plan.tau.as_ref().map_or(0, |tau| tau.weight.outputs());
        let blocks = plan.tau.as_ref().map_or(0, |tau| tau.blocks.len());
        Self {
            plan: Arc::clone(plan),
            batch: Arc::clone(batch),
            first,
            images,
            layers: states.map(Mutex::new).collect(),
            vertical: vertical.map(RwLock::new).collect(),
            sums: RwLock::new(vec![0.0; positions * 2 * features]),
            embedding: RwLock::new(vec![0.0; channels * positions * embedding]),
            blocks: (0..blocks)
                .map(|_| Mutex::new(vec![0.0; positions * 2 * features]))
                .collect(),
            biases: layers().map(|layer| biases(layer, batch.order)).collect(),
            progress: Progress::new(plan.layers.len(), threads),
        }
    }

    /// The state of a layer of the horizontal stack. Where the threads work on a layer, they do so in turns,
    /// or for moments.
    pub fn lock(&self, layer: usize) -> MutexGuard<'_, LayerState> {
        self.layers[layer].lock().expect("no thread panicked")
    }

    /// Adds the part of the pixels to the left to the gates of a column of a layer.
    pub fn add_left(&self, layer: usize, column: usize) {
        self.lock(layer)
            .add_left(&self.plan.layers[layer], column, self.images);
    }

    /// The labels of the run's images.
    pub fn labels(&self) -> Option<&[Option<usize>]> {
        Some(&self.batch.labels.as_ref()?[self.first..self.first + self.images])
    }

    /// The weight of guidance, where there is any.
    pub fn guidance(&self) -> Option<f64> {
        (self.batch.guidance > 0.0).then_some(f64::from(self.batch.guidance))
    }

    /// The tau of a value of each image of the run.
    pub fn tau(&self, row: usize, column: usize, channel: usize) -> impl Iterator<Item = f32> {
        let [_, channels, height, width] = self.batch.dims;
        let images = self.first..self.first + self.images;
        images.map(move |image| {
            self.batch.tau[((image * channels + channel) * height + row) * width + column]
        })
    }

    /// Counts the numbers in the state.
    #[cfg(test)]
    pub fn numbers(&self) -> usize {
        let layers = (0..self.layers.len()).map(|layer| self.lock(layer).numbers());
        let shared = [&self.sums, &self.embedding]
            .into_iter()
            .chain(&self.vertical);
        let blocks = self.blocks.iter().map(|block| block.lock().unwrap().len());
        layers
            .chain(shared.map(|numbers| numbers.read().unwrap().len()))
            .chain(blocks)
            .sum()
    }
}

/// The biases of the vertical and of the horizontal stack of a layer, with those of an order.
fn biases(layer: &Layer, order: Order) -> [Vec<f32>; 2] {
    let with_order = |bias: &[f32], by_order: &[f32]| {
        let mut bias = bias.to_vec();
        if !by_order.is_empty() {
            let of_order = &by_order[order.index() * bias.len()..];
            for (bias, of_order) in bias.iter_mut().zip(of_order) {
                *bias += of_order;
            }
        }
        bias
    };
    [
        with_order(&layer.vertical_bias, &layer.order_vertical),
        with_order(&layer.horizontal_bias, &layer.order_horizontal),
    ]
}
