//! Finds the marked pages in the page tree (ISO 32000-2 §7.7.3).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::document::Document;
use crate::syntax::{integer, reference, references, require, Entries, Found, Otherwise};

const MOST_NODES: usize = 2_000;
const DEEPEST: usize = 32;
const SEARCHED_BYTES: usize = 4096; // of the document, in about the time that one page takes to be looked at

type Own = (u64, u64);

/// A page before the update.
pub struct MarkedPage<'d> {
    /// Number and generation of its object.
    pub reference: Own,
    /// Its own entries.
    pub entries: Entries<'d>,
    /// Its dictionary without the closing brackets.
    pub text: &'d [u8],
    /// Clockwise turn in degrees when shown.
    pub rotation: u16,
}

/// The wanted pages by index, each of which occurs once in the whole tree; the first page if none is wanted.
pub fn marked_pages<'d>(document: &'d Document, root: Option<&[u8]>, wanted: &BTreeSet<usize>) -> Found<BTreeMap<usize, MarkedPage<'d>>> {
    let top = reference(root)?;
    if wanted.is_empty() {
        return Ok(BTreeMap::from([(0, first(document, top)?)]));
    }
    let (entries, _) = document.dictionary(top)?;
    let kids = references(document.array(entries.get(b"Kids"))?)?;
    let size: usize = document.texts().map(<[u8]>::len).sum();
    if kids.len() * SEARCHED_BYTES < size || !is_flat(document) {
        let mut walk = Walk { document, wanted, met: HashSet::new(), found: BTreeMap::new() };
        walk.pages(top, &mut Vec::new(), 0)?;
        require(walk.found.len() == wanted.len())?;
        return Ok(walk.found);
    }
    // All the root's kids are pages, so they need not be looked at one by one.
    let distinct: HashSet<u64> = kids.iter().map(|kid| kid.0).chain([top.0]).collect();
    require(distinct.len() == kids.len() + 1 && integer(entries.required(b"Count")?, 9)? as usize == kids.len())?;
    require_node(&entries)?;
    let page_at = |&index: &usize| {
        let own = *kids.get(index).ok_or(Otherwise)?;
        Ok((index, page(document, own, std::slice::from_ref(&entries))?))
    };
    wanted.iter().map(page_at).collect()
}

/// Whether only the root has /Kids, however the name is spelled (§7.3.5).
fn is_flat(document: &Document) -> bool {
    let mut left = 1;
    for text in document.texts() {
        for slash in memchr::memchr_iter(b'/', text) {
            if text[slash..].starts_with(b"/Kids") {
                if left == 0 {
                    return false;
                }
                left -= 1;
            }
        }
        if memchr::memchr_iter(b'#', text).any(|at| escapes_kids(&text[at..])) {
            return false;
        }
    }
    true
}

/// Whether an escaped letter of /Kids stands here, with the letter behind it.
fn escapes_kids(text: &[u8]) -> bool {
    let code = |text: &[u8]| text.get(1..3).map(|code| [code[0].to_ascii_uppercase(), code[1].to_ascii_uppercase()]);
    let follows = |plain: u8, escaped: [u8; 2]| match text.get(3) {
        Some(b'#') => code(&text[3..]) == Some(escaped),
        other => other == Some(&plain),
    };
    match code(text).as_ref() {
        Some(b"4B") => follows(b'i', *b"69"),
        Some(b"69") => follows(b'd', *b"64"),
        Some(b"64") => follows(b's', *b"73"),
        Some(b"73") => true,
        _ => false,
    }
}

/// Goes over the whole tree, in which every node must occur once and every count must be right.
struct Walk<'w, 'd> {
    document: &'d Document<'d>,
    wanted: &'w BTreeSet<usize>,
    met: HashSet<u64>,
    found: BTreeMap<usize, MarkedPage<'d>>,
}

impl<'d> Walk<'_, 'd> {
    fn pages(&mut self, own: Own, line: &mut Vec<Entries<'d>>, before: usize) -> Found<usize> {
        require(self.met.len() < MOST_NODES && line.len() <= DEEPEST && self.met.insert(own.0))?;
        let (entries, _) = self.document.dictionary(own)?;
        if !entries.has(b"Kids") {
            // Readers do not agree whether anything else counts as a page.
            require(entries.get(b"Type") == Some(b"/Page"))?;
            if self.wanted.contains(&before) {
                self.found.insert(before, page(self.document, own, line)?);
            }
            return Ok(1);
        }
        require_node(&entries)?;
        let kids = references(self.document.array(entries.get(b"Kids"))?)?;
        let told = integer(entries.required(b"Count")?, 9)? as usize;
        line.push(entries);
        let mut count = 0;
        for kid in kids {
            count += self.pages(kid, line, before + count)?;
        }
        line.pop();
        require(told == count)?;
        Ok(count)
    }
}

fn first<'d>(document: &'d Document, top: Own) -> Found<MarkedPage<'d>> {
    let mut line: Vec<Entries> = Vec::with_capacity(2);
    let mut own = top;
    while line.len() <= DEEPEST {
        let (entries, _) = document.dictionary(own)?;
        if !entries.has(b"Kids") {
            return page(document, own, &line);
        }
        require_node(&entries)?;
        own = *references(document.array(entries.get(b"Kids"))?)?.first().ok_or(Otherwise)?;
        line.push(entries);
    }
    Err(Otherwise)
}

fn require_node(entries: &Entries) -> Found<()> {
    require(entries.get(b"Type") == Some(b"/Pages"))
}

fn page<'d>(document: &'d Document, own: Own, line: &[Entries]) -> Found<MarkedPage<'d>> {
    let (entries, text) = document.dictionary(own)?;
    require(entries.get(b"Type") == Some(b"/Page") && !line.is_empty() && !line.iter().any(|above| above.has(b"Annots")))?;
    let turn = entries.get(b"Rotate").or_else(|| line.iter().rev().find_map(|above| above.get(b"Rotate")));
    Ok(MarkedPage { reference: own, entries, text, rotation: rotation(turn.unwrap_or(b"0"))? })
}

fn rotation(value: &[u8]) -> Found<u16> {
    let digits = value.strip_prefix(b"-").or(value.strip_prefix(b"+")).unwrap_or(value);
    let turn = integer(digits, 6)? as i32;
    require(turn % 90 == 0)?;
    let turn = if value.starts_with(b"-") { -turn } else { turn };
    Ok(turn.rem_euclid(360) as u16)
}
