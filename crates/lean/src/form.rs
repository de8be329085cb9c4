//! The form: its fields' names, which of them are signed, and what those signatures still allow (ISO 32000-2 §12.7, §12.8.2).

use std::collections::HashSet;

use crate::content::object;
use crate::deep::Value;
use crate::dictionary::{is_reference, reference, Dictionary, LARGEST_OBJECT_BYTES};
use crate::file::File;
use crate::text::read_text;
use crate::NotLean;

/// More are left to the general reader.
pub const MOST_FIELDS: usize = 1_000;
const MOST_LOCKS: usize = 32; // each names fields, possibly the same ones as others
const NO_CHANGE: u8 = 1;
const DEFAULT_PERMISSION: u8 = 2; // what a DocMDP transform without /P allows
const ANNOTATE: u8 = 3;

/// What the catalog's /AcroForm holds.
#[derive(Default)]
pub struct Form<'a> {
    /// None where there is no form.
    pub entries: Option<Dictionary<'a>>,
    /// Where the form is an object of its own.
    pub object: Option<(u64, u64)>,
    /// References of the top-level fields, as they stand.
    pub fields: Vec<Vec<u8>>,
    /// How many fields are signed.
    pub signed: usize,
    names: HashSet<String>,
    permission: Option<u8>,
    locks: Vec<Dictionary<'a>>,
}

impl<'a> Form<'a> {
    /// The form that the catalog refers to; its fields are walked once.
    pub fn read(file: &mut File<'a>, catalog: &Dictionary<'a>) -> Result<Self, NotLean> {
        let mut form = Self::default();
        let value = catalog.get(b"AcroForm");
        if value.is_none() && !catalog.has(b"Perms") {
            return Ok(form);
        }
        if let Some(value) = value {
            let entries = file.entries(Some(value))?.ok_or(NotLean("the form is null"))?;
            form.object = if is_reference(value) { Some(reference(value)?) } else { None };
            form.fields = file.elements(entries.get(b"Fields"))?;
            form.entries = Some(entries);
            if !form.fields.is_empty() {
                form.walk(file)?;
            }
        }
        let permissions = file.entries(catalog.get(b"Perms"))?;
        if let Some(permissions) = permissions {
            if let Some(certification) = file.entries(permissions.get(b"DocMDP"))? {
                form.note_transforms(file, &certification)?;
            }
        }
        Ok(form)
    }

    /// `wanted`; with the first free number appended if the form has a field of that name.
    pub fn unique_name(&self, wanted: &str) -> String {
        let mut candidate = wanted.to_owned();
        let mut count = 1;
        while self.names.contains(&candidate) {
            count += 1;
            candidate = format!("{wanted}-{count}");
        }
        candidate
    }

    /// Whether the form has an XFA, which some readers draw in its place.
    pub fn has_xfa(&self, file: &mut File) -> Result<bool, NotLean> {
        let Some(value) = self.entries.as_ref().and_then(|entries| entries.get(b"XFA")) else { return Ok(false) };
        if !is_reference(value) {
            return Ok(value != b"null");
        }
        let (number, generation) = reference(value)?;
        let mut room = LARGEST_OBJECT_BYTES;
        Ok(object(file, number, generation, &mut room)?.0 != Value::Null)
    }

    /// Whether readers that are asked to draw the form by themselves find nothing to draw: no field, and no widget on any page.
    pub fn draws_nothing(&self, file: &mut File) -> Result<bool, NotLean> {
        let streams = file.object_streams()?;
        let widgets = may_name(file.document, b"Widget") || streams.iter().any(|data| may_name(data, b"Widget"));
        Ok(self.fields.is_empty() && !widgets)
    }

    /// Whether earlier signatures allow the seal; where they do not, the sandbox gives the reason.
    pub fn require_allowed(&self, file: &mut File, field_name: &str, visible: bool) -> Result<(), NotLean> {
        match self.permission {
            Some(NO_CHANGE) => return Err(NotLean("an earlier signature forbids it")),
            Some(permission) if visible && permission < ANNOTATE => return Err(NotLean("an earlier signature forbids it")),
            _ => {}
        }
        for lock in &self.locks {
            if covers(file, lock, field_name)? {
                return Err(NotLean("an earlier signature locks all further fields"));
            }
        }
        Ok(())
    }

