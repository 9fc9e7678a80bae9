//! One scan of a JPEG, whose blocks are counted without decoding them.

use crate::jpeg_bits::{Bits, Huffman, Stop};

/// A colour component of a JPEG.
pub(crate) struct Component {
    pub id: u8,
    /// The blocks of 8 x 8 of one unit of an interleaved scan, `[rows, columns]`.
    pub sampling: [usize; 2],
    /// The blocks of a scan of this component alone, `[rows, columns]`.
    pub blocks: [usize; 2],
    /// The blocks in a row of the units of interleaved scans.
    pub stride: usize,
    /// By block, the coefficients that are not zero, in a progressive image: the first lowest.
    pub nonzero: Vec<u64>,
    /// By coefficient, the lower bits that no scan has brought yet.
    pub bits_left: [u8; 64],
}

/// The header of a scan.
pub(crate) struct Scan<'a> {
    /// The places of the components, and their codes of first and of other coefficients.
    pub components: Vec<(usize, Option<&'a Huffman>, Option<&'a Huffman>)>,
    pub progressive: bool,
    /// The first and the last coefficient.
    pub band: [usize; 2],
    /// Whether an earlier scan brought the higher bits of the coefficients.
    pub refines: bool,
    /// The units between restart markers; 0 without them.
    pub restart: usize,
    /// The units of interleaved scans, `[rows, columns]`.
    pub units: [usize; 2],
}

impl Scan<'_> {
    /// Walks over all blocks of the scan, and returns the position behind them. It fails where a block
    /// is missing or more than the blocks is there.
    pub fn walk(&self, components: &mut [Component], bits: &mut Bits<'_>) -> Result<usize, Stop> {
        let alone = self.components.len() == 1;
        let [rows, columns] = match self.components[..] {
            [(place, ..)] => components[place].blocks,
            _ => self.units,
        };
        let mut zero_blocks = 0;
        for unit in 0..rows * columns {
            if self.restart != 0 && unit != 0 && unit.is_multiple_of(self.restart) {
                bits.restart((unit / self.restart + 7) as u8 % 8)?;
                zero_blocks = 0;
            }
            let [row, column] = [unit / columns, unit % columns];
            for &(place, first, other) in &self.components {
                let component = &mut components[place];
                let [high, wide] = if alone { [1, 1] } else { component.sampling };
                for inner in 0..high * wide {
                    let [y, x] = [row * high + inner / wide, column * wide + inner % wide];
                    let mut none = 0;
                    let block = y * component.stride + x;
                    let nonzero = component.nonzero.get_mut(block).unwrap_or(&mut none);
                    self.block(bits, [first, other], nonzero, &mut zero_blocks)?;
                }
            }
        }
        bits.end()
    }

    /// Passes over one block. `zero_blocks` are those left of a run without further coefficients.
    fn block(
        &self,
        bits: &mut Bits<'_>,
        [first, other]: [Option<&Huffman>; 2],
        nonzero: &mut u64,
        zero_blocks: &mut u32,
    ) -> Result<(), Stop> {
        let [start, end] = self.band;
        if start == 0 {
            if self.refines {
                return bits.skip(1);
            }
            let size = first.ok_or(Stop::NoCode)?.read(bits)?;
            bits.skip(u32::from(size.min(16)))?;
        }
        let start = start.max(1);
        if start > end {
            return Ok(());
        }
        let other = other.ok_or(Stop::NoCode)?;
        if self.refines {
            return refine(bits, other, [start, end], nonzero, zero_blocks);
        }
        if *zero_blocks > 0 {
            *zero_blocks -= 1;
            return Ok(());
        }
        let mut index = start;
        while index <= end {
            let (zeros, size) = split(other.read(bits)?);
            match (zeros, size) {
                (15, 0) => index += 16,
                (zeros, 0) if !self.progressive && zeros != 0 => return Err(Stop::NoCode),
                (_, 0) => {
                    if self.progressive {
                        *zero_blocks = run(zeros, bits)? - 1;
                    }
                    break;
                }
                _ => {
                    index += zeros as usize;
                    if index > end {
                        return Err(Stop::NoCode);
                    }
                    bits.skip(size)?;
                    *nonzero |= 1 << index;
                    index += 1;
                }
            }
        }
        match index <= end + 1 {
            true => Ok(()),
            false => Err(Stop::NoCode),
        }
    }
}

/// Passes over the next bit of the coefficients of one block.
fn refine(
    bits: &mut Bits<'_>,
    code: &Huffman,
    [start, end]: [usize; 2],
    nonzero: &mut u64,
    zero_blocks: &mut u32,
) -> Result<(), Stop> {
    let mut index = start;
    while *zero_blocks == 0 && index <= end {
        let (mut zeros, size) = split(code.read(bits)?);
        if size == 0 && zeros < 15 {
            *zero_blocks = run(zeros, bits)?;
            break;
        }
        if size != 0 {
            // The sign of a coefficient that was zero.
            bits.skip(1)?;
        }
        while index <= end {
            if *nonzero >> index & 1 == 1 {
                bits.skip(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            index += 1;
        }
        if size != 0 && index <= end {
            *nonzero |= 1 << index;
        }
        index += 1;
    }
    if *zero_blocks > 0 {
        for index in index..=end {
            bits.skip((*nonzero >> index & 1) as u32)?;
        }
        *zero_blocks -= 1;
    }
    Ok(())
}

/// Splits a value of the code in the zeros in front of a coefficient and the bits of it.
fn split(value: u8) -> (u32, u32) {
    (u32::from(value >> 4), u32::from(value & 15))
}

/// Reads the number of blocks that have no further coefficient, this one included.
fn run(size: u32, bits: &mut Bits<'_>) -> Result<u32, Stop> {
    Ok((1 << size) + bits.read(size)?)
}
