//! Numbers for new objects: the lowest that nothing in the document refers to and that no object there has.
//!
//! A document may refer to objects that it does not have; such a reference means null (ISO 32000-2 §7.3.10). An update that took one of
//! these numbers would bring the reference to life: a page could show the seal's picture at a place that nobody approved.
//! Nor is a number taken that an object has which no table names: a cross-reference stream's own need be in none (§7.5.8), and readers
//! that search a damaged file find objects of older revisions.
//! Numbers stay dense but for these: some readers take objects with far too high numbers for damage.

use crate::file::LARGEST_OBJECT_NUMBER;
use crate::NotLean;

/// Numbers that differ in the last digit only are searched for together.
const BLOCK: usize = 10;
const MOST_TRIES: usize = 32; // each may search the whole document
const LONGEST_COMMENT_BYTES: usize = 128; // of a comment between the parts of a reference

/// Gives out ascending numbers.
pub struct FreeNumbers<'t> {
    next: usize,
    left: usize, // numbers left in the block of `next`
    texts: Vec<&'t [u8]>,
}

impl<'t> FreeNumbers<'t> {
    /// From `first` or higher; `texts` is everything that may hold references: the file, and its decoded object streams.
    pub fn new(first: usize, texts: Vec<&'t [u8]>) -> Self {
        Self { next: first.max(BLOCK), left: 0, texts }
    }

    /// One more than the highest number given out (/Size of a trailer).
    pub fn size(&self) -> usize {
        self.next
    }

    /// The first of so many consecutive numbers.
    pub fn take(&mut self, count: usize) -> Result<usize, NotLean> {
        if count > self.left {
            self.find_blocks(count.div_ceil(BLOCK))?;
        }
        let first = self.next;
        self.next += count;
        self.left -= count;
        Ok(first)
    }

    /// Advances to the next free run of so many blocks.
    fn find_blocks(&mut self, count: usize) -> Result<(), NotLean> {
        let mut block = self.next.div_ceil(BLOCK);
        let mut start = block;
        let mut tries = 0;
        while block - start < count && tries <= MOST_TRIES {
            if self.texts.iter().any(|text| refers(text, block)) {
                start = block + 1;
                tries += 1;
            }
            block += 1;
        }
        self.next = start * BLOCK;
        self.left = count * BLOCK;
        if block - start < count || self.next + self.left > LARGEST_OBJECT_NUMBER {
            return Err(NotLean("the document refers to very many objects that it does not have"));
        }
        Ok(())
    }
}

/// Whether the text refers to, or has, an object with a number of the block.
///
/// Lenient readers accept odd numbers as integers, so a run of digits counts by what stands anywhere in it; what comes behind the run is the
/// same for all places in it, so each run is followed to its end once.
fn refers(text: &[u8], block: usize) -> bool {
    let prefix = block.to_string();
    let finder = memchr::memmem::Finder::new(prefix.as_bytes());
    let mut from = 0;
    while let Some(start) = finder.find(&text[from..]).map(|offset| from + offset) {
        let end = start + prefix.len();
        if !text.get(end).is_some_and(u8::is_ascii_digit) {
            from = start + 1;
            continue;
        }
        from = end + text[end..].iter().take_while(|&&byte| numeric(byte)).count();
        if number_and_word(text, from) {
            return true;
        }
    }
    false
}

fn numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-')
}

/// Whether a generation and R or obj follow; a long or second comment between them counts as if they did.
fn number_and_word(text: &[u8], at: usize) -> bool {
    let Some(at) = between(text, at) else { return false };
    if text.get(at) == Some(&b'%') {
        return true;
    }
    let end = at + text[at..].iter().take_while(|&&byte| numeric(byte)).count();
    if end == at {
        return false;
    }
    let Some(at) = between(text, end) else { return false };
    matches!(text.get(at), Some(b'%' | b'R')) || text[at..].starts_with(b"obj")
}

/// Where the blanks and the one short comment at `at` end; none if there is neither.
fn between(text: &[u8], at: usize) -> Option<usize> {
    let blanks = |at: usize| at + text[at..].iter().take_while(|byte| matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')).count();
    let end = blanks(at);
    if text.get(end) != Some(&b'%') {
        return (end > at).then_some(end);
    }
    let comment = &text[end + 1..text.len().min(end + 1 + LONGEST_COMMENT_BYTES + 1)];
    match comment.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(length) => Some(blanks(end + 1 + length + 1)),
        None if comment.len() <= LONGEST_COMMENT_BYTES => Some(text.len()),
        None => Some(end),
    }
}
