//! The structure tree of a document that is to be PDF/UA: annotations of a seal become part of it (ISO 32000-2 §14.7, ISO 14289-1 §7.18).

use std::collections::HashSet;

use crate::dictionary::{integer, is_reference, or_none, reference, Dictionary};
use crate::file::File;
use crate::prepare::replaced;
use crate::update::Update;
use crate::NotLean;

const MOST_NODES: usize = 5_000; // of the parent tree
const LARGEST_KEY: usize = 1_000_000_000;

/// A dictionary that is an object of its own.
struct Own<'a> {
    number: u64,
    generation: u64,
    entries: Dictionary<'a>,
}

impl<'a> Own<'a> {
    fn read(file: &mut File<'a>, value: Option<&[u8]>) -> Result<Self, NotLean> {
        let none = NotLean("a part of the structure is not where it should be");
        let (number, generation) = reference(or_none(value))?;
        let found = file.dictionary(number, generation)?.filter(|found| found.data_offset.is_none()).ok_or(none)?;
        Ok(Self { number, generation, entries: found.entries })
    }

    fn write(&self, update: &mut Update, new: &[(&[u8], &[u8])]) {
        update.write(self.number as usize, self.generation, &replaced(&self.entries, new, b""));
    }
}

/// What stands in the tree for one annotation.
struct Element {
    annotation: usize,
    page: (u64, u64),
    kind: &'static str,
}

/// A structure tree that elements can be added to.
pub struct Structure<'a> {
    tree: Own<'a>,
    parents: Own<'a>,
    document: Option<Own<'a>>, // the element for the whole document; none where elements hang below the root
    first: usize,              // key in the parent tree that nothing uses yet
    added: Vec<Element>,
}

impl<'a> Structure<'a> {
    /// An error where there is no tree, or where it is not one that is understood here.
    pub fn read(file: &mut File<'a>, catalog: &Dictionary) -> Result<Self, NotLean> {
        let tree = Own::read(file, catalog.get(b"StructTreeRoot"))?;
        let parents = Own::read(file, tree.entries.get(b"ParentTree"))?;
        let first = next_key(file, &tree.entries, &parents)?;
        let document = document_element(file, tree.entries.get(b"K"))?;
        Ok(Self { tree, parents, document, first, added: Vec::new() })
    }

    /// Notes an annotation that is to be the content of a new element of that kind; its key in the parent tree.
    pub fn add(&mut self, annotation: usize, page: (u64, u64), kind: &'static str) -> usize {
        self.added.push(Element { annotation, page, kind });
        self.first + self.added.len() - 1
    }

    /// Writes the new elements and what leads to them.
    pub fn write(&self, file: &mut File, update: &mut Update) -> Result<(), NotLean> {
        let parent = self.document.as_ref().unwrap_or(&self.tree);
        let first = update.reserve(self.added.len())?;
        let mut references = String::new();
        for (number, each) in (first..).zip(&self.added) {
            let (page, generation) = each.page;
            let body = format!(
                "<</Type/StructElem/S/{}/P {} {} R/Pg {page} {generation} R/K[<</Type/OBJR/Obj {} 0 R/Pg {page} {generation} R>>]>>",
                each.kind, parent.number, parent.generation, each.annotation
            );
            update.write(number, 0, body.as_bytes());
            references.push_str(&format!(" {number} 0 R"));
        }
        self.enter(file, update, first)?;
        let kids = extended(file, parent.entries.get(b"K"), &references)?;
        let next = (self.first + self.added.len()).to_string();
        let next: (&[u8], &[u8]) = (b"ParentTreeNextKey", next.as_bytes());
        match &self.document {
            Some(document) => {
                document.write(update, &[(b"K", &kids)]);
                self.tree.write(update, &[next]);
            }
            None => self.tree.write(update, &[(b"K", &kids), next]),
        }
        Ok(())
    }

