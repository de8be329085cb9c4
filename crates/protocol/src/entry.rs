//! The ledger's entries of uses: what is public for ever about one seal, with people and forms only as salted commitments.
//!
//! Deterministic CBOR: shorter keys first, then bytewise. Absent facts are left out.

use sha2::{Digest, Sha256};

use crate::cbor::{push, push_text, ARRAY, MAP, UNSIGNED};
use crate::merkle::Hash;

const ENTRY: &[u8] = b"vermilion-entry-v1";
const COMMITMENT: &[u8] = b"vermilion-commitment-v1";
const SIGNATURE: &[u8] = b"vermilion-sig-v1";
const TIMESTAMP: &[u8] = b"vermilion-tst-v1";
const VERSION: u64 = 1;
const MOST_BYTES: usize = 65_535; // tlog-tiles: an entry's length is a big-endian uint16

/// Of the salt of one commitment.
pub const SALT_BYTES: usize = 32;
/// What an entry commits to, in the order of deterministic CBOR.
pub const COMMITMENTS: [&str; 3] = ["form", "people", "policy"];

/// SHA-256(`vermilion-sig-v1` ‖ signature value): by this a stranger finds the entry.
pub fn signature_hash(signature: &[u8]) -> Hash {
    labelled(SIGNATURE, signature)
}

/// SHA-256(`vermilion-tst-v1` ‖ DER of the TimeStampToken).
pub fn timestamp_hash(token: &[u8]) -> Hash {
    labelled(TIMESTAMP, token)
}

fn labelled(label: &[u8], data: &[u8]) -> Hash {
    Sha256::new().chain_update(label).chain_update(data).finalize().into()
}

/// What the entries of uses have in common that share a token, a time and an end.
#[derive(Clone, Debug)]
pub struct Uses {
    is_seal: bool,
    members: u64,
    before_leaf: Vec<u8>,
    before_index: Vec<u8>,
    values: Vec<(&'static str, String)>,
}

/// What one entry says.
#[derive(Clone, Copy, Debug)]
pub struct Use<'d> {
    /// Of the leaf in its manifest.
    pub leaf_hash: &'d Hash,
    /// Of the use.
    pub index: u64,
    /// Of the attempt.
    pub attempts: u64,
    /// See `signature_hash`; left out of a void.
    pub signature_hash: &'d Hash,
    /// See `timestamp_hash`; left out of a void.
    pub timestamp_hash: &'d Hash,
    /// One for each commitment, in order.
    pub salts: &'d [u8],
}

impl Uses {
    /// `values` are what each entry commits to, in the order of `COMMITMENTS`; none for one that is absent.
    pub fn new(is_seal: bool, time_us: u64, jti_hash: &Hash, spki_sha256: &Hash, values: [Option<String>; 3]) -> Self {
        let values: Vec<_> = COMMITMENTS.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect();
        let mut before_leaf = Vec::new();
        push_hash(&mut before_leaf, "jti", jti_hash);
        push_text(&mut before_leaf, "kind");
        push_text(&mut before_leaf, if is_seal { "seal" } else { "void" });
        let mut before_index = Vec::new();
        push_hash(&mut before_index, "spki", spki_sha256);
        push_text(&mut before_index, "time");
        push(&mut before_index, UNSIGNED, time_us);
        let members = 8 + if is_seal { 2 } else { 0 } + u64::from(!values.is_empty());
        Self { is_seal, members, before_leaf, before_index, values }
    }

    /// How many bytes of salt each entry takes.
    pub fn salts_bytes(&self) -> usize {
        SALT_BYTES * self.values.len()
    }

    /// One byte that says for which commitments there is a salt, the first in the lowest bit.
    pub fn salts_head(&self) -> u8 {
        COMMITMENTS.iter().enumerate().fold(0, |bits, (bit, name)| bits | u8::from(self.values.iter().any(|(held, _)| held == name)) << bit)
    }

    /// The bytes that are logged; none above 65,535, or with other salts than `salts_bytes` says.
    pub fn encode<'w>(&self, one: &Use, warnings: impl ExactSizeIterator<Item = &'w str>) -> Option<Vec<u8>> {
        if one.salts.len() != self.salts_bytes() {
            return None;
        }
        let mut to = Vec::with_capacity(512);
        to.extend_from_slice(ENTRY);
        push(&mut to, MAP, self.members + u64::from(warnings.len() > 0));
        to.extend_from_slice(&self.before_leaf);
        push_hash(&mut to, "leaf", one.leaf_hash);
        to.extend_from_slice(&self.before_index);
        for (name, value) in [("index", one.index), ("version", VERSION), ("attempts", one.attempts)] {
            push_text(&mut to, name);
            push(&mut to, UNSIGNED, value);
        }
        if warnings.len() > 0 {
            push_text(&mut to, "warnings");
            push(&mut to, ARRAY, warnings.len() as u64);
            warnings.for_each(|warning| push_text(&mut to, warning));
        }
        if self.is_seal {
            push_hash(&mut to, "signature", one.signature_hash);
            push_hash(&mut to, "timestamp", one.timestamp_hash);
        }
        if !self.values.is_empty() {
            push_text(&mut to, "commitments");
            push(&mut to, MAP, self.values.len() as u64);
        }
        for ((name, value), salt) in self.values.iter().zip(one.salts.chunks_exact(SALT_BYTES)) {
            let commitment = Sha256::new().chain_update(COMMITMENT).chain_update(salt).chain_update(value.as_bytes()).finalize();
            push_hash(&mut to, name, &commitment.into());
        }
        (to.len() <= MOST_BYTES).then_some(to)
    }
}

fn push_hash(to: &mut Vec<u8>, name: &str, value: &Hash) {
    push_text(to, name);
    to.extend([0x58, 0x20]);
    to.extend_from_slice(value);
}
