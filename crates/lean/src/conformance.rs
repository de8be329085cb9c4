//! What a document declares to be (ISO 19005, ISO 14289-1), and what a picture must not have in such a one.
//!
//! The declaration stands in the XMP metadata of the catalog, which nobody changes here.

use std::collections::HashSet;

use crate::content::object;
use crate::deep::{parse, Value};
use crate::dictionary::{integer, reference, Dictionary};
use crate::file::File;
use crate::{scan, NotLean};

const MOST_VALUES: usize = 1_500; // of a picture
const MOST_BYTES: usize = 256 * 1024; // of these values, without the data of streams
const RGB_COMPONENTS: usize = 3;
const NAMESPACE: &[u8] = b"http://www.aiim.org/";

/// What a document says that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The part of ISO 19005; 0 for none.
    pub pdfa: u8,
    /// The part of ISO 14289; 0 for none.
    pub pdfua: u8,
    /// Whether it has an output intent for RGB.
    pub rgb_intent: bool,
}

impl Declared {
    /// What the catalog's metadata declare.
    pub fn read(file: &mut File, catalog: &Dictionary) -> Result<Self, NotLean> {
        let Some(metadata) = catalog.get(b"Metadata") else { return Ok(Self::default()) };
        let (number, generation) = reference(metadata)?;
        let Some(found) = file.dictionary(number, generation)?.filter(|found| found.data_offset.is_some()) else {
            return Ok(Self::default());
        };
        let plain = spelled_out(&file.data(&found)?);
        let (pdfa, pdfua) = (declared_part(&plain, b"pdfa"), declared_part(&plain, b"pdfua"));
        let rgb_intent = pdfa + pdfua > 0 && has_rgb_intent(file, catalog)?;
        Ok(Self { pdfa, pdfua, rgb_intent })
    }

    /// Whether pictures are laid on opaque and in colours of no device: where transparency or device colours are not allowed.
    ///
    /// Part 1 allows no transparency (6.4); later ones want a blending space, which an output intent gives (6.2.10).
    pub fn plain(&self) -> bool {
        self.pdfa == 1 || self.pdfa > 1 && !self.rgb_intent
    }
}

fn has_rgb_intent(file: &mut File, catalog: &Dictionary) -> Result<bool, NotLean> {
    for each in file.elements(catalog.get(b"OutputIntents"))? {
        let intent = file.entries(Some(&each))?.ok_or(NotLean("an output intent is missing"))?;
        let kind = intent.get(b"S").filter(|kind| kind.starts_with(b"/")).ok_or(NotLean("an output intent is written oddly"))?;
        let Some(profile) = intent.get(b"DestOutputProfile").filter(|_| kind == b"/GTS_PDFA1") else { continue };
        let (number, generation) = reference(profile)?;
        if let Some((found, data)) = file.dictionary(number, generation)?.and_then(|found| found.data_offset.map(|data| (found, data))) {
            file.stream_end(&found.entries, data)?;
            return Ok(integer(found.entries.get(b"N"))? == RGB_COMPONENTS);
        }
    }
    Ok(false)
}

/// The part of a standard that metadata declare (ISO 19005-1 §6.7.11, ISO 14289-1 §5); 0 for none.
fn declared_part(metadata: &[u8], standard: &[u8]) -> u8 {
    let namespace = [NAMESPACE, standard, b"/ns/id/"].concat();
    let mut prefix = [standard, b"id"].concat();
    let mut declared = false;
    for at in memchr::memmem::find_iter(metadata, &namespace) {
        declared = true;
        if let Some(told) = prefix_before(&metadata[..at]) {
            prefix = told.to_vec();
            break;
        }
    }
    if !declared {
        return 0;
    }
    let name = [&prefix, &b":part"[..]].concat();
    let part = memchr::memmem::find_iter(metadata, &name).find_map(|at| digit_behind(metadata, at + name.len()));
    part.unwrap_or(1) // the standard is declared, even if in an odd way
}

/// The prefix that a namespace gets by an attribute which ends in the opening quote of its value.
fn prefix_before(text: &[u8]) -> Option<&[u8]> {
    let text = trimmed(text.strip_suffix(b"\"").or(text.strip_suffix(b"'"))?);
    let text = trimmed(text.strip_suffix(b"=")?);
    let named = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let length = text.iter().rev().take_while(named).count();
    let (before, prefix) = text.split_at(text.len() - length);
    (length > 0 && before.ends_with(b"xmlns:")).then_some(prefix)
}

/// The digit that an attribute's value, or an element's text, begins with.
fn digit_behind(text: &[u8], at: usize) -> Option<u8> {
    let skip = |at: usize| at + text[at..].iter().take_while(|byte| is_blank(byte)).count();
    let at = skip(at);
    let at = match text.get(at)? {
        b'>' => at + 1,
        b'=' => {
            let quote = skip(at + 1);
            matches!(text.get(quote)?, b'"' | b'\'').then_some(quote + 1)?
        }
        _ => return None,
    };
    text.get(skip(at)).filter(|byte| byte.is_ascii_digit()).map(|digit| digit - b'0')
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, 9..=13 | b' ')
}

fn trimmed(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|byte| is_blank(byte)).count()]
}

/// XMP metadata (XML) reduced to ASCII: without the zero bytes of UTF-16 and UTF-32, and with character references replaced (XML 1.0 §4.1).
fn spelled_out(metadata: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = metadata.iter().copied().filter(|&byte| byte != 0).collect();
    if memchr::memmem::find(&text, b"&#").is_none() {
        return text;
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match character(&text, at) {
            Some((byte, end)) => {
                plain.push(byte);
                at = end;
            }
            None => {
                plain.push(text[at]);
                at += 1;
            }
        }
    }
    plain
}

