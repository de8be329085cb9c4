//! What a document's XMP metadata declare.

const PDFA: &[u8] = b"http://www.aiim.org/pdfa/ns/id/";
const MOST_DIGITS: usize = 7; // of a character reference, without leading zeros

/// Whether the PDF/A namespace occurs (ISO 19005-1 §6.7.11), in any Unicode encoding.
pub fn declares_pdfa(metadata: &[u8]) -> bool {
    let text: Vec<u8> = metadata.iter().copied().filter(|&byte| byte != 0).collect(); // zeros are what UTF-16 and UTF-32 add to ASCII
    memchr::memmem::find(&spelled(&text), PDFA).is_some()
}

/// The text with references to ASCII characters replaced (XML 1.0 §4.1).
fn spelled(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"&#") {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match referred(&rest[2..]) {
            Some((character, length)) => {
                plain.push(character);
                rest = &rest[2 + length..];
            }
            None => {
                plain.extend_from_slice(b"&#");
                rest = &rest[2..];
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

/// The ASCII character that a reference names behind its `&#`, and how long that is with its semicolon.
fn referred(text: &[u8]) -> Option<(u8, usize)> {
    let (prefix, base) = if text.first() == Some(&b'x') { (1, 16) } else { (0, 10) };
    let digits: Vec<u32> = text[prefix..].iter().map_while(|&byte| char::from(byte).to_digit(base)).collect();
    let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    let end = prefix + digits.len();
    if digits.is_empty() || digits.len() - zeros > MOST_DIGITS || text.get(end) != Some(&b';') {
        return None;
    }
    let code = digits.iter().fold(0u32, |code, digit| base * code + digit);
    u8::try_from(code).ok().filter(u8::is_ascii).map(|character| (character, end + 1))
}
