//! Reads a sealed update back: is it the accounted one, and is the seal in its hole ours (RFC 5652, RFC 3161)?
//!
//! Of a CMS most is the same for all seals of one key. What was judged in full once is found again byte for byte, and the rest is verified: the
//! digest, the signature, the timestamp's imprint. A no means that the general way has to judge.

use ring::digest::{digest, SHA256};
use ring::signature::{
    UnparsedPublicKey, VerificationAlgorithm, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256,
};

use crate::syntax::{require, Found, Otherwise};

const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TIMESTAMP: &[u8] = &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0e];
const TST_INFO: &[u8] = &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
/// A SHA-256 imprint up to its value: without parameters, as we make it, or with NULL (RFC 5754 §2).
const IMPRINTS: [&[u8]; 2] = [
    &[0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20],
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20],
];
const VERSION_1: &[u8] = &[0x02, 0x01, 0x01];
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

/// A key that seals are verified with.
#[derive(Clone, Debug)]
pub enum Key {
    /// PKCS#1 DER; PKCS#1 v1.5 with SHA-256.
    Rsa(Vec<u8>),
    /// Uncompressed point; ECDSA with SHA-256.
    P256(Vec<u8>),
    /// Uncompressed point; ECDSA with SHA-384.
    P384(Vec<u8>),
}

impl Key {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, key): (&'static dyn VerificationAlgorithm, &[u8]) = match self {
            Self::Rsa(key) => (&RSA_PKCS1_2048_8192_SHA256, key),
            Self::P256(key) => (&ECDSA_P256_SHA256_ASN1, key),
            Self::P384(key) => (&ECDSA_P384_SHA384_ASN1, key),
        };
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }
}

/// What all seals of one key have in common.
#[derive(Clone, Debug)]
pub struct Constants {
    /// In SignedData, from the version to the certificates.
    pub head: Vec<u8>,
    /// In SignerInfo, from the version to the digest algorithm.
    pub signer_head: Vec<u8>,
    /// The signed attributes as a SET up to the value of message-digest.
    pub attributes_before: Vec<u8>,
    /// The signed attributes behind that value.
    pub attributes_after: Vec<u8>,
    /// Of the signature.
    pub algorithm: Vec<u8>,
    /// The seal's.
    pub key: Key,
}

/// An update that was accounted for.
#[derive(Clone, Copy, Debug)]
pub struct Accounted<'a> {
    /// With its empty hole.
    pub update: &'a [u8],
    /// From `<` to behind `>`.
    pub hole: (usize, usize),
    /// Over document and update but for the hole.
    pub digest: &'a [u8],
}

/// Whether `sealed` is the accounted update with a valid seal of the known key in its hole.
pub fn seals(accounted: &Accounted, sealed: &[u8], constants: &Constants) -> Found<()> {
    let Accounted { update, hole: (start, end), digest } = *accounted;
    require(sealed.len() == update.len() && start + 2 <= end && end <= update.len())?;
    require(sealed[..=start] == update[..=start] && sealed[end - 1..] == update[end - 1..])?;
    let cms = value_in_hole(&sealed[start + 1..end - 1])?;
    verify(&cms, digest, constants)
}

/// The DER value that these hexadecimal digits begin with; all digits behind it must be zeros.
fn value_in_hole(digits: &[u8]) -> Found<Vec<u8>> {
    let head = bytes_of(digits.get(..8).ok_or(Otherwise)?)?;
    require(head[0] == SEQUENCE && head[1] == 0x82)?;
    let size = 4 + (usize::from(head[2]) << 8 | usize::from(head[3]));
    require(2 * size <= digits.len())?;
    let (own, behind) = digits.split_at(2 * size);
    require(all_zeros(behind))?;
    bytes_of(own)
}

/// Without a way out in the middle, which lets the compiler compare many at once.
pub(crate) fn all_zeros(digits: &[u8]) -> bool {
    digits.iter().fold(0, |odd, digit| odd | (digit ^ b'0')) == 0
}

