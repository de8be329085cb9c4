//! The page tree, walked in order up to the last wanted page (ISO 32000-2 §7.7.3).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use crate::dictionary::{integer, is_reference, or_none, reference};
use crate::file::{File, Found};
use crate::marks::Area;
use crate::{scan, NotLean};

const MOST_NODES: usize = 10_000; // visited
const DEEPEST: usize = 32;

type Own = (u64, u64);

/// One page: its object, and the entries of all nodes from the root down to the page itself.
pub struct Page<'a> {
    /// Of its object.
    pub number: u64,
    /// Of its object.
    pub generation: u64,
    /// Its own entries.
    pub content: Rc<Found<'a>>,
    /// The root first, the page last.
    pub line: Vec<Rc<Found<'a>>>,
}

impl Page<'_> {
    /// The raw value of an attribute, its own or that of the nearest node above.
    pub fn inherited(&self, key: &[u8]) -> Option<&[u8]> {
        self.line.iter().rev().find_map(|node| node.entries.get(key).filter(|value| *value != b"null"))
    }
}

/// A node of the tree: its entries, and its kids, unless it is a page.
type Node<'a> = (Rc<Found<'a>>, Option<Vec<Own>>);

/// The first page, found by going straight down; `root` is the raw value of the catalog's /Pages.
pub fn first_page<'a>(file: &mut File<'a>, root: Option<&[u8]>) -> Result<Page<'a>, NotLean> {
    let mut own = reference(or_none(root))?;
    let mut above = None;
    let mut line = Vec::with_capacity(3);
    while line.len() <= DEEPEST {
        let (found, kids) = node(file, own, above)?;
        line.push(found.clone());
        let Some(kids) = kids else { return Ok(Page { number: own.0, generation: own.1, content: found, line }) };
        above = Some(own);
        own = *kids.first().ok_or(NotLean("a page tree has a node without kids"))?;
    }
    Err(NotLean("a page tree has a circle, or is very deep"))
}

/// The wanted pages, by index.
pub fn find_pages<'a>(file: &mut File<'a>, root: Option<&[u8]>, wanted: &BTreeSet<usize>) -> Result<BTreeMap<usize, Page<'a>>, NotLean> {
    let mut walk = Walk { seen: HashSet::new(), wanted, index: 0, found: BTreeMap::new() };
    walk.below(file, reference(or_none(root))?, None, &mut Vec::new())?;
    if walk.found.len() < wanted.len() {
        return Err(NotLean("a page is not there"));
    }
    Ok(walk.found)
}

/// Every page stands once in the whole tree. A mark on one that stands twice would show twice.
///
/// And all its nodes are what they should be, below the parents that they name, and counted right: or else readers do not agree which page is
/// which, or make up for what they miss by showing a page again.
pub fn require_single(file: &mut File, root: Option<&[u8]>) -> Result<(), NotLean> {
    let own = reference(or_none(root))?;
    let all = BTreeSet::new();
    let mut walk = Walk { seen: HashSet::new(), wanted: &all, index: 0, found: BTreeMap::new() };
    walk.below(file, own, None, &mut Vec::new()).map(|_| ())
}

fn kids_of(file: &mut File, value: &[u8]) -> Result<Vec<Own>, NotLean> {
    if is_reference(value) {
        let (number, generation) = reference(value)?;
        return references(&file.array(number, generation)?);
    }
    references(value)
}

/// The references of an array of nothing else.
fn references(text: &[u8]) -> Result<Vec<Own>, NotLean> {
    let odd = NotLean("a page stands within its parent");
    let mut kids = Vec::new();
    let mut at = scan::word(text, 0, b"[").ok_or(odd)?;
    loop {
        at = scan::spaces(text, at);
        if text.get(at) == Some(&b']') && at + 1 == text.len() {
            return Ok(kids);
        }
        let first = scan::digits(text, at, 18).ok_or(odd)?;
        let second = scan::some_spaces(text, first).ok_or(odd)?;
        let end = scan::digits(text, second, 18).ok_or(odd)?;
        let word = scan::some_spaces(text, end).ok_or(odd)?;
        let number = |from: usize, to: usize| scan::number(&text[from..to]).ok_or(odd);
        kids.push((number(at, first)?, number(second, end)?));
        at = scan::word(text, word, b"R").ok_or(odd)?;
    }
}

