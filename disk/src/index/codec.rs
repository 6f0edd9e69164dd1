//! Reading and writing of the numbers inside blocks and edits. Bytes read are never trusted: every step is checked.

/// Bytes that don't follow their format, with what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Appends `value` in 7-bit groups, the lowest first, at most ten bytes.
pub(crate) fn put_varint(target: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        target.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    target.push(u8::try_from(rest).expect("seven bits"));
}

/// Appends a length as a varint, then the bytes.
pub(crate) fn put_slice(target: &mut Vec<u8>, source: &[u8]) {
    put_varint(target, source.len() as u64);
    target.extend_from_slice(source);
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a [u8]) -> Self {
        Self { rest: source }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("take gave as many as asked"))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is longer than 64 bits"))
    }

    /// A varint that must fit memory.
    pub(crate) fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?).or(Err(Malformed("a length is beyond memory")))
    }

    /// Bytes behind their length.
    pub(crate) fn slice(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reader, put_varint};

    #[test]
    fn varints_come_back() {
        let values = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let mut bytes = Vec::new();
        for value in values {
            put_varint(&mut bytes, value);
        }
        let mut reader = Reader::new(&bytes);
        for value in values {
            assert_eq!(reader.varint(), Ok(value));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        let too_long = [0xff_u8; 11];
        Reader::new(&too_long).varint().unwrap_err();
        let mut overflowing = [0xff_u8; 10];
        overflowing[9] = 2;
        assert_eq!(
            Reader::new(&overflowing).varint(),
            Err(Malformed("a number is longer than 64 bits"))
        );
    }
}