fn character(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let start = scan::word(text, at, b"&#")?;
    let (start, radix, most) = match text.get(start) {
        Some(b'x') => (start + 1, 16, 6),
        _ => (start, 10, 7),
    };
    let zeros = text[start..].iter().take_while(|&&byte| byte == b'0').count();
    let digits = text[start + zeros..].iter().take_while(|&&byte| (byte as char).is_digit(radix)).count();
    if digits > most || zeros + digits == 0 {
        return None;
    }
    let value = text[start + zeros..start + zeros + digits]
        .iter()
        .fold(0u32, |value, &byte| radix * value + (byte as char).to_digit(radix).unwrap_or(0));
    let end = scan::word(text, start + zeros + digits, b";")?;
    (value < 128).then_some((value as u8, end))
}

/// What PDF/A forbids in a picture: fonts that are not embedded, CMYK, some filters; and transparency where pictures are laid on opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offences {
    /// In every such document.
    pub always: bool,
    /// Where pictures are laid on opaque.
    pub opaque: bool,
}

impl Offences {
    /// Of a picture's content and resources, given as raw values. An error where that cannot be told here.
    pub fn read(file: &mut File, values: &[&[u8]]) -> Result<Self, NotLean> {
        let mut found = Self::default();
        let mut seen = HashSet::new();
        let mut room = MOST_BYTES;
        let mut count = 0;
        let mut stack = Vec::new();
        for value in values {
            stack.push(parse(&[value, &b" "[..]].concat(), 0, MOST_BYTES)?.0);
        }
        while let Some(value) = stack.pop() {
            count += 1;
            if count > MOST_VALUES {
                return Err(NotLean("a picture has very many values"));
            }
            match value {
                Value::Reference(number, generation) if seen.insert((number, generation)) => {
                    let (value, is_stream) = object(file, number, generation, &mut room)?;
                    if is_stream && draws(file, &value, &mut room)? {
                        let odd = NotLean("a stream of a picture is missing");
                        let stream = file.dictionary(number, generation)?.ok_or(odd)?;
                        found.always |= paints_cmyk(&file.data(&stream)?);
                    }
                    stack.push(value);
                }
                Value::Name(name) => found.always |= matches!(&name[..], b"DeviceCMYK" | b"JPXDecode" | b"LZWDecode"),
                Value::Array(elements) => stack.extend(elements),
                Value::Dictionary(_) => {
                    found.always |= is_bare_font(file, &value, &mut room)?;
                    found.opaque |= is_translucent(file, &value, &mut room)?;
                    if let Value::Dictionary(entries) = value {
                        let further = entries.into_iter().filter(|(key, _)| !matches!(&key[..], b"Parent" | b"P"));
                        stack.extend(further.map(|(_, value)| value));
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn resolved(file: &mut File, value: Option<&Value>, room: &mut usize) -> Result<Value, NotLean> {
    match value {
        Some(&Value::Reference(number, generation)) => Ok(object(file, number, generation, room)?.0),
        Some(value) => Ok(value.clone()),
        None => Ok(Value::Null),
    }
}

/// Whether a stream holds drawing commands.
fn draws(file: &mut File, stream: &Value, room: &mut usize) -> Result<bool, NotLean> {
    Ok(match resolved(file, stream.get(b"Subtype"), room)? {
        Value::Null => true,
        Value::Name(kind) => kind == b"Form",
        _ => false,
    })
}

/// Whether commands set a colour in CMYK, or name that colour space.
fn paints_cmyk(commands: &[u8]) -> bool {
    let sets = |at: usize| {
        let before = at.checked_sub(1).is_none_or(|before| is_blank(&commands[before]) || commands[before] == b']');
        before && commands.get(at + 1).is_none_or(is_blank)
    };
    memchr::memmem::find(commands, b"/DeviceCMYK").is_some() || memchr::memchr2_iter(b'k', b'K', commands).any(sets)
}

/// Whether a dictionary is a font that is not embedded.
fn is_bare_font(file: &mut File, value: &Value, room: &mut usize) -> Result<bool, NotLean> {
    if value.get(b"BaseFont").is_none() || value.get(b"DescendantFonts").is_some() {
        return Ok(false);
    }
    let descriptor = resolved(file, value.get(b"FontDescriptor"), room)?;
    Ok([&b"FontFile"[..], b"FontFile2", b"FontFile3"].iter().all(|key| descriptor.get(key).is_none()))
}

/// Whether a dictionary makes something translucent, or blends it.
fn is_translucent(file: &mut File, value: &Value, room: &mut usize) -> Result<bool, NotLean> {
    for key in [&b"SMask"[..], b"SMaskInData", b"BM", b"ca", b"CA", b"Group"] {
        let harmless = match (key, resolved(file, value.get(key), room)?) {
            (_, Value::Null) => true,
            (b"SMask", Value::Name(name)) => name == b"None",
            (b"SMaskInData", Value::Number(number)) => number == 0.0,
            (b"BM", Value::Name(name)) => name == b"Normal" || name == b"Compatible",
            (b"ca" | b"CA", Value::Number(number)) => number == 1.0,
            _ => false,
        };
        if !harmless {
            return Ok(true);
        }
    }
    Ok(false)
}
