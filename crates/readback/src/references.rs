//! Whether a text refers to any of ten numbers that begin alike.

use crate::syntax::is_white;

const LONGEST_COMMENT_BYTES: usize = 128; // between the parts of a reference
const MOST_COMMENTS: usize = 4; // between two parts; more count as a reference

/// Whether the text refers to one of the numbers of a block, or to one that ends in such a number, or has a comment there that is too long to
/// look behind.
pub fn refers_to_block(text: &[u8], block: u64) -> bool {
    let prefix = block.to_string();
    let finder = memchr::memmem::Finder::new(prefix.as_bytes());
    let mut from = 0;
    while let Some(start) = finder.find(&text[from..]).map(|offset| from + offset) {
        from = start + 1;
        let end = start + prefix.len();
        if text.get(end).is_some_and(u8::is_ascii_digit) && generation_and_word(text, end + 1) {
            return true;
        }
    }
    false
}

fn generation_and_word(text: &[u8], at: usize) -> bool {
    let mut at = at;
    if text.get(at) == Some(&b'.') {
        at += 1 + text[at + 1..].iter().take_while(|&&byte| byte == b'0').count();
    }
    let Some(at) = between(text, at) else { return false };
    if text.get(at) == Some(&b'%') {
        return true;
    }
    let end = at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if end == at {
        return false;
    }
    between(text, end).is_some_and(|at| matches!(text.get(at), Some(b'%' | b'R')))
}

/// Where blanks and short comments end; none if there is neither. A comment that is not passed is where it stays.
fn between(text: &[u8], at: usize) -> Option<usize> {
    let blanks = |at: usize| at + text[at..].iter().take_while(|&&byte| is_white(byte)).count();
    let mut end = blanks(at);
    if end == at && text.get(at) != Some(&b'%') {
        return None;
    }
    for _ in 0..MOST_COMMENTS {
        if text.get(end) != Some(&b'%') {
            break;
        }
        let comment = &text[end + 1..text.len().min(end + 2 + LONGEST_COMMENT_BYTES)];
        match comment.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            Some(length) => end = blanks(end + 1 + length),
            None if comment.len() <= LONGEST_COMMENT_BYTES => return Some(text.len()), // nothing follows it
            None => break,
        }
    }
    Some(end)
}
