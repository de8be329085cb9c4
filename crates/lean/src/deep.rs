//! Values as trees, to a bounded depth, where copying them as they are is not enough (ISO 32000-2 §7.3).

use crate::dictionary::{Dictionary, MOST_ENTRIES};
use crate::scan::{self, Token, DEPTH};
use crate::NotLean;

/// How deep values may nest.
pub const DEEPEST: usize = 64;

/// One parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Keys and values; keys have their escapes expanded.
    Dictionary(Vec<(Vec<u8>, Value)>),
    /// Elements.
    Array(Vec<Value>),
    /// Without slash, escapes expanded.
    Name(Vec<u8>),
    /// Number and generation.
    Reference(u64, u64),
    /// A number.
    Number(f64),
    /// As it stands, delimiters included.
    String(Vec<u8>),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`.
    Null,
}

impl Value {
    /// The value under a key of a dictionary.
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        match self {
            Value::Dictionary(entries) => entries.iter().find(|(own, _)| own == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The value at `at`, within `most` bytes, and where it ends.
pub fn parse(text: &[u8], at: usize, most: usize) -> Result<(Value, usize), NotLean> {
    let window = &text[..text.len().min(at.saturating_add(most))];
    let mut holders: Vec<(bool, Vec<Value>)> = Vec::new(); // whether a dictionary, what it holds so far
    let mut position = at;
    loop {
        let (kind, start, end) = scan::token(window, position).ok_or(NotLean("a value cannot be read"))?;
        position = end;
        let raw = &window[start..end];
        let value = match kind {
            Token::Open => {
                if holders.len() == DEEPEST {
                    return Err(NotLean("values are nested too deep"));
                }
                holders.push((raw == b"<<", Vec::new()));
                continue;
            }
            Token::Close => match holders.pop() {
                Some((true, content)) if raw == b">>" => dictionary(content)?,
                Some((false, content)) if raw == b"]" => Value::Array(content),
                _ => return Err(NotLean("brackets do not match")),
            },
            _ => scalar(kind, raw)?,
        };
        match holders.last_mut() {
            Some((_, content)) => content.push(value),
            None => return Ok((value, position)),
        }
    }
}

fn dictionary(content: Vec<Value>) -> Result<Value, NotLean> {
    if content.len() % 2 != 0 {
        return Err(NotLean("a dictionary has something else for a key"));
    }
    let mut entries: Vec<(Vec<u8>, Value)> = Vec::with_capacity(content.len() / 2);
    let mut each = content.into_iter();
    while let (Some(key), Some(value)) = (each.next(), each.next()) {
        let Value::Name(key) = key else { return Err(NotLean("a dictionary has something else for a key")) };
        entries.push((key, value));
    }
    let mut keys: Vec<&[u8]> = entries.iter().map(|(key, _)| key.as_slice()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(NotLean("a dictionary has a key twice"));
    }
    Ok(Value::Dictionary(entries))
}

fn scalar(kind: Token, raw: &[u8]) -> Result<Value, NotLean> {
    Ok(match kind {
        Token::Name => Value::Name(expanded(&raw[1..])),
        Token::Reference => {
            let (number, generation) = crate::dictionary::reference(raw)?;
            Value::Reference(number, generation)
        }
        Token::Number => {
            let text = std::str::from_utf8(raw).map_err(|_| NotLean("a number cannot be read"))?;
            Value::Number(text.parse().map_err(|_| NotLean("a number cannot be read"))?)
        }
        Token::Word if raw == b"null" => Value::Null,
        Token::Word => Value::Boolean(raw == b"true"),
        _ => Value::String(raw.to_vec()),
    })
}

/// A name with its escapes expanded (§7.3.5).
pub fn expanded(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut at = 0;
    while at < name.len() {
        match escaped(name, at) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(name[at]);
                at += 1;
            }
        }
    }
    plain
}

/// The byte that the escape `#XX` at `at` stands for.
pub fn escaped(text: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
    match text.get(at..at + 3)? {
        [b'#', high, low] => Some(16 * digit(*high)? + digit(*low)?),
        _ => None,
    }
}

/// A dictionary that may nest deeper than matches at once, read token by token from the beginning of `text`; and where it ends.
pub fn deep_dictionary(text: &[u8]) -> Result<(Dictionary<'static>, usize), NotLean> {
    let begin = scan::spaces(text, 0);
    let mut position = scan::word(text, begin, b"<<").ok_or(NotLean("there is no dictionary where one should be"))?;
    let mut places = Vec::new();
    loop {
        let slash = scan::spaces(text, position);
        let Some(key_end) = scan::name(text, slash) else { break };
        let start = scan::spaces(text, key_end);
        if memchr::memchr(b'#', &text[slash..key_end]).is_some() {
            return Err(NotLean("a dictionary has a key with escapes"));
        }
        position = match scan::value(text, start, DEPTH) {
            Some(end) => end,
            None => parse(text, start, text.len())?.1,
        };
        if places.len() == MOST_ENTRIES {
            return Err(NotLean("a dictionary has very many entries"));
        }
        places.push([slash + 1 - begin, key_end - begin, start - begin, position - begin]);
    }
    let end = scan::close(text, position).ok_or(NotLean("a dictionary cannot be read"))?;
    Ok((Dictionary::of(text[begin..end - 2].to_vec(), &places)?, end))
}
