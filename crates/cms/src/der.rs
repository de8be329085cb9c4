//! Just enough DER (X.690): structures are spliced from pieces that were encoded once, and certificates read strictly.

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// The whole of NULL.
pub const NULL: [u8; 2] = [0x05, 0x00];
/// OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String.
pub const UTF8_STRING: u8 = 0x0c;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE, SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// SET, SET OF.
pub const SET: u8 = 0x31;
/// \[0\] of a constructed type.
pub const CONTEXT_0: u8 = 0xa0;
/// \[1\] of a constructed type.
pub const CONTEXT_1: u8 = 0xa1;
/// \[0\] IMPLICIT of a primitive type.
pub const CONTEXT_0_PRIMITIVE: u8 = 0x80;

/// The bytes are not the DER value that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDer(pub &'static str);

/// How many bytes tag and length take in front of a value of `length` bytes.
pub fn head_size(length: usize) -> usize {
    if length < 0x80 {
        2
    } else {
        2 + octets(length)
    }
}

/// Appends tag and length of a value of `length` bytes; definite form, shortest (X.690 §8.1.3, §10.1).
pub fn push_head(to: &mut Vec<u8>, tag: u8, length: usize) {
    to.push(tag);
    if length < 0x80 {
        to.push(length as u8);
        return;
    }
    let count = octets(length);
    to.push(0x80 | count as u8);
    to.extend_from_slice(&length.to_be_bytes()[size_of::<usize>() - count..]);
}

fn octets(length: usize) -> usize {
    size_of::<usize>() - length.leading_zeros() as usize / 8
}

/// Tag, length and the parts, one after the other.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut whole = Vec::with_capacity(head_size(length) + length);
    push_head(&mut whole, tag, length);
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole
}

/// SEQUENCE of the parts, in their order.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

/// SET OF the parts under `tag`, sorted by their encodings (X.690 §11.6), each once.
pub fn set_of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    tlv(tag, &sorted)
}

/// INTEGER of a number that is not negative, big-endian in `number`; shortest form (X.690 §8.3.2).
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&each| each == 0).count();
    match &number[zeros..] {
        digits @ [first, ..] if *first < 0x80 => tlv(INTEGER, &[digits]),
        digits => tlv(INTEGER, &[&[0], digits]),
    }
}

/// The same of a small number.
pub fn integer(number: u64) -> Vec<u8> {
    unsigned(&number.to_be_bytes())
}

/// OBJECT IDENTIFIER of these arcs (X.690 §8.19); none where they name nothing.
pub fn object_identifier(arcs: &[u64]) -> Option<Vec<u8>> {
    let (&[first, second], rest) = arcs.split_first_chunk::<2>()?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut content = Vec::new();
    for arc in std::iter::once((40 * first).checked_add(second)?).chain(rest.iter().copied()) {
        let groups = (64 - arc.leading_zeros() as usize).div_ceil(7).max(1);
        content.extend((0..groups).rev().map(|group| (arc >> (7 * group)) as u8 & 0x7f | if group > 0 { 0x80 } else { 0 }));
    }
    Some(tlv(OBJECT_IDENTIFIER, &[&content]))
}

/// Reads values one after another, strictly.
#[derive(Clone, Debug)]
pub struct Reader<'d> {
    data: &'d [u8],
    at: usize,
}

impl<'d> Reader<'d> {
    /// Of the values in `data`.
    pub fn new(data: &'d [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Whether everything was read.
    pub fn at_end(&self) -> bool {
        self.at == self.data.len()
    }

    /// Whether the next value has this tag.
    pub fn next_is(&self, tag: u8) -> bool {
        self.data.get(self.at) == Some(&tag)
    }

    /// The content of the next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Result<&'d [u8], NotDer> {
        Ok(self.take_whole(tag)?.1)
    }

    /// The next value, which must have this tag: all of it, and its content.
    pub fn take_whole(&mut self, tag: u8) -> Result<(&'d [u8], &'d [u8]), NotDer> {
        if !self.next_is(tag) {
            return Err(NotDer("a value with another tag was expected"));
        }
        let start = self.at;
        let (content, length) = self.length(start + 1)?;
        let end = content.checked_add(length).filter(|&end| end <= self.data.len());
        self.at = end.ok_or(NotDer("a value is longer than what encloses it"))?;
        Ok((&self.data[start..self.at], &self.data[content..self.at]))
    }

    /// Fails if anything is left.
    pub fn end(&self) -> Result<(), NotDer> {
        self.at_end().then_some(()).ok_or(NotDer("there are bytes behind the last value"))
    }

    /// Where the content begins, and its length.
    fn length(&self, at: usize) -> Result<(usize, usize), NotDer> {
        const ODD: NotDer = NotDer("a length is indefinite, too long, cut off or not in its shortest form");
        let &first = self.data.get(at).ok_or(ODD)?;
        if first < 0x80 {
            return Ok((at + 1, usize::from(first)));
        }
        let count = usize::from(first & 0x7f);
        let octets = self.data.get(at + 1..at + 1 + count).filter(|_| (1..=4).contains(&count)).ok_or(ODD)?;
        let length = octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
        if octets[0] == 0 || length < 0x80 {
            return Err(ODD);
        }
        Ok((at + 1 + count, length))
    }
}

/// The content of an INTEGER if it is in its shortest form (X.690 §8.3.2).
pub fn shortest_integer(content: &[u8]) -> Result<&[u8], NotDer> {
    match content {
        [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(NotDer("an INTEGER is not in its shortest form")),
        _ => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_said() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 24, usize::MAX] {
            let mut head = Vec::new();
            push_head(&mut head, SEQUENCE, length);
            assert_eq!(head.len(), head_size(length));
        }
    }

    #[test]
    fn only_arcs_that_name_something_are_encoded() {
        assert_eq!(object_identifier(&[2, 999, 1]), Some(vec![6, 3, 0x88, 0x37, 1]));
        assert_eq!(object_identifier(&[1, 2, 840, 113_549]), Some(vec![6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]));
        for none in [&[3, 1][..], &[1, 40], &[1], &[2, u64::MAX]] {
            assert_eq!(object_identifier(none), None);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let inner = tlv(OCTET_STRING, &[&[7; 300]]);
        let whole = sequence(&[&integer(128), &inner]);
        let mut reader = Reader::new(&whole);
        let mut inside = Reader::new(reader.take(SEQUENCE).unwrap());
        assert_eq!(inside.take(INTEGER), Ok(&[0, 128][..]));
        assert_eq!(inside.take_whole(OCTET_STRING), Ok((&inner[..], &[7; 300][..])));
        assert!(inside.end().is_ok() && reader.at_end());
        for odd in [&[0x30, 0x80][..], &[0x30, 0x81, 0x7f], &[0x30, 0x82, 0, 0x80], &[0x30, 0x85, 1, 0, 0, 0, 0], &[0x30, 2, 0], &[0x30]] {
            assert!(Reader::new(odd).take(SEQUENCE).is_err());
        }
    }
}
