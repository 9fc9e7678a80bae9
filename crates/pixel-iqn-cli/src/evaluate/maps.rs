use std::path::Path;

use pixel_iqn::Model;
use pixel_iqn::data::{ImageDataset, ImageGrid, levels_of, say};
use pixel_iqn::score::{ForecastOptions, value_maps};
use pixel_iqn::terminal::Bar;

/// Images in the picture.
const COLUMNS: usize = 8;

/// Draws a row of held-out images, one of the widths of their 90% intervals, and one of their PIT.
pub fn draw(
    model: &Model,
    held_out: &ImageDataset,
    forecast: &ForecastOptions,
    path: &Path,
    bar: &Bar,
) -> anyhow::Result<()> {
    let indices: Vec<usize> = (0..COLUMNS.min(held_out.len())).collect();
    let (network, device) = (model.network(), model.device());
    let maps = value_maps(network, held_out, &indices, forecast, device, bar)?;
    let widths = || maps.iter().flat_map(|map| &map.width_90);
    let widest = widths().fold(0.0f32, |widest, &width| widest.max(width));

    let mut levels: Vec<u8> = Vec::new();
    for &index in &indices {
        levels.extend(held_out.image(index));
    }
    // White is the widest; where all widths are 0, all are black.
    let scale = if widest > 0.0 { widest } else { 1.0 };
    let relative: Vec<f32> = widths().map(|width| width / scale).collect();
    levels.extend(levels_of(&relative)?);
    for map in &maps {
        levels.extend(levels_of(&map.pit)?);
    }
    let [channels, height, width] = held_out.shape();
    let shape = [3 * indices.len(), channels, height, width];
    ImageGrid::new(&levels, shape)?
        .with_columns(indices.len())
        .with_scale(4)
        .save(path)?;
    say!(
        "wrote {}: images, widths of 90% intervals (white is {widest:.2} of the range), PIT (black \
         is 0, white is 1), by channel",
        path.display()
    );
    Ok(())
}
