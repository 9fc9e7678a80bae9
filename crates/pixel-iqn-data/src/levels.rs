//! The conversion of numbers in `[0, 1]` to the 8-bit levels of an image.

use burn::tensor::Tensor;

use crate::error::{DataError, Result};

/// Converts a value in `[0, 1]` to a level in `0..=255`: clamped, times 255, rounded half away
/// from zero.
///
/// This is the inverse of `level / 255`, the conversion in
/// [`ImageDataset::batch`](crate::ImageDataset::batch).
///
/// ```
/// use pixel_iqn_data::to_level;
///
/// assert_eq!(to_level(128.0 / 255.0)?, 128);
/// assert_eq!(to_level(1.5)?, 255);
/// assert!(to_level(f32::NAN).is_err());
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
///
/// # Errors
///
/// [`DataError::NotFinite`] if the value is infinite or NaN.
pub fn to_level(value: f32) -> Result<u8> {
    level(0, value)
}

/// Converts values in `[0, 1]` to levels as [`to_level`] does, in the same order.
///
/// # Errors
///
/// [`DataError::NotFinite`] with the index of the first value that is infinite or NaN.
pub fn levels_of(values: &[f32]) -> Result<Vec<u8>> {
    let values = values.iter().enumerate();
    values.map(|(index, &value)| level(index, value)).collect()
}

/// Converts a tensor of values in `[0, 1]`, such as images `[B, C, H, W]`, to levels as
/// [`to_level`] does, in the order of its elements.
///
/// # Errors
///
/// [`DataError::NotFinite`] with the index of the first value that is infinite or NaN, and
/// [`DataError::Tensor`] if the device fails.
pub fn to_levels<const D: usize>(images: Tensor<D>) -> Result<Vec<u8>> {
    let values = images.try_into_vec_as::<f32>()?;
    levels_of(&values)
}

fn level(index: usize, value: f32) -> Result<u8> {
    if !value.is_finite() {
        return Err(DataError::NotFinite { index, value });
    }
    Ok((value.clamp(0.0, 1.0) * 255.0).round() as u8)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::dataset::ImageDataset;

    #[test]
    fn levels_survive_the_tensor() {
        let device = Device::flex();
        let levels: Vec<u8> = (0..=255).collect();
        let set = ImageDataset::new(levels.clone(), [1, 16, 16]).unwrap();
        let images = set.batch(&[0], None, &device).images;
        assert_eq!(to_levels(images).unwrap(), levels);
    }

    #[test]
    fn values_are_clamped_and_rounded() {
        assert_eq!(levels_of(&[-3.0, 0.5019, 7.0]).unwrap(), [0, 128, 255]);
        // Halves go up, and -0 is 0.
        assert_eq!(levels_of(&[0.5 / 255.0, -0.0]).unwrap(), [1, 0]);
        assert!(levels_of(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_number_is_named_by_its_index() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let tensor = Tensor::<2>::from_data(
                TensorData::new(vec![0.0, 1.0, value, value], [2, 2]),
                &Device::flex(),
            );
            for result in [levels_of(&[0.0, 1.0, value]), to_levels(tensor)] {
                let error = result.unwrap_err();
                assert!(
                    matches!(error, DataError::NotFinite { index: 2, .. }),
                    "{error}"
                );
            }
            assert!(to_level(value).is_err());
        }
    }
}
