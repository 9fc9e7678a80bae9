//! A check that a JPEG holds its whole image.
//!
//! Decoders of JPEG show what is there of a damaged file and paint the rest grey, as a browser has
//! to. A set must not hold such images. So this check walks over all blocks of all scans, which
//! ITU-T T.81 describes, without decoding them, and is exact: data that was cut off is found
//! wherever it was cut, and whatever was put behind it. Inside, a part that was overwritten is found
//! unless as many blocks are read of it as were there; the format has no checksum.

use std::path::Path;

use crate::{
    error::{Result, format},
    jpeg_bits::{Bits, Huffman, Stop, next_marker},
    jpeg_scan::{Component, Scan},
};

/// Checks that the image data of a JPEG is complete. `path` serves for messages.
///
/// Bytes behind the end marker are passed over, and an end marker that is missing behind complete
/// data is no error. Bytes between image data and the next marker are one, although decoders pass
/// over them with a warning: they are what is left where a part inside was lost and the rest came to
/// lie at wrong places. All three are our choice. Images of kinds that the decoder does not know are
/// left to it.
///
/// # Errors
///
/// [`DataError::Format`](crate::DataError::Format) with the place where data is missing.
pub(crate) fn check(path: &Path, bytes: &[u8]) -> Result<()> {
    Reader::default()
        .read(bytes)
        .map_err(|Damage(offset, found)| format(path, offset, "a whole JPEG", found))
}

/// The place of the damage, and what was found there.
struct Damage(usize, &'static str);

#[derive(Default)]
struct Reader {
    /// The Huffman codes of the first and of the other coefficients.
    codes: [[Option<Huffman>; 4]; 2],
    restart: usize,
    frame: Option<Frame>,
}

struct Frame {
    progressive: bool,
    /// The units of interleaved scans, `[rows, columns]`.
    units: [usize; 2],
    components: Vec<Component>,
}

impl Reader {
    fn read(mut self, bytes: &[u8]) -> Result<(), Damage> {
        let mut position = 2;
        while let Some((marker, start)) = next_marker(bytes, position) {
            // Markers of one byte alone: restarts, which some encoders put behind the last unit too.
            if matches!(marker, 0x01 | 0xd0..=0xd8) {
                position = start;
                continue;
            }
            if marker == 0xd9 {
                return self.finish(start - 2);
            }
            let cut = Damage(start, "a segment that is cut off");
            let length = bytes.get(start..start + 2);
            let length = length.map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
            let end = start + length;
            let Some(segment) = bytes.get(start + 2..end) else {
                return Err(cut);
            };
            position = end;
            match marker {
                0xc0..=0xc2 => self.frame = Some(frame(segment, marker == 0xc2).ok_or(cut)?),
                // Lossless, hierarchical and arithmetic coding.
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Ok(()),
                0xc4 => self.tables(segment).ok_or(cut)?,
                0xdd => {
                    let interval = segment.first_chunk().ok_or(cut)?;
                    self.restart = u16::from_be_bytes(*interval).into();
                }
                0xda => position = self.scan(bytes, segment, end)?,
                _ => {}
            }
        }
        // Without a marker there must be nothing left: zeros, for example, could pass for blocks.
        match bytes.len().saturating_sub(position) {
            0 | 1 => self.finish(bytes.len()),
            _ => Err(Damage(position, "bytes that no end marker follows")),
        }
    }

    /// Reads Huffman tables.
    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            let of_kind = self.codes.get_mut(usize::from(place >> 4))?;
            *of_kind.get_mut(usize::from(place & 15))? = Some(Huffman::new(counts, values));
            segment = rest;
        }
        Some(())
    }

    /// Walks over a scan, whose data begins at `start`, and returns the position behind it.
    fn scan(&mut self, bytes: &[u8], header: &[u8], start: usize) -> Result<usize, Damage> {
        let no_scan = |found| Damage(start, found);
        let frame = self.frame.as_mut();
        let frame = frame.ok_or(no_scan("a scan in front of the size of the image"))?;
        let count = usize::from(*header.first().unwrap_or(&0));
        let (&[first, last, ref bits], parts) = match header.get(1..) {
            Some(rest) if rest.len() == 2 * count + 3 && (1..=4).contains(&count) => {
                let (parts, band) = rest.split_at(2 * count);
                (band.first_chunk::<3>().expect("three bytes"), parts)
            }
            _ => return Err(no_scan("a damaged header of a scan")),
        };
        let band = match frame.progressive {
            true => [first, last].map(usize::from),
            false => [0, 63],
        };
        if band[0] > band[1] || band[1] > 63 {
            return Err(no_scan("a scan of coefficients that there are not"));
        }
        let low = if frame.progressive { bits & 15 } else { 0 };
        let mut components = Vec::new();
        for part in parts.chunks_exact(2) {
            let place = frame.components.iter().position(|c| c.id == part[0]);
            let place = place.ok_or(no_scan("a scan of a colour that there is not"))?;
            let of = |kind: usize, place: u8| self.codes[kind].get(usize::from(place))?.as_ref();
            components.push((place, of(0, part[1] >> 4), of(1, part[1] & 15)));
            frame.components[place].bits_left[band[0]..=band[1]].fill(low);
        }
        let scan = Scan {
            components,
            progressive: frame.progressive,
            band,
            refines: frame.progressive && bits >> 4 != 0,
            restart: self.restart,
            units: frame.units,
        };
        let mut bits = Bits::new(bytes, start);
        let walked = scan.walk(&mut frame.components, &mut bits);
        walked.map_err(|stop| {
            let found = match stop {
                Stop::Missing => "the end of the image data before that of the image",
                Stop::NoCode => "image data that no Huffman code stands for",
                Stop::Left => {
                    "more image data than the image has, as a damage inside leaves it: decode the \
                     image and save it again to keep it as it is"
                }
            };
            Damage(bits.position(), found)
        })
    }

    /// Checks, at the end of the file, that the scans have brought all bits of all coefficients.
    fn finish(&self, end: usize) -> Result<(), Damage> {
        let components = self.frame.iter().flat_map(|frame| &frame.components);
        let mut left = components.flat_map(|component| component.bits_left);
        match left.any(|bits| bits != 0) || self.frame.is_none() {
            true => Err(Damage(end, "the end, with scans missing")),
            false => Ok(()),
        }
    }
}

