//! PDF tokens and values where they stand in bytes (ISO 32000-2 §7.3), without comments.
//!
//! Strict: what readers could take in two ways matches nowhere. Values nest to a fixed depth here; [`crate::deep`] reads deeper ones.
//! Every function looks at each byte a bounded number of times, so no text takes more than linear time.

/// How deep containers may nest in a value that is matched at once.
pub const DEPTH: usize = 3;
const STRING_DEPTH: usize = 2;
const FEW_KEYS: usize = 12; // of a dictionary within another one, which are compared without taking memory
const MANY_KEYS: usize = 200; // and how many more, since each is compared with all others

const SPACE: u8 = 1; // white space; without NUL, about which readers do not agree
const REGULAR: u8 = 2; // may stand in a name; PDFium takes 0x80 and 0xFF for white space
const BEHIND: u8 = 4; // may follow a number or a word
const DIGIT: u8 = 8;
const HEX: u8 = 16; // in a hexadecimal string, white space included
const WORD: u8 = 32; // of a word in the sense of regular expressions

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if matches!(b, b'\t' | b'\n' | 0x0c | b'\r' | b' ') {
            class |= SPACE | BEHIND | HEX;
        }
        if matches!(b, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'/' | b'%') {
            class |= BEHIND;
        }
        if !(b <= 0x20 || matches!(b, 0x7f | 0x80 | 0xff | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%' | b'#')) {
            class |= REGULAR;
        }
        if b.is_ascii_digit() {
            class |= DIGIT;
        }
        if b.is_ascii_hexdigit() {
            class |= HEX;
        }
        if b.is_ascii_alphanumeric() || b == b'_' {
            class |= WORD;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// Whether the byte belongs to a word (letters, digits, underscore).
pub fn is_word(byte: u8) -> bool {
    is(byte, WORD)
}

/// Whether the byte is white space that all readers agree on.
pub fn is_space(byte: u8) -> bool {
    is(byte, SPACE)
}

#[inline]
fn run(text: &[u8], mut at: usize, class: u8) -> usize {
    while at < text.len() && is(text[at], class) {
        at += 1;
    }
    at
}

/// Where the white space at `at` ends.
#[inline]
pub fn spaces(text: &[u8], at: usize) -> usize {
    run(text, at, SPACE)
}

/// Where the white space at `at` ends; none if there is none.
#[inline]
pub fn some_spaces(text: &[u8], at: usize) -> Option<usize> {
    let end = spaces(text, at);
    (end > at).then_some(end)
}

/// Where one to `most` digits at `at` end; as many as there are up to `most`.
#[inline]
pub fn digits(text: &[u8], at: usize, most: usize) -> Option<usize> {
    let limit = text.len().min(at.saturating_add(most));
    let mut end = at;
    while end < limit && is(text[end], DIGIT) {
        end += 1;
    }
    (end > at).then_some(end)
}

/// Where `word` ends if it stands at `at`.
#[inline]
pub fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

#[inline]
fn behind(text: &[u8], at: usize) -> bool {
    at < text.len() && is(text[at], BEHIND)
}

/// The decimal number in `text`; none beyond what 18 digits hold.
#[inline]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 && text.iter().take(text.len() - 18).any(|&b| b != b'0') {
        return None;
    }
    let mut value = 0u64;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
    }
    Some(value)
}

/// Where the name at `at` ends, its slash included. The empty name is legal, but not all readers accept it; nor do they agree what a number
/// sign without two digits behind it is.
#[inline]
pub fn name(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'/') {
        return None;
    }
    let mut end = run(text, at + 1, REGULAR);
    while text.get(end) == Some(&b'#') {
        text.get(end + 1..end + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit) && *digits != b"00")?;
        end = run(text, end + 3, REGULAR);
    }
    (end > at + 1).then_some(end)
}

/// Where the reference at `at` ends.
#[inline]
pub fn reference(text: &[u8], at: usize) -> Option<usize> {
    if !matches!(text.get(at), Some(b'1'..=b'9')) {
        return None;
    }
    let end = some_spaces(text, digits(text, at, 10)?)?;
    let end = some_spaces(text, digits(text, end, 5)?)?;
    let end = word(text, end, b"R")?;
    behind(text, end).then_some(end)
}