fn bytes_of(digits: &[u8]) -> Found<Vec<u8>> {
    let odd = |digit: u8| !(digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    require(!digits.iter().fold(false, |found, &digit| found | odd(digit)))?;
    let mut bytes = vec![0; digits.len() / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        // Both digits as one number, the first below: so the compiler can do many pairs at once.
        let pair = u16::from_le_bytes([pair[0], pair[1]]);
        let values = (pair & 0x0f0f) + 9 * (pair >> 6 & 0x0101);
        *byte = (values << 4 | values >> 8) as u8;
    }
    Ok(bytes)
}

fn verify(cms: &[u8], digest_value: &[u8], constants: &Constants) -> Found<()> {
    let mut der = Der { data: cms, at: 0 };
    let end = der.enter(SEQUENCE)?;
    require(end == cms.len())?;
    der.skip(SIGNED_DATA)?;
    der.enter_last(FIRST, end)?;
    der.enter_last(SEQUENCE, end)?;
    der.skip(&constants.head)?;
    der.enter_last(SET, end)?;
    der.enter_last(SEQUENCE, end)?;
    der.skip(&constants.signer_head)?;
    let size = u8::try_from(digest_value.len()).map_err(|_| Otherwise)?;
    let attributes = [&constants.attributes_before[..], &[OCTETS, size], digest_value, &constants.attributes_after].concat();
    // A SET, tagged [0] here (RFC 5652 §5.3).
    der.skip(&[FIRST])?;
    der.skip(&attributes[1..])?;
    der.skip(&constants.algorithm)?;
    let signature_end = der.enter(OCTETS)?;
    let signature = cms.get(der.at..signature_end).ok_or(Otherwise)?;
    der.at = signature_end;
    timestamp(&mut der, end, digest(&SHA256, signature).as_ref())?;
    require(constants.key.verifies(&attributes, signature))
}

/// There is one unsigned attribute, a time-stamp token with this imprint.
fn timestamp(der: &mut Der, end: usize, imprint: &[u8]) -> Found<()> {
    der.enter_last(SECOND, end)?;
    der.enter_last(SEQUENCE, end)?;
    der.skip(TIMESTAMP)?;
    der.enter_last(SET, end)?;
    der.enter_last(SEQUENCE, end)?;
    der.skip(SIGNED_DATA)?;
    der.enter_last(FIRST, end)?;
    der.enter_last(SEQUENCE, end)?;
    der.pass(INTEGER)?;
    der.pass(SET)?;
    let content_end = der.enter(SEQUENCE)?;
    require(content_end <= end)?;
    der.skip(TST_INFO)?;
    der.enter_last(FIRST, content_end)?;
    der.enter_last(OCTETS, content_end)?;
    der.enter_last(SEQUENCE, content_end)?;
    der.skip(VERSION_1)?;
    der.pass(OID)?;
    let known = IMPRINTS.iter().find(|known| der.data[der.at..].starts_with(known)).ok_or(Otherwise)?;
    der.skip(known)?;
    der.skip(imprint)?;
    require(der.at <= content_end)
}

struct Der<'d> {
    data: &'d [u8],
    at: usize,
}

impl Der<'_> {
    /// Where the content of the value here ends; goes to where it begins.
    fn enter(&mut self, tag: u8) -> Found<usize> {
        let byte = |at: usize| self.data.get(at).copied().ok_or(Otherwise);
        require(byte(self.at)? == tag)?;
        let (length, start) = match byte(self.at + 1)? {
            0x82 => (usize::from(byte(self.at + 2)?) << 8 | usize::from(byte(self.at + 3)?), self.at + 4),
            0x81 => (usize::from(byte(self.at + 2)?), self.at + 3),
            short if short < 0x80 => (usize::from(short), self.at + 2),
            _ => return Err(Otherwise),
        };
        require(start + length <= self.data.len())?;
        self.at = start;
        Ok(start + length)
    }

    /// The same for a value that ends at `end`, together with everything that encloses it.
    fn enter_last(&mut self, tag: u8, end: usize) -> Found<()> {
        require(self.enter(tag)? == end)
    }

    /// Goes behind the value here.
    fn pass(&mut self, tag: u8) -> Found<()> {
        self.at = self.enter(tag)?;
        Ok(())
    }

    /// Goes behind these bytes, which must stand here.
    fn skip(&mut self, expected: &[u8]) -> Found<()> {
        require(self.data[self.at..].starts_with(expected))?;
        self.at += expected.len();
        Ok(())
    }
}
