//! The bytes of an incremental update: objects, a cross-reference section in the document's own style, and the hole (ISO 32000-2 §7.5.6).
//!
//! All lengths are known before anything is joined, so the byte range is written once and the update is never copied.

use std::io::Write;

use crate::dictionary::MOST_ENTRIES;
use crate::file::File;
use crate::hash::Hash;
use crate::numbers::FreeNumbers;
use crate::scan;
use crate::text::push_hexadecimal;
use crate::NotLean;

const RANGE_WIDTH: usize = 50; // "[0 n n n]" with three numbers of up to 14 digits
const CONTENTS: &[u8] = b"/Contents";
const CLOSING: &[u8] = b">>\nendobj\n";

/// Whether an entry of a trailer is for its own section alone.
fn own_entry(key: &[u8]) -> bool {
    matches!(key, b"Size" | b"Prev" | b"ID" | b"Length" | b"Filter" | b"DecodeParms" | b"W" | b"Type" | b"Index" | b"XRefStm")
}

/// A dictionary of raw values.
pub fn dictionary<'e>(entries: impl Iterator<Item = (&'e [u8], &'e [u8])>) -> Vec<u8> {
    let mut text = b"<<".to_vec();
    for (key, value) in entries {
        text.push(b'/');
        text.extend_from_slice(key);
        text.push(b' ');
        text.extend_from_slice(value);
    }
    text.extend_from_slice(b">>");
    text
}

/// What is appended to the document, with an empty hole.
pub struct Finished {
    /// The appended bytes.
    pub suffix: Vec<u8>,
    /// As in the signature dictionary.
    pub byte_range: [usize; 4],
    /// Over the two ranges.
    pub digest: Vec<u8>,
}

/// Number, generation, offset.
type Place = (usize, u64, usize);

/// Objects to be appended, in order, under numbers that nothing in the document refers to.
pub struct Update<'t> {
    numbers: FreeNumbers<'t>,
    base: usize, // size of the document
    body: Vec<u8>,
    places: Vec<Place>,
}

impl<'t> Update<'t> {
    /// Nothing yet. `texts` is everything in the document that may hold references.
    pub fn new(file: &File, texts: Vec<&'t [u8]>) -> Self {
        let mut body = Vec::with_capacity(4096);
        body.push(b'\n');
        Self { numbers: FreeNumbers::new(file.next_number, texts), base: file.document.len(), body, places: Vec::with_capacity(12) }
    }

    /// Reserves so many consecutive object numbers; the first.
    pub fn reserve(&mut self, count: usize) -> Result<usize, NotLean> {
        self.numbers.take(count)
    }

    /// Adds an object, either a new one or a new version of an old one. Each number can be written once.
    pub fn write(&mut self, number: usize, generation: u64, body: &[u8]) {
        self.places.push((number, generation, self.base + self.body.len()));
        let _ = writeln!(self.body, "{number} {generation} obj"); // writing to memory does not fail
        self.body.extend_from_slice(body);
        self.body.extend_from_slice(b"\nendobj\n");
    }

    /// The whole update. `signature` is the signature dictionary up to where /ByteRange and /Contents belong.
    pub fn finished(
        mut self,
        file: &File,
        number: usize,
        signature: &[u8],
        hole_size_bytes: usize,
        identifier: &[u8],
        state: &Hash,
    ) -> Result<Finished, NotLean> {
        let mut suffix = std::mem::take(&mut self.body);
        self.places.push((number, 0, self.base + suffix.len()));
        let _ = writeln!(suffix, "{number} 0 obj");
        suffix.extend_from_slice(signature);
        suffix.extend_from_slice(b"/ByteRange");
        let hole_start = self.base + suffix.len() + RANGE_WIDTH + CONTENTS.len();
        let hole_end = hole_start + 2 * hole_size_bytes + 2;
        let mut after = CLOSING.to_vec();
        self.cross_references(&mut after, file, hole_end + CLOSING.len(), identifier, state)?;
        let byte_range = [0, hole_start, hole_end, after.len()];
        let [a, b, c, d] = byte_range;
        let range = format!("[{a} {b} {c} {d}]");
        let _ = write!(suffix, "{range:<RANGE_WIDTH$}");
        suffix.extend_from_slice(CONTENTS);
        let mut digest = state.clone();
        digest.update(&suffix);
        digest.update(&after);
        suffix.reserve_exact(hole_end - hole_start + after.len());
        suffix.push(b'<');
        suffix.resize(suffix.len() + 2 * hole_size_bytes, b'0');
        suffix.push(b'>');
        suffix.extend_from_slice(&after);
        Ok(Finished { suffix, byte_range, digest: digest.finish() })
    }

