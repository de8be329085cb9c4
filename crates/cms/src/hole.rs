//! Filling the hole of an update.

/// The update with `cms` in its hole, as hexadecimal digits in lower case; the rest stays zero (ISO 32000-2 §12.8.1). None if it does not fit: a hole
/// is never overrun, and a signature never cut.
///
/// `hole` is from `<` to behind `>`.
pub fn filled(update: &[u8], hole: (usize, usize), cms: &[u8]) -> Option<Vec<u8>> {
    let (start, end) = (hole.0 + 1, hole.1 - 1);
    let behind = start + 2 * cms.len();
    if behind > end {
        return None;
    }
    let mut whole = Vec::with_capacity(update.len());
    whole.extend_from_slice(&update[..start]);
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    whole.resize(behind, 0);
    for (pair, byte) in whole[start..].chunks_exact_mut(2).zip(cms) {
        (pair[0], pair[1]) = (digit(byte >> 4), digit(byte & 0x0f));
    }
    whole.extend_from_slice(&update[behind..]);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn what_fits_is_written_and_what_does_not_is_not() {
        let update = b"ab<00000000>cd";
        assert_eq!(filled(update, (2, 12), b"\x09\xaf").unwrap(), b"ab<09af0000>cd");
        assert_eq!(filled(update, (2, 12), b"\x01\x23\x45\xfe").unwrap(), b"ab<012345fe>cd");
        assert_eq!(filled(update, (2, 12), b"").unwrap(), update);
        assert_eq!(filled(update, (2, 12), b"\x01\x23\x45\x67\x89"), None);
    }
}
