//! The program of the web page of [pixel-iqn](https://docs.rs/pixel-iqn): it samples and completes images on
//! the compiled sampler of `pixel-iqn-cpu`, a few pixels at a time, and computes the distributions that the
//! page draws.
//!
//! On `wasm32-unknown-unknown` the crate exports the classes `Model` and `Sampling` to JavaScript through
//! wasm-bindgen; `cargo xtask web` builds them, with the page in `web/`. Elsewhere it is an ordinary library
//! with the same functions, which the tests use.
//!
//! Nothing here depends on Burn: the weights are those of a file, and the program is small.
//!
//! # The same picture everywhere
//!
//! A seed gives the picture that `pixel-iqn sample --seed` gives. That needs the same rounding in every sum,
//! and so the fused multiply-add that CPUs have: browsers have it among the relaxed SIMD instructions (feature
//! `relaxed-simd`). Elsewhere products are rounded before they are added: now and then a value comes out one
//! level higher or lower, and later values follow it. The exponentials of Gated PixelCNN are those of the system's
//! library, which may differ in the last bit too.
//!
//! # Crate features
//!
//! - `relaxed-simd`: compiles for browsers with relaxed SIMD instructions.

#[cfg(target_arch = "wasm32")]
mod bindings;
mod drawing;
mod error;
mod model;
mod quantiles;
mod request;

pub use drawing::Drawing;
pub use error::WebError;
pub use model::WebModel;
pub use quantiles::Quantiles;
pub use request::{Request, Tau};