    /// Depth first, the kind of a field handed down.
    fn walk(&mut self, file: &mut File<'a>) -> Result<(), NotLean> {
        // A field below the top is of no interest unless it may be signed, and no field is signed where no name /Sig is.
        let streams = file.object_streams()?;
        let signed_at_all = may_name(file.document, b"Sig") || streams.iter().any(|data| may_name(data, b"Sig"));
        let mut seen = HashSet::new();
        let mut stack: Vec<(Vec<u8>, Vec<u8>, bool)> = self.fields.iter().map(|each| (each.clone(), Vec::new(), true)).collect();
        while let Some((value, above, top)) = stack.pop() {
            let (number, generation) = reference(&value)?;
            if seen.len() >= MOST_FIELDS || !seen.insert(number) {
                return Err(NotLean("the form names a field twice, or has very many"));
            }
            let found = file.dictionary(number, generation)?.ok_or(NotLean("a field is missing"))?;
            let entries = found.entries;
            if top {
                self.note_name(entries.get(b"T").unwrap_or(b"null"))?;
            }
            if !signed_at_all {
                continue;
            }
            let kind = entries.get(b"FT").map_or(above, <[u8]>::to_vec);
            if !kind.is_empty() && is_reference(&kind) || kind.contains(&b'#') {
                return Err(NotLean("the kind of a field is written oddly"));
            }
            if let (b"/Sig", Some(value)) = (&kind[..], entries.get(b"V")) {
                self.note_signature(file, value)?;
            }
            for kid in file.elements(entries.get(b"Kids"))? {
                stack.push((kid, kind.clone(), false));
            }
        }
        Ok(())
    }

    fn note_name(&mut self, raw: &[u8]) -> Result<(), NotLean> {
        if !matches!(raw.first(), Some(b'(' | b'<')) || raw.starts_with(b"<<") {
            return if raw == b"null" { Ok(()) } else { Err(NotLean("the name of a field is written oddly")) };
        }
        self.names.insert(read_text(raw)?.ok_or(NotLean("the name of a field is coded oddly"))?);
        Ok(())
    }

    fn note_signature(&mut self, file: &mut File<'a>, value: &[u8]) -> Result<(), NotLean> {
        match file.entries(Some(value))? {
            Some(signature) if signature.has(b"ByteRange") => {
                self.signed += 1;
                self.note_transforms(file, &signature)
            }
            _ => Ok(()),
        }
    }

    fn note_transforms(&mut self, file: &mut File<'a>, signature: &Dictionary) -> Result<(), NotLean> {
        for each in file.elements(signature.get(b"Reference"))? {
            let Some(transform) = file.entries(Some(&each))? else { continue };
            let parameters = file.entries(transform.get(b"TransformParams"))?;
            match transform.get(b"TransformMethod").unwrap_or(b"") {
                b"/DocMDP" => {
                    let level = parameters.as_ref().and_then(|entries| entries.get(b"P")).unwrap_or(b"?");
                    if is_reference(level) {
                        return Err(NotLean("a certification is written oddly"));
                    }
                    let level = match level {
                        [level @ b'1'..=b'3'] => level - b'0',
                        _ => DEFAULT_PERMISSION,
                    };
                    self.permission = Some(self.permission.map_or(level, |permission| permission.min(level)));
                }
                b"/FieldMDP" => {
                    if self.locks.len() == MOST_LOCKS {
                        return Err(NotLean("there are very many locks"));
                    }
                    self.locks.push(parameters.ok_or(NotLean("a lock is written oddly"))?);
                }
                b"/UR" | b"/UR3" | b"/Identity" => {}
                _ => return Err(NotLean("a signature refers to an unknown transform")),
            }
        }
        Ok(())
    }
}

fn covers(file: &mut File, lock: &Dictionary, field_name: &str) -> Result<bool, NotLean> {
    let include = match lock.get(b"Action") {
        Some(b"/All") => return Ok(true),
        Some(b"/Include") => true,
        Some(b"/Exclude") => false,
        _ => return Err(NotLean("a lock is written oddly")),
    };
    let mut named = false;
    for each in file.elements(lock.get(b"Fields"))? {
        named |= read_text(&each)?.ok_or(NotLean("a lock names a field oddly"))? == field_name;
    }
    Ok(named == include)
}

/// Whether the text may have that name, in any spelling (§7.3.5).
fn may_name(text: &[u8], name: &[u8]) -> bool {
    let ends_name = |byte: &u8| matches!(byte, 0 | 9..=13 | b' ' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%');
    memchr::memchr_iter(b'/', text).any(|slash| {
        let rest = &text[slash + 1..text.len().min(slash + 2 + name.len())];
        if rest.starts_with(name) && !rest.get(name.len()).is_some_and(u8::is_ascii_alphanumeric) {
            return true;
        }
        match rest.iter().position(|&byte| byte == b'#') {
            Some(at) => !rest[..at].iter().any(ends_name),
            None => false,
        }
    })
}
