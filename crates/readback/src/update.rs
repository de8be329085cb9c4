//! Splits an update in the lean writer's spelling into its objects and its trailer.
//!
//! The objects fill the update from its first byte to the cross-reference section, and each is where that section says.

use std::collections::{BTreeMap, BTreeSet};

use crate::syntax::{integer, require, Cursor, Found, Otherwise};

const END_BYTES: usize = 64; // startxref and what follows it
const ENDOBJ: &[u8] = b"\nendobj\n";
const ROW_BYTES: usize = 11; // of a cross-reference stream: type, offset of eight bytes, generation of two
const MOST_OBJECTS: usize = 10_000;

/// One object: its generation, and the range of its body (between `obj` and `endobj`) in the update.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Of the object.
    pub generation: u64,
    /// Where its body begins.
    pub start: usize,
    /// Where it ends.
    pub stop: usize,
}

/// An update taken apart.
pub struct Update<'s> {
    /// By object number.
    pub parts: BTreeMap<u64, Part>,
    /// From /Size on and without brackets.
    pub trailer: &'s [u8],
    /// Of all objects, and of the section if it is a stream.
    pub numbers: BTreeSet<u64>,
}

type Place = (usize, u64, u64); // offset in the update, number, generation

/// `base` is where the update begins in the file.
pub fn take_apart(suffix: &[u8], base: usize) -> Found<Update<'_>> {
    let from = suffix.len().saturating_sub(END_BYTES);
    let end = from + memchr::memmem::rfind(&suffix[from..], b"startxref\n").ok_or(Otherwise)?;
    let told = suffix[end + b"startxref\n".len()..].strip_suffix(b"\n%%EOF\n").ok_or(Otherwise)?;
    let at = (integer(told, 15)? as usize).checked_sub(base).ok_or(Otherwise)?;
    require(suffix.starts_with(b"\n") && 0 < at && at < end)?;
    let section = &suffix[at..end];
    let (mut places, trailer, own) = if section.starts_with(b"xref") { table(section, base)? } else { stream(section, base, at)? };
    places.sort_unstable();
    let mut numbers: BTreeSet<u64> = own.into_iter().collect();
    let mut parts = BTreeMap::new();
    let mut position = 1; // behind the line ending that the update begins with
    for (index, &(offset, number, generation)) in places.iter().enumerate() {
        require(offset == position)?;
        let mut cursor = Cursor::new(suffix, offset);
        cursor.expect(format!("{number} {generation} obj\n").as_bytes())?;
        let start = cursor.at();
        let next = places.get(index + 1).map_or(at, |next| next.0);
        let stop = next.checked_sub(ENDOBJ.len()).filter(|&stop| start <= stop).ok_or(Otherwise)?;
        require(suffix.get(stop..next) == Some(ENDOBJ))?;
        require(parts.insert(number, Part { generation, start, stop }).is_none() && numbers.insert(number))?;
        position = next;
    }
    require(position == at && !parts.is_empty())?;
    Ok(Update { parts, trailer, numbers })
}

type Section<'s> = (Vec<Place>, &'s [u8], Option<u64>);

fn table(section: &[u8], base: usize) -> Found<Section<'_>> {
    let mut cursor = Cursor::new(section, 0);
    cursor.expect(b"xref\n0 1\n0000000000 65535 f \n")?;
    let mut places = Vec::with_capacity(12);
    while !cursor.passes(b"trailer\n<<") {
        let first = cursor.number(10)?;
        cursor.expect(b" ")?;
        let count = cursor.number(10)?;
        cursor.expect(b"\n")?;
        require(count > 0 && places.len() as u64 + count <= MOST_OBJECTS as u64)?;
        for number in first..first + count {
            let offset = cursor.digits(10)? as usize;
            cursor.expect(b" ")?;
            let generation = cursor.digits(5)?;
            cursor.expect(b" n \n")?;
            places.push((offset.checked_sub(base).ok_or(Otherwise)?, number, generation));
        }
    }
    let trailer = section[cursor.at()..].strip_suffix(b">>\n").ok_or(Otherwise)?;
    Ok((places, trailer, None))
}

/// A cross-reference stream that lists itself last.
fn stream(section: &[u8], base: usize, at: usize) -> Found<Section<'_>> {
    let mut cursor = Cursor::new(section, 0);
    let own = cursor.number(10)?;
    cursor.expect(b" 0 obj\n<</Type/XRef/W[1 8 2]/Index[")?;
    let mut numbers = Vec::with_capacity(12);
    loop {
        let first = cursor.number(10)?;
        cursor.expect(b" ")?;
        let count = cursor.number(10)?;
        // A hostile index may claim billions of numbers.
        require(count > 0 && numbers.len() as u64 + count <= MOST_OBJECTS as u64)?;
        numbers.extend(first..first + count);
        if cursor.passes(b"]/Length ") {
            break;
        }
        cursor.expect(b" ")?;
    }
    let size = cursor.number(9)? as usize;
    let begin = cursor.at();
    let end = begin + memchr::memmem::find(&section[begin..], b">>\nstream\n").ok_or(Otherwise)?;
    let data = section[end + b">>\nstream\n".len()..].strip_suffix(b"\nendstream\nendobj\n").ok_or(Otherwise)?;
    require(data.len() == size && size == ROW_BYTES * numbers.len() && numbers.last() == Some(&own))?;
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let mut places = Vec::with_capacity(numbers.len());
    for (&number, row) in numbers.iter().zip(data.chunks_exact(ROW_BYTES)) {
        require(row[0] == 1)?;
        let offset = usize::try_from(big_endian(&row[1..9])).ok().and_then(|offset| offset.checked_sub(base)).ok_or(Otherwise)?;
        places.push((offset, number, big_endian(&row[9..])));
    }
    require(places.pop() == Some((at, own, 0)))?;
    Ok((places, &section[begin..end], Some(own)))
}
