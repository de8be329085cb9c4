//! Content that can change its look or act by itself after sealing.
//!
//! Where a quick search finds a tell-tale name, everything reachable from the catalog is walked, strictly: an object that cannot be read
//! ends the lean way, since the sandbox may find more in it.

use std::collections::HashSet;

use crate::deep::{escaped, expanded, parse, Value};
use crate::dictionary::{is_reference, Dictionary};
use crate::file::{File, Position};
use crate::form::Form;
use crate::{scan, NotLean, Warning};

const MOST_OBJECTS: usize = 5_000; // to be walked here
const MOST_BYTES: usize = 2 * 1024 * 1024; // of these objects, without the data of streams
const MOST_ESCAPES: usize = 50_000; // examined in one text; a text with more counts as suspicious
const LONGEST_TELLTALE_BYTES: usize = 30; // "JavaScript" with every letter escaped
const LONGEST_NAME_BYTES: usize = 40;

/// Why readers may show the document differently later, each once, in their fixed order.
pub fn changeable(file: &mut File, catalog: &Dictionary, form: &Form, root: (u64, u64)) -> Result<Vec<Warning>, NotLean> {
    let mut found = HashSet::new();
    let streams = file.object_streams()?;
    if suspicious(file.document) || streams.iter().any(|data| suspicious(data)) {
        Walk { found: &mut found, room: MOST_BYTES }.everything(file, root)?;
    }
    if has_hidden_layers(file, catalog)? {
        found.insert(Warning::Hidden);
    }
    // /NeedsRendering marks a form without a fixed look (ISO 32000-1 table 28); XFA beside fields alone is static.
    let redrawn = form.entries.as_ref().and_then(|entries| entries.get(b"NeedAppearances"));
    if form.has_xfa(file)? && is_true(catalog.get(b"NeedsRendering"))? {
        found.insert(Warning::DynamicForm);
    } else if is_true(redrawn)? {
        found.insert(Warning::RedrawnForm);
    }
    let mut warnings: Vec<Warning> = found.into_iter().collect();
    warnings.sort_unstable();
    Ok(warnings)
}

fn is_true(value: Option<&[u8]>) -> Result<bool, NotLean> {
    if value.is_some_and(is_reference) {
        return Err(NotLean("a truth is written oddly"));
    }
    Ok(value == Some(b"true"))
}

fn has_hidden_layers(file: &mut File, catalog: &Dictionary) -> Result<bool, NotLean> {
    let Some(properties) = file.entries(catalog.get(b"OCProperties"))? else { return Ok(false) };
    let Some(default) = file.entries(properties.get(b"D"))? else { return Ok(false) };
    match default.get(b"BaseState").unwrap_or(b"/ON") {
        b"/ON" => {}
        b"/OFF" | b"/Unchanged" => return Ok(true),
        _ => return Err(NotLean("the state of layers is written oddly")),
    }
    Ok(!file.elements(default.get(b"OFF"))?.is_empty() || !file.elements(default.get(b"AS"))?.is_empty())
}

/// Whether a file's bytes, or the decoded bytes of an object stream, name anything that can change its look or act by itself.
///
/// Where nothing does, no object has any of it: names stand in the bytes as they are or with escapes (§7.3.5), both are looked for. Linear in
/// the size; a true answer says only that it is worth a closer look.
pub fn suspicious(text: &[u8]) -> bool {
    memchr::memchr_iter(b'/', text).any(|slash| telltale(text, slash + 1)) || has_escaped_telltale(text)
}

fn telltale(text: &[u8], at: usize) -> bool {
    let rest = &text[at..];
    let whole = |word: &[u8]| rest.starts_with(word) && !rest.get(word.len()).is_some_and(|&byte| scan::is_word(byte));
    match rest.first() {
        Some(b'J') => rest.starts_with(b"JavaScript") || whole(b"JS"),
        Some(b'L') => rest.starts_with(b"Launch"),
        Some(b'I') => rest.starts_with(b"ImportData"),
        Some(b'R') => rest.starts_with(b"RichMedia") || rest.starts_with(b"Rendition") || whole(b"Ref"),
        Some(b'3') => whole(b"3D"),
        Some(b'M') => rest.starts_with(b"Movie"),
        Some(b'S') => rest.starts_with(b"Sound") || rest.starts_with(b"Screen"),
        Some(b'F') => file_specification(text, at + 1),
        _ => false,
    }
}

fn wide_space(byte: u8) -> bool {
    matches!(byte, 0 | 9..=13 | b' ')
}

/// Whether a string, a dictionary, a comment or a reference follows the key /F.
fn file_specification(text: &[u8], at: usize) -> bool {
    let skip = |at: usize, class: fn(u8) -> bool| at + text[at..].iter().take_while(|&&byte| class(byte)).count();
    let at = skip(at, wide_space);
    if matches!(text.get(at), Some(b'(' | b'<' | b'%')) {
        return true;
    }
    let number = skip(at, |byte| byte.is_ascii_digit());
    let second = skip(number, wide_space);
    let generation = skip(second, |byte| byte.is_ascii_digit());
    let word = skip(generation, wide_space);
    number > at && second > number && generation > second && word > generation && text.get(word) == Some(&b'R')
}

