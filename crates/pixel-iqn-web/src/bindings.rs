//! What JavaScript sees.

use wasm_bindgen::prelude::*;

use crate::{Drawing, Quantiles, Request, WebError, WebModel};

fn thrown(error: WebError) -> JsError {
    JsError::new(&error.to_string())
}

/// A model.
#[wasm_bindgen]
pub struct Model(WebModel);

#[wasm_bindgen]
impl Model {
    /// Opens a model: the JSON of its config, the size of its images and the bytes of its weights.
    #[wasm_bindgen(constructor)]
    pub fn new(
        config: &str,
        height: usize,
        width: usize,
        weights: &[u8],
    ) -> Result<Model, JsError> {
        let model = WebModel::open(config, [height, width], weights);
        model.map(Model).map_err(thrown)
    }

    /// Begins to draw samples of a request in JSON.
    pub fn draw(&self, request: &str) -> Result<Sampling, JsError> {
        let drawing = Request::from_json(request).and_then(|request| self.0.draw(&request));
        drawing.map(Sampling).map_err(thrown)
    }

    /// Begins to complete a picture, `[channels, height, width]`, where `missing`, `[height, width]`, is not 0.
    pub fn complete(
        &self,
        request: &str,
        picture: &[u8],
        missing: &[u8],
    ) -> Result<Sampling, JsError> {
        let missing = mask(missing);
        let drawing = Request::from_json(request)
            .and_then(|request| self.0.complete(&request, picture, &missing));
        drawing.map(Sampling).map_err(thrown)
    }

    /// The generation order that suits a region.
    #[wasm_bindgen(js_name = orderFor)]
    pub fn order_for(&self, missing: &[u8]) -> Result<usize, JsError> {
        self.0.order_for(&mask(missing)).map_err(thrown)
    }

    /// Begins to compute the quantile functions of a picture. A label below 0 is no class.
    pub fn quantiles(
        &self,
        picture: &[u8],
        label: i32,
        order: usize,
    ) -> Result<Functions, JsError> {
        let label = usize::try_from(label).ok();
        let quantiles = self.0.quantiles(picture, label, order);
        quantiles.map(Functions).map_err(thrown)
    }
}

fn mask(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().map(|&byte| byte != 0).collect()
}

/// Images that are being drawn.
#[wasm_bindgen]
pub struct Sampling(Drawing);

#[wasm_bindgen]
impl Sampling {
    /// Draws some more pixels, and returns whether there are others.
    pub fn advance(&mut self, pixels: usize) -> bool {
        self.0.advance(pixels)
    }

    /// The number of pixels of each image that are drawn.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> usize {
        self.0.done()
    }

    /// The row and column of the next pixel, or nothing.
    #[wasm_bindgen(getter)]
    pub fn next(&self) -> Vec<usize> {
        self.0.next().map(Vec::from).unwrap_or_default()
    }

    /// The images so far, `[images, height, width, 4]`.
    pub fn rgba(&self) -> Vec<u8> {
        self.0.rgba().to_vec()
    }

    /// The images so far, `[images, channels, height, width]`.
    pub fn levels(&self) -> Vec<u8> {
        self.0.levels().to_vec()
    }

    /// The quantile levels of the images, `[images, channels, height, width]`.
    pub fn tau(&self) -> Vec<f32> {
        self.0.tau().to_vec()
    }
}

/// Quantile functions that are being computed.
#[wasm_bindgen]
pub struct Functions(Quantiles);

#[wasm_bindgen]
impl Functions {
    /// Computes some more pixels, and returns whether there are others.
    pub fn advance(&mut self, pixels: usize) -> bool {
        self.0.advance(pixels)
    }

    /// The number of pixels that are computed.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> usize {
        self.0.done()
    }

    /// The quantile levels.
    pub fn levels(&self) -> Vec<f32> {
        self.0.levels().to_vec()
    }

    /// The quantiles, `[levels, channels, height, width]`.
    pub fn quantiles(&self) -> Vec<f32> {
        self.0.quantiles()
    }
}