#[inline]
fn numeric(text: &[u8], at: usize) -> Option<usize> {
    let at = at + usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let end = match digits(text, at, 20) {
        Some(end) if text.get(end) == Some(&b'.') => digits(text, end + 1, 20).unwrap_or(end + 1),
        Some(end) => end,
        None if text.get(at) == Some(&b'.') => digits(text, at + 1, 20)?,
        None => return None,
    };
    behind(text, end).then_some(end)
}

/// Where the hexadecimal string at `at` ends.
#[inline]
pub fn hexadecimal(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'<') {
        return None;
    }
    word(text, run(text, at + 1, HEX), b">")
}

/// Where the escape sequence at `at` ends: those alone that all readers know (table 3).
fn escape(text: &[u8], at: usize) -> Option<usize> {
    let octal = |at: usize| matches!(text.get(at), Some(b'0'..=b'7'));
    match text.get(at + 1)? {
        b'n' | b'r' | b't' | b'b' | b'f' | b'(' | b')' | b'\\' | b' ' | b'/' | b'%' | b'<' | b'>' | b'[' | b']' | b'#' | b'_' | b'&'
        | b'$' => Some(at + 2),
        b'0'..=b'3' if octal(at + 2) && octal(at + 3) => Some(at + 4),
        b'0'..=b'7' => {
            let end = at + 2 + usize::from(octal(at + 2));
            (!matches!(text.get(end), Some(b'0'..=b'9'))).then_some(end)
        }
        b'\r' if text.get(at + 2) == Some(&b'\n') => Some(at + 3),
        b'\r' | b'\n' => Some(at + 2),
        _ => None,
    }
}

fn literal(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    if text.get(at) != Some(&b'(') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b')' => return Some(at + 1),
            b'\\' => at = escape(text, at)?,
            b'(' if depth > 0 => at = literal(text, at, depth - 1)?,
            b'(' => return None,
            _ => at += 1,
        }
    }
}

/// Where the string in parentheses at `at` ends, with balanced ones in it (§7.3.4.2).
pub fn string(text: &[u8], at: usize) -> Option<usize> {
    literal(text, at, STRING_DEPTH)
}

fn keyword(text: &[u8], at: usize) -> Option<usize> {
    let end = [&b"true"[..], b"false", b"null"].iter().find_map(|each| word(text, at, each))?;
    behind(text, end).then_some(end)
}

/// Where the value at `at` ends; `depth` is how deep containers may nest in it.
pub fn value(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    match text.get(at)? {
        b'/' => name(text, at),
        b'[' if depth > 0 => array_of(text, at, depth - 1),
        b'<' if text.get(at + 1) == Some(&b'<') => {
            if depth > 0 {
                dictionary_of(text, at, depth - 1)
            } else {
                None
            }
        }
        b'<' => hexadecimal(text, at),
        b'(' => string(text, at),
        b't' | b'f' | b'n' => keyword(text, at),
        _ => reference(text, at).or_else(|| numeric(text, at)),
    }
}

fn array_of(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = spaces(text, at);
        if text.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        at = value(text, at, depth)?;
    }
}

/// A dictionary with a key twice, which readers take in two ways, matches nowhere; nor does one with very many keys, or with escapes in one.
fn dictionary_of(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut keys: [&[u8]; FEW_KEYS] = [b""; FEW_KEYS];
    let mut further: Vec<&[u8]> = Vec::new();
    let mut count = 0;
    let mut at = at + 2;
    loop {
        at = spaces(text, at);
        if let Some(end) = word(text, at, b">>") {
            return Some(end);
        }
        let end = name(text, at)?;
        let key = &text[at + 1..end];
        if keys[..count].contains(&key) || further.contains(&key) || key.contains(&b'#') {
            return None;
        }
        if count < FEW_KEYS {
            keys[count] = key;
            count += 1;
        } else if further.len() < MANY_KEYS {
            further.push(key);
        } else {
            return None;
        }
        at = value(text, spaces(text, end), depth)?;
    }
}

/// Where the array at `at` ends; its elements are values of the full depth.
pub fn array(text: &[u8], at: usize) -> Option<usize> {
    (text.get(at) == Some(&b'[')).then(|| array_of(text, at, DEPTH))?
}