/// Reads the size and the components of the image; `None` where the segment is too short or a number
/// is zero.
fn frame(segment: &[u8], progressive: bool) -> Option<Frame> {
    let (&[_, h0, h1, w0, w1, count], parts) = segment.split_first_chunk()?;
    let size = [[h0, h1], [w0, w1]].map(|bytes| usize::from(u16::from_be_bytes(bytes)));
    let parts = parts.get(..3 * usize::from(count))?;
    let samplings: Vec<[usize; 2]> = parts
        .chunks_exact(3)
        .map(|part| [part[1] & 15, part[1] >> 4].map(usize::from))
        .collect();
    let most = [0, 1].map(|axis| samplings.iter().map(|s| s[axis]).max().unwrap_or(0));
    if size.contains(&0) || samplings.as_flattened().contains(&0) || most[0] == 0 {
        return None;
    }
    let units = [0, 1].map(|axis| size[axis].div_ceil(8 * most[axis]));
    let components = parts.chunks_exact(3).zip(samplings);
    let components = components.map(|(part, sampling)| {
        let own = |axis: usize| {
            (size[axis] * sampling[axis])
                .div_ceil(most[axis])
                .div_ceil(8)
        };
        let [rows, stride] = [0, 1].map(|axis| units[axis] * sampling[axis]);
        Component {
            id: part[0],
            sampling,
            blocks: [0, 1].map(own),
            stride,
            nonzero: vec![0; if progressive { rows * stride } else { 0 }],
            bits_left: [u8::MAX; 64],
        }
    });
    Some(Frame {
        progressive,
        units,
        components: components.collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ExtendedColorType, RgbImage, codecs::jpeg::JpegEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::mutate;

    /// A progressive image of 12 x 9 in ten scans, as libjpeg writes it.
    const PROGRESSIVE: &str = "\
        ffd8ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a\
        3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e131113261515264f35\
        2d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f\
        4f4f4f4f4f4f4f4fffc20011080009000c03012200021101031101ffc4001600010101000000000000000000\
        00000000040305ffc4001501010100000000000000000000000000000405ffda000c03010002100310000001\
        cc4c907a9fffc4001810000203000000000000000000000000000002011012ffda0008010100010502583225\
        7fffc400161101010100000000000000000000000000110001ffda0008010301013f01306fffc40016110003\
        0000000000000000000000000000000102ffda0008010201013f01a47fffc400141001000000000000000000\
        00000000000020ffda0008010100063f021fffc4001810000301010000000000000000000000000001113110\
        ffda0008010100013f21b892618e7fffda000c03010002000300000010ebffc4001511010100000000000000\
        000000000000000100ffda0008010301013f1008a2ffc4001611000300000000000000000000000000000001\
        11ffda0008010201013f105d3fffc400191000020301000000000000000000000000000111213191ffda0008\
        010100013f105a5ad20a5386e3d3ffd9";

    fn progressive() -> Vec<u8> {
        let pairs = PROGRESSIVE.as_bytes().chunks_exact(2);
        let digits = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
        digits
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    }

    fn baseline() -> Vec<u8> {
        let picture = RgbImage::from_fn(19, 17, |x, y| image::Rgb([(x * x * y) as u8, 9, 200]));
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        picture.write_with_encoder(encoder).unwrap();
        bytes
    }

    fn grey() -> Vec<u8> {
        let levels: Vec<u8> = (0..13 * 11).map(|i| (i * i / 7) as u8).collect();
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes)
            .encode(&levels, 13, 11, ExtendedColorType::L8)
            .unwrap();
        bytes
    }

    fn check(bytes: &[u8]) -> Result<()> {
        super::check(Path::new("x.jpg"), bytes)
    }

    fn decode(bytes: &[u8]) -> Option<DynamicImage> {
        image::ImageReader::with_format(Cursor::new(bytes), image::ImageFormat::Jpeg)
            .decode()
            .ok()
    }

    #[test]
    fn missing_data_is_found_at_every_place() {
        for whole in [baseline(), grey(), progressive()] {
            check(&whole).unwrap();
            let image = decode(&whole).unwrap();
            check(&[&whole[..], b"trailing \xff\xc4 bytes"].concat()).unwrap();
            let first_scan = whole
                .windows(2)
                .position(|pair| pair == [0xff, 0xda])
                .unwrap();
            let data = whole.len() - 2;
            for end in first_scan..data {
                let cut = &whole[..end];
                assert!(check(cut).is_err(), "cut to {end} of {} bytes", whole.len());
                for appended in [&b"\xff\xd9"[..], &[0; 300], b"\xff\xd0\xff\xd9"] {
                    let error = check(&[cut, appended].concat());
                    assert!(
                        error.is_err(),
                        "{appended:?} at {end} of {} bytes",
                        whole.len()
                    );
                }
            }
            for stray in [&[0][..], &[0x55; 2], &[0xff, 0]] {
                let error = check(&[&whole[..data], stray, &whole[data..]].concat());
                let error = error.unwrap_err().to_string();
                assert!(
                    error.contains("more image data than the image has"),
                    "{error}"
                );
            }
            // Bytes of 255 fill up, and without its end marker the image is still whole.
            check(&[&whole[..data], &[0xff; 3], &whole[data..]].concat()).unwrap();
            for end in [data, data + 1] {
                check(&whole[..end]).unwrap();
                assert_eq!(decode(&whole[..end]).unwrap(), image);
            }
        }
        let error = check(&baseline()[..700]).unwrap_err().to_string();
        assert!(
            error.starts_with("x.jpg, byte 700: expected a whole JPEG, found the end"),
            "{error}"
        );
    }

    #[test]
    fn a_hole_of_zeros_is_found() {
        // Noise of 96 x 80, so that the hole is less than a hundredth of the data.
        let picture = RgbImage::from_fn(96, 80, |x, y| {
            image::Rgb([3, 5, 7].map(|factor| (x * x * factor + y * y * x / 3) as u8))
        });
        let mut whole = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut whole, 90);
        picture.write_with_encoder(encoder).unwrap();
        check(&whole).unwrap();
        for start in (700..whole.len() - 110).step_by(11) {
            let mut damaged = whole.clone();
            damaged[start..start + 100].fill(0);
            assert!(check(&damaged).is_err(), "a hole from {start} on");
        }
    }

    #[test]
    fn a_restart_marker_that_is_missing_is_found() {
        // Two units of 8 x 8 with the same code for no coefficient at all, a restart between them.
        let file = |interval: u8, data: &[u8]| {
            let mut bytes = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x08\0\x10\x01\x01\x11\0".to_vec();
            for place in [0, 0x10] {
                bytes.extend(b"\xff\xc4\0\x14");
                bytes.extend([place, 1].into_iter().chain([0; 15]).chain([0]));
            }
            bytes.extend([0xff, 0xdd, 0, 4, 0, interval]);
            bytes.extend(b"\xff\xda\0\x08\x01\x01\0\0\x3f\0");
            [&bytes[..], data, b"\xff\xd9"].concat()
        };
        check(&file(0, b"\x0f")).unwrap();
        check(&file(1, b"\x3f\xff\xd0\x3f")).unwrap();
        for data in [
            &b"\x0f"[..],
            b"\x3f\xff\xd1\x3f",
            b"\x3f\xff\xd0",
            b"\xff\xd0\x3f",
        ] {
            assert!(check(&file(1, data)).is_err(), "{data:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in prop_oneof![mutate(baseline()), mutate(progressive())]) {
            let _ = check(&bytes);
        }
    }
}
