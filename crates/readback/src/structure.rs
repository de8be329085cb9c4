//! What an update adds to the structure tree of a tagged document: an element for each annotation of the seal, behind those that are there
//! (ISO 32000-2 §14.7), and nothing else.

use crate::account::{changed, Quick};
use crate::syntax::{reference, require, Cursor, Entries, Found, Otherwise};

type Own = (u64, u64);

/// An annotation that says that it is part of the structure.
#[derive(Clone, Copy, Debug)]
pub struct Structured {
    /// Its key in the parent tree.
    pub key: u64,
    /// Number of its object.
    pub annotation: u64,
    /// Its page.
    pub page: Own,
}

impl<'q> Quick<'q> {
    /// Checks the elements of all annotations, the first of which is the field, or that there are none; and what leads to them.
    pub fn structure(&mut self, catalog: &Entries<'q>, field: u64) -> Found<()> {
        let document = self.document;
        let mut all = std::mem::take(&mut self.structured);
        all.sort_unstable_by_key(|each| each.key);
        let Some(&Structured { key: first, annotation, .. }) = all.first() else { return Ok(()) };
        require(annotation == field && all.len() == self.plan.marks.len().max(1))?;
        require(all.iter().zip(first..).all(|(each, key)| each.key == key))?;
        let root = reference(catalog.get(b"StructTreeRoot"))?;
        let (tree, text) = document.dictionary(root)?;
        let new = changed(&tree, text, self.taken(root)?, &[b"K", b"ParentTreeNextKey"])?;
        require(new.get(b"ParentTreeNextKey") == Some((first + all.len() as u64).to_string().as_bytes()))?;
        let (above, old_kids, new_kids) = match self.document_element(&tree)? {
            Some(own) => {
                require(new.get(b"K") == tree.get(b"K"))?;
                let (element, text) = document.dictionary(own)?;
                let rewritten = changed(&element, text, self.taken(own)?, &[b"K"])?;
                (own, element.get(b"K"), rewritten.get(b"K"))
            }
            None => (root, tree.get(b"K"), new.get(b"K")),
        };
        let elements = self.further(old_kids, new_kids, all.len(), &[])?;
        for (index, (each, &number)) in all.iter().zip(&elements).enumerate() {
            let kind = if index == 0 { "Form" } else { "Annot" };
            let (page, generation) = each.page;
            let body = format!(
                "<</Type/StructElem/S/{kind}/P {} {} R/Pg {page} {generation} R/K[<</Type/OBJR/Obj {} 0 R/Pg {page} {generation} R>>]>>",
                above.0, above.1, each.annotation
            );
            self.spelled(number, &body)?;
        }
        self.parents(&tree, &all, &elements)
    }

    /// The element for the whole document, which takes the new ones in if it is rewritten.
    fn document_element(&self, tree: &Entries<'q>) -> Found<Option<Own>> {
        let Some(kids) = tree.get(b"K") else { return Ok(None) };
        let kids = if kids.starts_with(b"[") { kids } else { self.document.array(Some(kids)).unwrap_or(kids) };
        let mut cursor = Cursor::new(kids, usize::from(kids.starts_with(b"[")));
        cursor.blanks();
        let first = cursor.value(crate::syntax::DEEPEST).unwrap_or_default();
        Ok(reference(Some(first)).ok().filter(|own| self.is_rewritten(own.0)))
    }

    /// Checks that the parent tree has the new elements under their keys, which come last.
    fn parents(&mut self, tree: &Entries<'q>, all: &[Structured], elements: &[u64]) -> Found<()> {
        let own = reference(tree.get(b"ParentTree"))?;
        let (old, text) = self.document.dictionary(own)?;
        let body = self.taken(own)?;
        if !old.has(b"Kids") {
            let new = changed(&old, text, body, &[b"Nums"])?;
            let keys: Vec<u64> = all.iter().map(|each| each.key).collect();
            return require(self.further(old.get(b"Nums"), new.get(b"Nums"), all.len(), &keys)? == elements);
        }
        let new = changed(&old, text, body, &[b"Kids"])?;
        let leaves = self.further(old.get(b"Kids"), new.get(b"Kids"), all.len(), &[])?;
        for ((each, element), leaf) in all.iter().zip(elements).zip(leaves) {
            let key = each.key;
            self.spelled(leaf, &format!("<</Limits[{key} {key}]/Nums[{key} {element} 0 R]>>"))?;
        }
        Ok(())
    }

    /// The numbers of the references that an array has behind its old elements, each behind its key where there are keys.
    fn further(&self, old: Option<&'q [u8]>, new: Option<&'q [u8]>, count: usize, keys: &[u64]) -> Found<Vec<u64>> {
        let mut cursor = Cursor::new(new.ok_or(Otherwise)?, 0);
        let old = old.unwrap_or(b"[]");
        match self.document.array(Some(old)) {
            Ok(array) => cursor.expect(&array[..array.len() - 1])?,
            Err(Otherwise) => {
                if let Ok(own) = reference(Some(old)) {
                    self.document.dictionary(own)?;
                }
                cursor.expect(b"[")?;
                cursor.expect(old)?;
            }
        }
        let mut numbers = Vec::with_capacity(count);
        for index in 0..count {
            if let Some(key) = keys.get(index) {
                cursor.expect(format!(" {key}").as_bytes())?;
            }
            cursor.expect(b" ")?;
            numbers.push(cursor.number(10)?);
            cursor.expect(b" 0 R")?;
        }
        cursor.expect(b"]")?;
        require(cursor.ended())?;
        Ok(numbers)
    }
}