/// What kind of thing [`token`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name with its slash.
    Name,
    /// An indirect reference.
    Reference,
    /// A number.
    Number,
    /// `<<` or `[`.
    Open,
    /// `>>` or `]`.
    Close,
    /// A string of either kind.
    String,
    /// `true`, `false` or `null`.
    Word,
}

/// The token behind white space at `at`: its kind, where it begins and where it ends.
pub fn token(text: &[u8], at: usize) -> Option<(Token, usize, usize)> {
    let at = spaces(text, at);
    let found = |kind, end| Some((kind, at, end));
    match text.get(at)? {
        b'/' => found(Token::Name, name(text, at)?),
        b'[' => found(Token::Open, at + 1),
        b']' => found(Token::Close, at + 1),
        b'<' if text.get(at + 1) == Some(&b'<') => found(Token::Open, at + 2),
        b'<' => found(Token::String, hexadecimal(text, at)?),
        b'>' => found(Token::Close, word(text, at, b">>")?),
        b'(' => found(Token::String, string(text, at)?),
        b't' | b'f' | b'n' => found(Token::Word, keyword(text, at)?),
        _ => match reference(text, at) {
            Some(end) => found(Token::Reference, end),
            None => found(Token::Number, numeric(text, at)?),
        },
    }
}

/// Number, generation, and where what follows the word `obj` begins, of an object at `at`.
pub fn object_head(text: &[u8], at: usize) -> Option<(u64, u64, usize)> {
    let first = spaces(text, at);
    let number_end = digits(text, first, 10)?;
    let second = number_end + 1; // exactly one blank
    if !text.get(number_end).is_some_and(|&b| is_space(b)) {
        return None;
    }
    let generation_end = digits(text, second, 5)?;
    if !text.get(generation_end).is_some_and(|&b| is_space(b)) {
        return None;
    }
    let end = word(text, generation_end + 1, b"obj")?;
    Some((number(&text[first..number_end])?, number(&text[second..generation_end])?, end))
}

/// What stands behind an object's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// `endobj`; where it ends.
    End(usize),
    /// `stream` with its line ending; where the data begins.
    Stream(usize),
}

/// `endobj` or `stream` behind white space at `at`.
pub fn following(text: &[u8], at: usize) -> Option<Following> {
    let at = spaces(text, at);
    if let Some(end) = word(text, at, b"endobj") {
        return Some(Following::End(end));
    }
    let end = word(text, at, b"stream")?;
    word(text, end, b"\r\n").or_else(|| word(text, end, b"\n")).map(Following::Stream)
}

/// Where `>>` behind white space ends.
pub fn close(text: &[u8], at: usize) -> Option<usize> {
    word(text, spaces(text, at), b">>")
}

/// The text with its comments replaced by blanks (§7.2.4), so that offsets stay the same.
///
/// Not those within a reference, or between numbers that may be one: not all readers look for comments there. So such a text is not understood.
pub fn uncommented(text: &[u8]) -> Vec<u8> {
    let mut clean = text.to_vec();
    let mut at = 0;
    while at < text.len() {
        at = match text[at] {
            b'<' if text.get(at + 1) == Some(&b'<') => at + 2,
            // A string that cannot be read ends it: what follows may belong to it or not.
            b'(' | b'<' => match string(text, at).or_else(|| hexadecimal(text, at)) {
                Some(end) => end,
                None => break,
            },
            b'%' => {
                let end = comment_end(text, at);
                let before = clean[..at].iter().rev().find(|&&byte| !is_space(byte));
                let behind = text.get(spaces(text, end));
                let within = before.is_some_and(u8::is_ascii_digit) && behind.is_some_and(|&byte| byte == b'R' || byte.is_ascii_digit());
                if !within {
                    clean[at..end].fill(b' ');
                }
                end
            }
            _ => at + 1,
        };
    }
    clean
}

fn comment_end(text: &[u8], at: usize) -> usize {
    memchr::memchr2(b'\r', b'\n', &text[at..]).map_or(text.len(), |length| at + length)
}

/// The same for a text that has nothing but numbers and comments.
pub fn uncommented_numbers(text: &[u8]) -> Vec<u8> {
    let mut clean = text.to_vec();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'%', &text[from..]).map(|offset| from + offset) {
        from = comment_end(text, at);
        clean[at..from].fill(b' ');
    }
    clean
}