    /// The suffix of an update that holds no signature.
    pub fn closed(mut self, file: &File, identifier: &[u8], state: &Hash) -> Result<Vec<u8>, NotLean> {
        let mut suffix = std::mem::take(&mut self.body);
        let at = self.base + suffix.len();
        self.cross_references(&mut suffix, file, at, identifier, state)?;
        Ok(suffix)
    }

    fn cross_references(&mut self, to: &mut Vec<u8>, file: &File, at: usize, identifier: &[u8], state: &Hash) -> Result<(), NotLean> {
        let previous = file.sections[0].offset();
        let trailer = trailer(file, identifier, state)?;
        if !file.in_streams {
            let runs = self.runs()?;
            to.extend_from_slice(b"xref\n0 1\n0000000000 65535 f \n");
            for run in runs {
                let _ = writeln!(to, "{} {}", run[0].0, run.len());
                for &(_, generation, offset) in run {
                    let _ = writeln!(to, "{offset:010} {generation:05} n ");
                }
            }
            let _ = write!(to, "trailer\n<</Size {}/Prev {previous}", self.numbers.size());
            to.extend_from_slice(&trailer);
            let _ = write!(to, ">>\nstartxref\n{at}\n%%EOF\n");
            return Ok(());
        }
        let number = self.numbers.take(1)?;
        self.places.push((number, 0, at));
        let runs = self.runs()?;
        let index: Vec<String> = runs.iter().map(|run| format!("{} {}", run[0].0, run.len())).collect();
        let mut rows = Vec::new();
        for &(_, generation, offset) in runs.into_iter().flatten() {
            rows.push(1);
            rows.extend_from_slice(&(offset as u64).to_be_bytes());
            rows.extend_from_slice(&u16::try_from(generation).map_err(|_| NotLean("a generation is too large"))?.to_be_bytes());
        }
        let _ = write!(
            to,
            "{number} 0 obj\n<</Type/XRef/W[1 8 2]/Index[{}]/Length {}/Size {}/Prev {previous}",
            index.join(" "),
            rows.len(),
            number + 1
        );
        to.extend_from_slice(&trailer);
        to.extend_from_slice(b">>\nstream\n");
        to.extend_from_slice(&rows);
        let _ = write!(to, "\nendstream\nendobj\nstartxref\n{at}\n%%EOF\n");
        Ok(())
    }

    /// Consecutive numbers together, as cross-reference sections list them.
    fn runs(&mut self) -> Result<Vec<&[Place]>, NotLean> {
        self.places.sort_unstable();
        if self.places.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(NotLean("one object would be written anew twice"));
        }
        Ok(self.places.chunk_by(|one, next| next.0 == one.0 + 1).collect())
    }
}

/// The entries of all trailers, newer ones overriding older ones; the second half of /ID changes with each update (§14.4).
fn trailer(file: &File, identifier: &[u8], state: &Hash) -> Result<Vec<u8>, NotLean> {
    let mut entries: Vec<(&[u8], &[u8])> = Vec::with_capacity(6);
    for section in file.sections.iter().rev() {
        for (key, value) in section.trailer().iter() {
            let count = entries.len();
            match entries.iter_mut().find(|entry| entry.0 == key) {
                Some(entry) => entry.1 = value,
                None if count == MOST_ENTRIES => return Err(NotLean("the trailers have very many entries")),
                None => entries.push((key, value)),
            }
        }
    }
    let mut text = Vec::with_capacity(128);
    let mut own = None;
    for (key, value) in entries {
        if !own_entry(key) {
            text.extend_from_slice(&[b"/", key, b" ", value].concat());
        } else if key == b"ID" {
            own = Some(value);
        }
    }
    text.extend_from_slice(b"/ID[");
    match own {
        Some(value) => text.extend_from_slice(first_identifier(value).ok_or(NotLean("the identifier of the document is odd"))?),
        None => {
            text.push(b'<');
            push_hexadecimal(&mut text, &state.clone().finish()[..16]);
            text.push(b'>');
        }
    }
    text.push(b'<');
    push_hexadecimal(&mut text, identifier);
    text.extend_from_slice(b">]");
    Ok(text)
}

fn first_identifier(value: &[u8]) -> Option<&[u8]> {
    let start = scan::spaces(value, scan::word(value, 0, b"[")?);
    let end = scan::string(value, start).or_else(|| scan::hexadecimal(value, start))?;
    Some(&value[start..end])
}
