//! Text strings (ISO 32000-2 §7.9.2.2), written and read.

use crate::{scan, NotLean};

/// Plain ASCII in parentheses; anything else as UTF-16 with its byte order mark, in hexadecimal.
pub fn text_string(text: &str) -> Vec<u8> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'(' | b')' | b'\\')) {
        return [b"(", text.as_bytes(), b")"].concat();
    }
    let mut coded = b"<FEFF".to_vec();
    for unit in text.encode_utf16() {
        push_hexadecimal(&mut coded, &unit.to_be_bytes());
    }
    coded.push(b'>');
    coded
}

/// Appends lower-case hexadecimal digits.
pub fn push_hexadecimal(to: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        to.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The text of a raw string; none if it is neither UTF-16 with byte order mark nor plain ASCII: readers may then disagree.
pub fn read_text(raw: &[u8]) -> Result<Option<String>, NotLean> {
    let odd = NotLean("a text is coded oddly");
    let inner = raw.get(1..raw.len().max(2) - 1).ok_or(odd)?;
    let value = match raw[0] {
        b'<' => bytes_of(inner).ok_or(odd)?,
        b'(' => unescaped(inner),
        _ => return Err(odd),
    };
    if let Some(coded) = value.strip_prefix(b"\xfe\xff") {
        if coded.len() % 2 != 0 {
            return Err(odd);
        }
        let units: Vec<u16> = coded.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        return String::from_utf16(&units).map(Some).map_err(|_| odd);
    }
    if value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(String::from_utf8(value).ok());
    }
    Ok(None)
}

/// The bytes that hexadecimal digits stand for; white space between them counts for nothing.
pub fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let mut nibbles = Vec::with_capacity(digits.len() + 1);
    for &byte in digits {
        if !scan::is_space(byte) {
            nibbles.push((byte as char).to_digit(16)? as u8);
        }
    }
    if nibbles.len() % 2 != 0 {
        nibbles.push(0);
    }
    Some(nibbles.chunks_exact(2).map(|pair| 16 * pair[0] + pair[1]).collect())
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' || at + 1 == text.len() {
            plain.push(text[at]);
            at += 1;
            continue;
        }
        at += 1;
        match text[at] {
            b'0'..=b'7' => {
                let digits = text[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let value = text[at..at + digits].iter().fold(0u32, |value, byte| 8 * value + u32::from(byte - b'0'));
                plain.push(value as u8);
                at += digits;
                continue;
            }
            b'\r' if text.get(at + 1) == Some(&b'\n') => at += 1,
            b'\r' | b'\n' => {}
            b'n' => plain.push(b'\n'),
            b'r' => plain.push(b'\r'),
            b't' => plain.push(b'\t'),
            b'b' => plain.push(8),
            b'f' => plain.push(12),
            other => plain.push(other),
        }
        at += 1;
    }
    plain
}
