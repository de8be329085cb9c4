//! Finds the marked pages in the page tree (ISO 32000-2 §7.7.3).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::document::Document;
use crate::syntax::{integer, reference, references, require, Entries, Found, Otherwise};

const MOST_NODES: usize = 10_000;
const DEEPEST: usize = 32;

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
    let mut walk = Walk { document, wanted, met: HashSet::new(), found: BTreeMap::new() };
    walk.pages(top, None, &mut Vec::new(), 0)?;
    require(walk.found.len() == wanted.len())?;
    Ok(walk.found)
}

/// Goes over the whole tree, in which every node must occur once and every count must be right.
struct Walk<'w, 'd> {
    document: &'d Document<'d>,
    wanted: &'w BTreeSet<usize>,
    met: HashSet<u64>,
    found: BTreeMap<usize, MarkedPage<'d>>,
}

impl<'d> Walk<'_, 'd> {
    fn pages(&mut self, own: Own, above: Option<Own>, line: &mut Vec<Entries<'d>>, before: usize) -> Found<usize> {
        require(self.met.len() < MOST_NODES && line.len() <= DEEPEST && self.met.insert(own.0))?;
        let (entries, _) = self.document.dictionary(own)?;
        if let Some(above) = above {
            require(reference(entries.get(b"Parent"))? == above)?; // some readers climb by it
        }
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
            count += self.pages(kid, Some(own), line, before + count)?;
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
