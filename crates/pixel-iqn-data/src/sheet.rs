//! Images as PNG files: one alone, or many side by side.

use std::{fs, io::Cursor, path::Path};

use burn::tensor::Tensor;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::{
    dataset::element_count,
    error::{DataError, Result, at, option},
};

/// Level of the gaps of a sheet: white.
const GAP_LEVEL: u8 = 255;

/// Writes the images `[N, C, H, W]` as a grid of `columns` columns, row by row, each pixel
/// `scale` pixels wide, with white gaps between the images.
///
/// The file appears at `path` whole or not at all.
///
/// # Errors
///
/// [`DataError::Option`] if `path` does not end in `.png`, `columns` is 0, `scale` is not in `1..=64` or `C` is neither 1 nor 3,
/// [`DataError::Inconsistent`] if the bytes do not fill the shape or it is empty, and
/// [`DataError::Io`].
pub fn save_sheet(
    path: &Path,
    images: &[u8],
    shape: [usize; 4],
    columns: usize,
    scale: usize,
) -> Result<()> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if !extension.eq_ignore_ascii_case("png") {
        return Err(option("file", path.display(), "a name that ends in .png"));
    }
    let [count, channels, height, width] = shape;
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return Err(option("channels", channels, "1 or 3")),
    };
    if columns == 0 {
        return Err(option("columns", columns, "1 or more"));
    }
    if !(1..=64).contains(&scale) {
        return Err(option("scale", scale, "from 1 to 64"));
    }
    if images.is_empty() || element_count(&shape) != Some(images.len()) {
        return Err(DataError::Inconsistent(format!(
            "{} bytes are not images of the shape {shape:?}",
            images.len()
        )));
    }

    let gap = if scale == 1 { 1 } else { 2 };
    let columns = columns.min(count);
    let rows = count.div_ceil(columns);
    let sheet_width = columns * (width * scale + gap) - gap;
    let sheet_height = rows * (height * scale + gap) - gap;
    let mut sheet = vec![GAP_LEVEL; sheet_width * sheet_height * channels];
    for (index, image) in images.chunks_exact(channels * height * width).enumerate() {
        let left = index % columns * (width * scale + gap);
        let top = index / columns * (height * scale + gap);
        for y in 0..height * scale {
            for x in 0..width * scale {
                let pixel = ((top + y) * sheet_width + left + x) * channels;
                for channel in 0..channels {
                    sheet[pixel + channel] =
                        image[(channel * height + y / scale) * width + x / scale];
                }
            }
        }
    }

    let mut png = Cursor::new(Vec::new());
    PngEncoder::new(&mut png)
        .write_image(&sheet, sheet_width as u32, sheet_height as u32, color)
        .map_err(|source| DataError::Image {
            path: path.to_owned(),
            source,
        })?;
    write_whole(path, png.get_ref())
}

/// Writes one image `[C, H, W]`, each pixel `scale` pixels wide.
///
/// # Errors
///
/// As [`save_sheet`].
pub fn save_png(path: &Path, image: &[u8], shape: [usize; 3], scale: usize) -> Result<()> {
    let [channels, height, width] = shape;
    save_sheet(path, image, [1, channels, height, width], 1, scale)
}

/// The levels of images `[B, C, H, W]` with values in `[0, 1]`: clamped, times 255, rounded.
///
/// The inverse of the conversion in [`ImageDataset::batch`](crate::ImageDataset::batch).
///
/// # Errors
///
/// [`DataError::Tensor`] if a value is not finite or the device fails.
pub fn to_levels(images: Tensor<4>) -> Result<Vec<u8>> {
    let data = images.try_into_data_as::<f32>();
    let data = data.map_err(|error| DataError::Tensor(error.to_string()))?;
    data.iter::<f32>()
        .enumerate()
        .map(|(index, value)| match value {
            value if value.is_finite() => Ok((value.clamp(0.0, 1.0) * 255.0).round() as u8),
            value => Err(DataError::Tensor(format!("value {index} is {value}"))),
        })
        .collect()
}

/// Writes beside the target and renames, so that no reader ever sees half a file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        // The write has failed already; that the leftover cannot be removed adds nothing.
        let _ = fs::remove_file(&part);
        at(path)(error)
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn images_lie_row_by_row_with_gaps() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sheet.png");
        // Three images of 1 x 2 in planar RGB.
        let images: Vec<u8> = (0..18).collect();
        save_sheet(&path, &images, [3, 3, 1, 2], 2, 1).unwrap();
        let sheet = image::open(&path).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (5, 3));
        let white = [255; 3];
        let row = |y| (0..5).map(|x| sheet.get_pixel(x, y).0).collect::<Vec<_>>();
        assert_eq!(
            row(0),
            [[0, 2, 4], [1, 3, 5], white, [6, 8, 10], [7, 9, 11]]
        );
        assert_eq!(row(1), [white; 5]);
        assert_eq!(row(2), [[12, 14, 16], [13, 15, 17], white, white, white]);
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            1,
            "a temporary file was left"
        );
    }

    #[test]
    fn a_single_image_has_no_border() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("one.png");
        save_png(&path, &[7, 9], [1, 1, 2], 3).unwrap();
        let image = image::open(&path).unwrap().to_luma8();
        assert_eq!(image.dimensions(), (6, 3));
        assert_eq!(image.into_raw(), [[7, 7, 7, 9, 9, 9]; 3].concat());
    }

    #[test]
    fn what_is_no_sheet_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let save = |bytes: usize, shape, columns, scale| {
            save_sheet(
                &root.path().join("x.png"),
                &vec![0; bytes],
                shape,
                columns,
                scale,
            )
        };
        assert!(save(4, [1, 1, 2, 2], 1, 1).is_ok());
        assert!(matches!(
            save(8, [1, 2, 2, 2], 1, 1),
            Err(DataError::Option { .. })
        ));
        assert!(matches!(
            save(16, [1, 4, 2, 2], 1, 1),
            Err(DataError::Option { .. })
        ));
        assert!(matches!(
            save(4, [1, 1, 2, 2], 0, 1),
            Err(DataError::Option { .. })
        ));
        assert!(matches!(
            save(4, [1, 1, 2, 2], 1, 0),
            Err(DataError::Option { .. })
        ));
        assert!(matches!(
            save(3, [1, 1, 2, 2], 1, 1),
            Err(DataError::Inconsistent(_))
        ));
        assert!(matches!(
            save(0, [0, 1, 2, 2], 1, 1),
            Err(DataError::Inconsistent(_))
        ));
        let nowhere = root.path().join("no/folder/x.png");
        assert!(matches!(
            save_png(&nowhere, &[1], [1, 1, 1], 1),
            Err(DataError::Io { .. })
        ));
    }

    #[test]
    fn levels_survive_the_tensor() {
        let device = Device::flex();
        let levels: Vec<u8> = (0..=255).collect();
        let set = crate::ImageDataset::new(levels.clone(), [1, 16, 16]).unwrap();
        assert_eq!(
            to_levels(set.batch(&[0], None, &device).images).unwrap(),
            levels
        );

        let tensor = |values: Vec<f32>| {
            let shape = [1, 1, 1, values.len()];
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        assert_eq!(
            to_levels(tensor(vec![-3.0, 0.5019, 7.0])).unwrap(),
            [0, 128, 255]
        );
        assert!(matches!(
            to_levels(tensor(vec![0.0, f32::NAN])),
            Err(DataError::Tensor(_))
        ));
    }
}
