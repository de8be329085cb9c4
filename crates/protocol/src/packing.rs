//! Suffixes as they are stored and sent: the signature in binary, its zeros as a count, and what many signatures have in common by name. The model is
//! `signer.uses.packing`, which reads what is stored.

use memchr::{memchr, memmem};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

const NAMING: u8 = 2; // the form that is written
const BEGIN: &[u8] = b"<3082"; // a hexadecimal string whose bytes are a DER SEQUENCE of 256 to 65,535 bytes: the CMS
const DER_HEAD_BYTES: usize = 4;
const LEAD_DIGITS: usize = 48;

/// Bytes that many signatures have in common.
#[derive(Clone, Debug)]
pub struct Part {
    name: Hash,
    digits: Vec<u8>,
}

impl Part {
    /// Of these bytes.
    pub fn new(content: &[u8]) -> Self {
        let digits =
            content.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(|digit| digit + if digit < 10 { b'0' } else { b'a' - 10 });
        Self { name: Sha256::digest(content).into(), digits: digits.collect() }
    }
}

/// A suffix: `before`, the digits of the signature, so many `zeros`, `after`. The signature has a part behind each stretch but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed<'s> {
    /// What stands before the digits.
    pub before: &'s [u8],
    /// What is between parts.
    pub stretches: Vec<Vec<u8>>,
    /// Which parts, by their places among the known ones.
    pub parts: Vec<usize>,
    /// Behind the digits.
    pub zeros: usize,
    /// What stands behind them.
    pub after: &'s [u8],
}

/// With those of the known parts that its signature has in this order; none where that would not restore the bytes.
pub fn packed<'s>(suffix: &'s [u8], known: &[Part]) -> Option<Packed<'s>> {
    let start = memmem::find(suffix, BEGIN)? + 1;
    let size = suffix.get(start + 4..start + 8).and_then(bytes_of)?;
    let behind = start + 2 * (DER_HEAD_BYTES + (usize::from(size[0]) << 8 | usize::from(size[1])));
    let signature = suffix.get(..behind)?;
    let (mut stretches, mut parts, mut at) = (Vec::with_capacity(known.len() + 1), Vec::with_capacity(known.len()), start);
    for (place, part) in known.iter().enumerate() {
        // By its first digits, which are found quickly; then all of them.
        let lead = &part.digits[..part.digits.len().min(LEAD_DIGITS)];
        if let Some(found) = memmem::find(&signature[at..], lead).map(|found| at + found) {
            if signature[found..].starts_with(&part.digits) {
                stretches.push(bytes_of(&signature[at..found])?);
                parts.push(place);
                at = found + part.digits.len();
            }
        }
    }
    stretches.push(bytes_of(&signature[at..])?);
    let end = behind + memchr(b'>', &suffix[behind..])?;
    let zeros = &suffix[behind..end];
    let all_zeros = zeros.iter().fold(0, |odd, digit| odd | (digit ^ b'0')) == 0;
    all_zeros.then(|| Packed { before: &suffix[..start], stretches, parts, zeros: zeros.len(), after: &suffix[end..] })
}

impl Packed<'_> {
    /// As it is stored; none where something is too long for its count.
    pub fn stored(&self, known: &[Part]) -> Option<Vec<u8>> {
        let count = |length: usize| u32::try_from(length).ok().map(u32::to_be_bytes);
        let mut to = Vec::with_capacity(512 + self.before.len() + self.after.len() + self.stretches.iter().map(Vec::len).sum::<usize>());
        to.push(NAMING);
        to.extend(count(self.before.len())?);
        to.extend(count(self.zeros)?);
        to.push(u8::try_from(self.parts.len()).ok()?);
        for stretch in &self.stretches {
            to.extend(count(stretch.len())?);
        }
        for &place in &self.parts {
            to.extend_from_slice(&known.get(place)?.name);
        }
        to.extend_from_slice(self.before);
        self.stretches.iter().for_each(|stretch| to.extend_from_slice(stretch));
        to.extend_from_slice(self.after);
        Some(to)
    }
}

/// What hexadecimal digits encode; none for any but lower-case ones, which alone can be restored exactly.
fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let odd = |digit: u8| !(digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    if digits.len() % 2 == 1 || digits.iter().fold(false, |found, &digit| found | odd(digit)) {
        return None;
    }
    let mut bytes = vec![0; digits.len() / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        // Both digits as one number, the first below: so the compiler can do many pairs at once.
        let pair = u16::from_le_bytes([pair[0], pair[1]]);
        let values = (pair & 0x0f0f) + 9 * (pair >> 6 & 0x0101);
        *byte = (values << 4 | values >> 8) as u8;
    }
    Some(bytes)
}