/// Compressed data contain what looks like an escape about every 40 kB, so each one is expanded and compared.
fn has_escaped_telltale(text: &[u8]) -> bool {
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'#', &text[from..]).map(|offset| from + offset) {
        from = at + 1;
        if escaped(text, at).is_none() {
            continue;
        }
        from = at + 3;
        if count == MOST_ESCAPES {
            return true;
        }
        count += 1;
        let earliest = at.saturating_sub(LONGEST_TELLTALE_BYTES);
        let Some(slash) = memchr::memrchr(b'/', &text[earliest..at]).map(|offset| earliest + offset) else { continue };
        let ends_name =
            |byte: &u8| wide_space(*byte) || matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%');
        let name = &text[slash + 1..text.len().min(slash + 1 + LONGEST_NAME_BYTES)];
        let name = &name[..name.iter().position(ends_name).unwrap_or(name.len())];
        if slash + 1 + name.len() > at && named(&expanded(name)) {
            return true;
        }
    }
    false
}

fn named(name: &[u8]) -> bool {
    action(name).is_some() || annotation(name).is_some() || matches!(name, b"JS" | b"F" | b"Ref")
}

fn action(name: &[u8]) -> Option<Warning> {
    match name {
        b"JavaScript" => Some(Warning::JavaScript),
        b"Launch" | b"ImportData" => Some(Warning::Launch),
        b"Rendition" | b"Movie" | b"Sound" => Some(Warning::Multimedia),
        _ => None,
    }
}

fn annotation(name: &[u8]) -> Option<Warning> {
    matches!(name, b"RichMedia" | b"3D" | b"Movie" | b"Sound" | b"Screen").then_some(Warning::Multimedia)
}

struct Walk<'w> {
    found: &'w mut HashSet<Warning>,
    room: usize,
}

impl Walk<'_> {
    fn everything(&mut self, file: &mut File, root: (u64, u64)) -> Result<(), NotLean> {
        let mut stack = vec![Value::Reference(root.0, root.1)];
        let mut seen = HashSet::new();
        while let Some(value) = stack.pop() {
            let (value, is_stream) = match value {
                Value::Reference(number, generation) => {
                    if seen.contains(&(number, generation)) {
                        continue;
                    }
                    if seen.len() >= MOST_OBJECTS {
                        return Err(NotLean("there are too many objects to be walked here"));
                    }
                    seen.insert((number, generation));
                    object(file, number, generation, &mut self.room)?
                }
                value => (value, false),
            };
            if matches!(value, Value::Dictionary(_)) {
                self.note(file, &value, is_stream)?;
            }
            match value {
                Value::Dictionary(entries) => stack.extend(entries.into_iter().map(|(_, value)| value)),
                Value::Array(elements) => stack.extend(elements),
                _ => {}
            }
        }
        Ok(())
    }

    fn resolved(&mut self, file: &mut File, value: Option<&Value>) -> Result<Value, NotLean> {
        match value {
            Some(&Value::Reference(number, generation)) => Ok(object(file, number, generation, &mut self.room)?.0),
            Some(value) => Ok(value.clone()),
            None => Ok(Value::Null),
        }
    }

    fn note(&mut self, file: &mut File, value: &Value, is_stream: bool) -> Result<(), NotLean> {
        if value.get(b"JS").is_some() {
            self.found.insert(Warning::JavaScript);
        }
        if let Value::Name(kind) = self.resolved(file, value.get(b"S"))? {
            self.found.extend(action(&kind));
        }
        let subtype = self.resolved(file, value.get(b"Subtype"))?;
        if let (Some(_), Value::Name(kind)) = (value.get(b"Rect"), &subtype) {
            self.found.extend(annotation(kind));
        }
        if is_stream {
            let outside = matches!(self.resolved(file, value.get(b"F"))?, Value::String(_) | Value::Dictionary(_));
            let is_form = matches!(&subtype, Value::Name(kind) if kind == b"Form");
            if outside || (value.get(b"Ref").is_some() && is_form) {
                self.found.insert(Warning::External);
            }
        }
        Ok(())
    }
}

/// An object's value, and whether it is a stream; `room` is how many bytes may still be parsed.
pub fn object(file: &mut File, number: u64, generation: u64, room: &mut usize) -> Result<(Value, bool), NotLean> {
    let start = match file.position(number, generation)? {
        None => return Ok((Value::Null, false)),
        Some(Position::Packed(data, start)) => {
            let (value, end) = parse(&data, start, *room)?;
            *room -= end - start;
            return Ok((value, false));
        }
        Some(Position::Document(start)) => start,
    };
    let odd = NotLean("an object ends oddly");
    let (value, end) = parse(file.document, start, *room)?;
    *room -= end - start;
    match scan::following(file.document, end) {
        Some(scan::Following::End(_)) => Ok((value, false)),
        Some(scan::Following::Stream(data)) if matches!(value, Value::Dictionary(_)) => {
            let length = match value.get(b"Length") {
                Some(Value::Reference(number, generation)) => format!("{number} {generation} R"),
                Some(Value::Number(size)) if size.fract() == 0.0 && *size >= 0.0 && *size < 1e15 => format!("{}", *size as u64),
                _ => return Err(NotLean("a stream has no length")),
            };
            file.data_end(length.as_bytes(), data)?;
            Ok((value, true))
        }
        _ => Err(odd),
    }
}
