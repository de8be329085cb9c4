//! Deterministic CBOR (RFC 8949 §4.2.1), as far as leaves and entries need it.

/// Unsigned integer.
pub const UNSIGNED: u8 = 0x00;
/// Text string.
pub const TEXT: u8 = 0x60;
/// Array.
pub const ARRAY: u8 = 0x80;
/// Map.
pub const MAP: u8 = 0xa0;

/// Appends the head of an item of this major type, in the shortest form.
pub fn push(to: &mut Vec<u8>, major: u8, value: u64) {
    match value {
        0..=23 => to.push(major | value as u8),
        24..=0xff => to.extend([major | 24, value as u8]),
        0x100..=0xffff => {
            to.push(major | 25);
            to.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            to.push(major | 26);
            to.extend((value as u32).to_be_bytes());
        }
        _ => {
            to.push(major | 27);
            to.extend(value.to_be_bytes());
        }
    }
}

/// Appends a text string.
pub fn push_text(to: &mut Vec<u8>, text: &str) {
    push(to, TEXT, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}