    /// Appends to the parent tree, a number tree (§7.9.7): the new keys are the highest, so they come last.
    fn enter(&self, file: &mut File, update: &mut Update, first: usize) -> Result<(), NotLean> {
        let pairs = (self.first..).zip(first..).take(self.added.len());
        if !self.parents.entries.has(b"Kids") {
            let entries: String = pairs.map(|(key, number)| format!(" {key} {number} 0 R")).collect();
            let numbers = extended(file, self.parents.entries.get(b"Nums"), &entries)?;
            self.parents.write(update, &[(b"Nums", &numbers)]);
            return Ok(());
        }
        let mut leaves = String::new();
        for (key, number) in pairs {
            let leaf = update.reserve(1)?;
            update.write(leaf, 0, format!("<</Limits[{key} {key}]/Nums[{key} {number} 0 R]>>").as_bytes());
            leaves.push_str(&format!(" {leaf} 0 R"));
        }
        let kids = extended(file, self.parents.entries.get(b"Kids"), &leaves)?;
        self.parents.write(update, &[(b"Kids", &kids)]);
        Ok(())
    }
}

/// An array with these references behind its elements; one element alone counts as an array of it, nothing as an empty one.
fn extended(file: &mut File, value: Option<&[u8]>, references: &str) -> Result<Vec<u8>, NotLean> {
    let array = match value {
        None => b"[]".to_vec(),
        Some(b"null") => return Err(NotLean("a part of the structure is null")),
        Some(value) if value.starts_with(b"[") => value.to_vec(),
        Some(value) if is_reference(value) && file.leads_to_array(value)? => {
            let (number, generation) = reference(value)?;
            file.array(number, generation)?
        }
        Some(value) => {
            if is_reference(value) {
                Own::read(file, Some(value))?; // readers look at it to see whether it is an array
            }
            [b"[", value, b"]"].concat()
        }
    };
    Ok([&array[..array.len() - 1], references.as_bytes(), b"]"].concat())
}

/// The element for the whole document, if the first one below the root is such.
fn document_element<'a>(file: &mut File<'a>, kids: Option<&[u8]>) -> Result<Option<Own<'a>>, NotLean> {
    let Some(kids) = kids else { return Ok(None) };
    let first = if kids.starts_with(b"[") || is_reference(kids) && file.leads_to_array(kids)? {
        file.elements(Some(kids))?.into_iter().next()
    } else {
        Some(kids.to_vec())
    };
    let Some(first) = first.filter(|value| is_reference(value)) else { return Ok(None) };
    let own = Own::read(file, Some(&first))?;
    let kind = own.entries.get(b"S").filter(|kind| kind.starts_with(b"/") && !kind.contains(&b'#'));
    let kind = kind.ok_or(NotLean("the kind of an element is written oddly"))?;
    Ok(matches!(kind, b"/Document" | b"/Part" | b"/Art" | b"/Sect").then_some(own))
}

/// A key that no page or object uses yet.
fn next_key(file: &mut File, tree: &Dictionary, parents: &Own) -> Result<usize, NotLean> {
    let mut next = tree.get(b"ParentTreeNextKey").map_or(Ok(0), |value| integer(Some(value)))?;
    let mut seen = HashSet::from([parents.number]);
    let mut stack = vec![parents.entries.clone()];
    while let Some(node) = stack.pop() {
        for key in file.elements(node.get(b"Nums"))?.iter().step_by(2) {
            next = next.max(integer(Some(key))? + 1);
        }
        for kid in file.elements(node.get(b"Kids"))? {
            let own = Own::read(file, Some(&kid))?;
            if seen.len() >= MOST_NODES || !seen.insert(own.number) {
                return Err(NotLean("the parent tree has a circle, or is very large"));
            }
            stack.push(own.entries);
        }
    }
    if next > LARGEST_KEY {
        return Err(NotLean("a key of the parent tree is very large"));
    }
    Ok(next)
}