/// A node and its kids. Readers climb by /Parent while this descends by /Kids, so both must describe the same tree.
fn node<'a>(file: &mut File<'a>, own: Own, above: Option<Own>) -> Result<Node<'a>, NotLean> {
    let neither = NotLean("a node of the page tree is neither page nor pages");
    let found =
        file.dictionary(own.0, own.1)?.filter(|found| found.data_offset.is_none()).ok_or(NotLean("a node of the page tree is missing"))?;
    if let Some(above) = above {
        if reference(or_none(found.entries.get(b"Parent")))? != above {
            return Err(NotLean("a node of the page tree has another parent"));
        }
    }
    let kind = found.entries.get(b"Type");
    let Some(kids) = found.entries.get(b"Kids") else {
        if kind != Some(b"/Page") || above.is_none() {
            return Err(neither);
        }
        return Ok((Rc::new(found), None));
    };
    if kind != Some(b"/Pages") {
        return Err(neither);
    }
    let kids = kids_of(file, kids)?;
    Ok((Rc::new(found), Some(kids)))
}

struct Walk<'w, 'a> {
    seen: HashSet<u64>,
    wanted: &'w BTreeSet<usize>, // none: the whole tree is walked
    index: usize,
    found: BTreeMap<usize, Page<'a>>,
}

impl<'a> Walk<'_, 'a> {
    /// Whether to go on, and how many pages are below the node.
    fn below(
        &mut self,
        file: &mut File<'a>,
        own: Own,
        above: Option<Own>,
        line: &mut Vec<Rc<Found<'a>>>,
    ) -> Result<(bool, usize), NotLean> {
        if self.seen.len() >= MOST_NODES || line.len() > DEEPEST || !self.seen.insert(own.0) {
            return Err(NotLean("a page tree has a circle, is very large, or very deep"));
        }
        let (found, kids) = node(file, own, above)?;
        line.push(found.clone());
        let Some(kids) = kids else {
            if self.wanted.contains(&self.index) {
                self.found.insert(self.index, Page { number: own.0, generation: own.1, content: found, line: line.clone() });
            }
            line.pop();
            let further = self.wanted.last().is_none_or(|&last| self.index < last);
            self.index += 1;
            return Ok((further, 1));
        };
        let mut count = 0;
        for kid in kids {
            let (further, pages) = self.below(file, kid, Some(own), line)?;
            count += pages;
            if !further {
                return Ok((false, count));
            }
        }
        line.pop();
        if count != integer(found.entries.get(b"Count"))? {
            return Err(NotLean("the page tree miscounts"));
        }
        Ok((true, count))
    }
}

/// What is shown of a page, in default user space.
pub fn visible_area(file: &mut File, page: &Page) -> Result<Area, NotLean> {
    let media = area(file, page.inherited(b"MediaBox"))?;
    match page.inherited(b"CropBox") {
        Some(crop) => {
            let crop = area(file, Some(crop))?;
            media.intersection(&crop).ok_or(NotLean("a page's boxes lie apart"))
        }
        None => Ok(media),
    }
}

fn area(file: &mut File, value: Option<&[u8]>) -> Result<Area, NotLean> {
    let odd = NotLean("a page's box is odd");
    let corners = file.elements(value)?.iter().map(|each| decimal(each)).collect::<Option<Vec<f64>>>().ok_or(odd)?;
    let [a, b, c, d] = corners[..] else { return Err(odd) };
    let area = Area { x0: a.min(c), y0: b.min(d), x1: a.max(c), y1: b.max(d) };
    if !(area.x0 < area.x1 && area.y0 < area.y1) {
        return Err(NotLean("a page's box has no area"));
    }
    Ok(area)
}

fn decimal(value: &[u8]) -> Option<f64> {
    let plain = value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-'));
    plain.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

/// Clockwise turn in degrees when shown.
pub fn rotation(page: &Page) -> Result<u16, NotLean> {
    let odd = NotLean("a page is turned by an odd angle");
    let Some(value) = page.inherited(b"Rotate") else { return Ok(0) };
    let digits = value.strip_prefix(b"-").or(value.strip_prefix(b"+")).unwrap_or(value);
    if digits.len() > 9 {
        return Err(odd);
    }
    let turn = scan::number(digits).ok_or(odd)? as i64;
    let turn = if value[0] == b'-' { -turn } else { turn };
    if turn % 90 != 0 {
        return Err(odd);
    }
    Ok(turn.rem_euclid(360) as u16)
}

/// Whether a node above the page has such an entry.
pub fn stands_above(page: &Page, key: &[u8]) -> bool {
    page.line[..page.line.len() - 1].iter().any(|node| node.entries.has(key))
}
