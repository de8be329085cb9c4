//! Dictionaries and arrays as raw text with the places of their keys and values.

use std::borrow::Cow;

use crate::scan::{self, DEPTH};
use crate::NotLean;

/// The end of an object that is parsed at once, without the data of a stream.
pub const LARGEST_OBJECT_BYTES: usize = 256 * 1024;

/// Entries of one dictionary; catalogs, pages and trailers have some dozen. They are compared with each other, so their number is bounded.
pub const MOST_ENTRIES: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: (u32, u32),
    value: (u32, u32),
}

/// A dictionary: its text from `<<` to the end of its last value, and where keys and values stand in it.
#[derive(Clone, Debug, Default)]
pub struct Dictionary<'a> {
    text: Cow<'a, [u8]>,
    entries: Vec<Entry>,
}

impl<'a> Dictionary<'a> {
    /// From a text that begins with `<<` at `at`; with it, where the last value ends. What stands behind it is for the caller to look at:
    /// anything but the end of the dictionary means that it is one that is not understood here.
    pub fn read(text: &'a [u8], at: usize, end: usize) -> Result<(Self, usize), NotLean> {
        let window = &text[..text.len().min(end)];
        let mut position = at + 2;
        let mut entries = Vec::with_capacity(12);
        let mut escapes = false;
        loop {
            let slash = scan::spaces(window, position);
            let Some(key_end) = scan::name(window, slash) else { break };
            let start = scan::spaces(window, key_end);
            let Some(value_end) = scan::value(window, start, DEPTH) else { break };
            if entries.len() == MOST_ENTRIES {
                return Err(NotLean("a dictionary has very many entries"));
            }
            escapes |= memchr::memchr(b'#', &window[slash + 1..key_end]).is_some();
            entries.push(Entry {
                key: ((slash + 1 - at) as u32, (key_end - at) as u32),
                value: ((start - at) as u32, (value_end - at) as u32),
            });
            position = value_end;
        }
        let read = Self { text: Cow::Borrowed(&window[at..position.max(at + 2).min(window.len())]), entries };
        if escapes {
            return Err(NotLean("a dictionary has a key with escapes"));
        }
        read.require_distinct()?;
        Ok((read, position))
    }

    /// From its own text and the places of keys and values in it, as offsets from its beginning.
    pub(crate) fn of(text: Vec<u8>, places: &[[usize; 4]]) -> Result<Dictionary<'static>, NotLean> {
        let entries = places.iter().map(|&[a, b, c, d]| Entry { key: (a as u32, b as u32), value: (c as u32, d as u32) }).collect();
        let read = Dictionary { text: Cow::Owned(text), entries };
        read.require_distinct()?;
        Ok(read)
    }

    fn require_distinct(&self) -> Result<(), NotLean> {
        let twice = || Err(NotLean("a dictionary has a key twice"));
        if self.entries.len() <= 24 {
            for (index, entry) in self.entries.iter().enumerate() {
                let key = self.slice(entry.key);
                if self.entries[..index].iter().any(|other| self.slice(other.key) == key) {
                    return twice();
                }
            }
            return Ok(());
        }
        let mut keys: Vec<&[u8]> = self.entries.iter().map(|entry| self.slice(entry.key)).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return twice();
        }
        Ok(())
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.text[start as usize..end as usize]
    }

    /// The text from `<<` to the end of the last value: what stands behind that is white space and `>>`.
    pub fn open_text(&self) -> &[u8] {
        &self.text
    }

    /// The raw value under a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.iter().find(|entry| self.slice(entry.key) == key).map(|entry| self.slice(entry.value))
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Keys and raw values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.slice(entry.key), self.slice(entry.value)))
    }

    /// The same, detached from the text that it was read from.
    pub fn into_owned(self) -> Dictionary<'static> {
        Dictionary { text: Cow::Owned(self.text.into_owned()), entries: self.entries }
    }
}

/// The dictionary that a raw value is. A value that nests deeper than matches at once can be copied, but not read.
pub fn direct(value: &[u8]) -> Result<Dictionary<'_>, NotLean> {
    let (read, end) = Dictionary::read(value, 0, value.len())?;
    match scan::close(value, end) {
        Some(close) if close == value.len() => Ok(read),
        _ => Err(NotLean("a value is nested too deep")),
    }
}

/// The elements of an array's whole text.
pub fn items(text: &[u8]) -> Result<Vec<&[u8]>, NotLean> {
    let mut found = Vec::new();
    let mut at = 1;
    loop {
        at = scan::spaces(text, at);
        if text.get(at) == Some(&b']') && at + 1 == text.len() {
            return Ok(found);
        }
        let end = scan::value(text, at, DEPTH).ok_or(NotLean("a value is nested too deep"))?;
        found.push(&text[at..end]);
        at = end;
    }
}

/// Whether a matched value is a reference: nothing else begins with a digit and ends with R.
pub fn is_reference(value: &[u8]) -> bool {
    value.last() == Some(&b'R') && value[0].is_ascii_digit()
}

/// Number and generation of the object that a reference leads to.
pub fn reference(value: &[u8]) -> Result<(u64, u64), NotLean> {
    let none = NotLean("there is no reference where one should be");
    if value.is_empty() || !is_reference(value) {
        return Err(none);
    }
    let first = scan::digits(value, 0, 20).ok_or(none)?;
    let second = scan::spaces(value, first);
    let end = scan::digits(value, second, 20).ok_or(none)?;
    match (scan::number(&value[..first]), scan::number(&value[second..end])) {
        (Some(number), Some(generation)) => Ok((number, generation)),
        _ => Err(none),
    }
}

/// A direct whole number that is not negative.
pub fn integer(value: Option<&[u8]>) -> Result<usize, NotLean> {
    value.and_then(scan::number).map(|number| number as usize).ok_or(NotLean("there is no whole number where one should be"))
}

/// The value of an entry that may be missing; `?`, which is no value, stands for none.
pub fn or_none(value: Option<&[u8]>) -> &[u8] {
    value.unwrap_or(b"?")
}
