//! Reads DER (X.690): definite lengths in their shortest form, and nothing behind what was asked for.

use crate::{require, Found, Otherwise};

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_IDENTIFIER: u8 = 0x06;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
/// \[n\] of a primitive type.
pub const PRIMITIVE: [u8; 3] = [0x80, 0x81, 0x82];
/// \[n\] of a constructed type.
pub const CONTEXT: [u8; 5] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4];
const CONSTRUCTED: u8 = 0x20;
const DEEPEST: usize = 64;

/// Reads values one after another.
#[derive(Clone, Debug)]
pub struct Reader<'d> {
    data: &'d [u8],
}

impl<'d> Reader<'d> {
    /// Of the values in `data`.
    pub fn new(data: &'d [u8]) -> Self {
        Self { data }
    }

    /// Whether all was read.
    pub fn at_end(&self) -> bool {
        self.data.is_empty()
    }

    /// Whether the next value has this tag.
    pub fn next_is(&self, tag: u8) -> bool {
        self.data.first() == Some(&tag)
    }

    /// The content of the next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Found<&'d [u8]> {
        Ok(self.take_whole(tag)?.1)
    }

    /// The next value, which must have this tag: all of it, and its content.
    pub fn take_whole(&mut self, tag: u8) -> Found<(&'d [u8], &'d [u8])> {
        require(self.next_is(tag))?;
        let (start, end) = bounds(self.data)?;
        let (whole, rest) = self.data.split_at(end);
        self.data = rest;
        Ok((whole, &whole[start..]))
    }

    /// The content of the next value if it has this tag.
    pub fn take_if(&mut self, tag: u8) -> Found<Option<&'d [u8]>> {
        self.next_is(tag).then(|| self.take(tag)).transpose()
    }

    /// Goes into the next value, which must have this tag.
    pub fn enter(&mut self, tag: u8) -> Found<Self> {
        Ok(Self::new(self.take(tag)?))
    }

    /// The same where it is all that is left.
    pub fn enter_last(&mut self, tag: u8) -> Found<Self> {
        let inside = self.enter(tag)?;
        self.end()?;
        Ok(inside)
    }

    /// Takes exactly these bytes.
    pub fn skip(&mut self, expected: &[u8]) -> Found<()> {
        self.data = self.data.strip_prefix(expected).ok_or(Otherwise)?;
        Ok(())
    }

    /// Nothing is left.
    pub fn end(&self) -> Found<()> {
        require(self.at_end())
    }
}

/// Where the content of the value that `data` begins with starts and ends.
fn bounds(data: &[u8]) -> Found<(usize, usize)> {
    let first = *data.get(1).ok_or(Otherwise)?;
    let count = usize::from(first & 0x7f);
    let (start, length) = if first < 0x80 {
        (2, count)
    } else {
        let octets = data.get(2..2 + count).filter(|_| (1..=4).contains(&count)).ok_or(Otherwise)?;
        let length = octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
        require(octets[0] != 0 && length >= 0x80)?;
        (2 + count, length)
    };
    let end = start.checked_add(length).filter(|&end| end <= data.len()).ok_or(Otherwise)?;
    Ok((start, end))
}

/// The content of an INTEGER, in its shortest form (X.690 §8.3.2).
pub fn shortest(content: &[u8]) -> Found<&[u8]> {
    require(!matches!(content, [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..]))?;
    Ok(content)
}

/// The value of a small INTEGER that is not negative.
pub fn small(content: &[u8]) -> Found<u64> {
    require(shortest(content)?.len() <= 4 && content[0] < 0x80)?;
    Ok(content.iter().fold(0, |value, &octet| value << 8 | u64::from(octet)))
}

/// All lengths, in whatever is nested, are definite and in their shortest form; tags have one octet.
pub fn is_der(data: &[u8]) -> Found<()> {
    values(data, 0)
}

fn values(mut data: &[u8], depth: usize) -> Found<()> {
    require(depth <= DEEPEST)?;
    while let Some(&tag) = data.first() {
        require(tag & 0x1f != 0x1f)?;
        let (start, end) = bounds(data)?;
        if tag & CONSTRUCTED != 0 {
            values(&data[start..end], depth + 1)?;
        }
        data = &data[end..];
    }
    Ok(())
}
