//! The bits of the compressed data of a JPEG, and the Huffman codes that they are read by.

/// The reason why compressed data cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The data ends, by a marker or with the file, before the image does.
    Missing,
    /// The bits are no code of the table, or one of a coefficient that there is not.
    NoCode,
    /// Bytes are left in front of the next marker.
    Left,
}

/// A reader of bits, which stops in front of a marker.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Behind the last byte that is in `buffer`.
    position: usize,
    /// The bits that were not read yet, the last of them lowest.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Reads from a position of a file on.
    pub fn new(bytes: &'a [u8], position: usize) -> Self {
        Self {
            bytes,
            position,
            buffer: 0,
            count: 0,
        }
    }

    /// Returns the position behind the bytes of which a bit was read.
    pub fn position(&self) -> usize {
        // Back over the whole bytes in the buffer, of which those of 255 are two in the file.
        (0..self.count / 8).fold(self.position, |position, _| match self.bytes[..position] {
            [.., 0xff, 0] => position - 2,
            _ => position - 1,
        })
    }

    /// Checks that a marker or the end of the file follows what was read, and returns the position in
    /// front of it.
    pub fn end(&self) -> Result<usize, Stop> {
        let position = self.position();
        let rest = &self.bytes[position..];
        // A byte of 255 fills up in front of a marker, and is half of one at the end of the file.
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        match (fill, rest.get(fill)) {
            (0, Some(_)) | (_, Some(0)) => Err(Stop::Left),
            _ => Ok(position),
        }
    }

    /// Reads up to 16 bits as a number.
    pub fn read(&mut self, count: u32) -> Result<u32, Stop> {
        let next = self.peek();
        self.skip(count)?;
        Ok(next >> (16 - count))
    }

    /// Passes over up to 16 bits.
    pub fn skip(&mut self, count: u32) -> Result<(), Stop> {
        if self.count < 16 {
            self.fill();
        }
        self.count = self.count.checked_sub(count).ok_or(Stop::Missing)?;
        Ok(())
    }

    /// Drops the bits that are left of the last byte and takes the marker behind it, if it is the
    /// restart marker of this number, from 0 to 7.
    pub fn restart(&mut self, number: u8) -> Result<(), Stop> {
        let (marker, position) = next_marker(self.bytes, self.end()?).ok_or(Stop::Missing)?;
        if marker != 0xd0 + number {
            return Err(Stop::Missing);
        }
        *self = Self::new(self.bytes, position);
        Ok(())
    }

    /// Returns the next 16 bits, zeros behind the last.
    fn peek(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        let next = match self.count {
            count @ 16.. => self.buffer >> (count - 16),
            count => self.buffer << (16 - count),
        };
        (next & 0xffff) as u32
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            // A byte of 255 is followed by a zero, which is none of the data, or is a marker.
            let (byte, length) = match self.bytes[self.position..] {
                [0xff, 0, ..] => (0xff, 2),
                [] | [0xff, ..] => return,
                [byte, ..] => (byte, 1),
            };
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
            self.position += length;
        }
    }
}

/// Returns the first marker from a position on and the position behind it. Zeros behind 255 are
/// data, and further bytes of 255 fill up.
pub(crate) fn next_marker(bytes: &[u8], position: usize) -> Option<(u8, usize)> {
    let pairs = bytes.get(position..)?.windows(2);
    let found = pairs
        .enumerate()
        .find(|(_, pair)| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
    found.map(|(offset, pair)| (pair[1], position + offset + 2))
}

/// A Huffman code of up to 16 bits.
pub(crate) struct Huffman {
    /// By length, the first code that is longer, with zeros behind it up to 16 bits.
    limits: [u32; 17],
    /// By length, what has to be added to a code to make it the index of its value.
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    /// Creates the code with these numbers of codes of 1 to 16 bits.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Self {
        let (mut limits, mut offsets) = ([0; 17], [0; 17]);
        let (mut code, mut index) = (0u32, 0i32);
        for (length, &count) in (1..).zip(counts) {
            offsets[length] = index - code as i32;
            code += u32::from(count);
            index += i32::from(count);
            limits[length] = code << (16 - length);
            code <<= 1;
        }
        Self {
            limits,
            offsets,
            values: values.to_vec(),
        }
    }

    /// Reads the value of the next code.
    pub fn read(&self, bits: &mut Bits<'_>) -> Result<u8, Stop> {
        let next = bits.peek();
        let length = (1..17).find(|&length| next < self.limits[length]);
        let Some(length) = length else {
            // The zeros behind the last bit may make no code of the beginning of one.
            bits.skip(16)?;
            return Err(Stop::NoCode);
        };
        bits.skip(length as u32)?;
        let index = (next >> (16 - length)) as i32 + self.offsets[length];
        let value = usize::try_from(index).ok().and_then(|i| self.values.get(i));
        value.copied().ok_or(Stop::NoCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stop_in_front_of_a_marker() {
        let bytes = [0xa5, 0xff, 0, 0x80, 0xff, 0xff, 0xd1, 0x7f];
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!(bits.read(4), Ok(0xa));
        assert_eq!(bits.read(13), Ok(0x0bff));
        assert_eq!(bits.read(8), Err(Stop::Missing));
        assert_eq!(bits.restart(0), Err(Stop::Missing));
        bits.restart(1).unwrap();
        assert_eq!(bits.read(8), Ok(0x7f));
        assert_eq!(bits.skip(1), Err(Stop::Missing));
        // A byte that may be half a marker is no data.
        assert_eq!(Bits::new(&[0xff], 0).skip(1), Err(Stop::Missing));
    }

    #[test]
    fn bytes_in_front_of_a_marker_are_left() {
        let bytes = [0xa5, 0xff, 0, 0x80, 0xff, 0xff, 0xd1];
        let mut bits = Bits::new(&bytes, 0);
        for (read, position) in [(0, 0), (1, 1), (7, 1), (1, 3), (7, 3)] {
            bits.skip(read).unwrap();
            assert_eq!((bits.position(), bits.end()), (position, Err(Stop::Left)));
        }
        assert_eq!(Bits::new(&bytes, 0).restart(1), Err(Stop::Left));
        bits.skip(1).unwrap();
        assert_eq!((bits.position(), bits.end()), (4, Ok(4)));
        // The file may end in place of a marker, or within one.
        for end in [4, 5, 6] {
            let mut bits = Bits::new(&bytes[..end], 0);
            bits.skip(16).unwrap();
            bits.skip(8).unwrap();
            assert_eq!(bits.end(), Ok(4));
        }
    }

    #[test]
    fn codes_are_read_by_their_lengths() {
        // 0, 10, 110 and no code for 111.
        let mut counts = [0; 16];
        counts[..3].fill(1);
        let code = Huffman::new(&counts, &[7, 8, 9]);
        let bytes = [0b0101_1010, 0b0111_1111, 0xff, 0];
        let mut bits = Bits::new(&bytes, 0);
        for value in [7, 8, 9, 8, 7] {
            assert_eq!(code.read(&mut bits), Ok(value));
        }
        assert_eq!(code.read(&mut bits), Err(Stop::Missing));
        let mut bits = Bits::new(&[0xfe, 0xfe, 0xfe], 0);
        assert_eq!(code.read(&mut bits), Err(Stop::NoCode));
    }
}
