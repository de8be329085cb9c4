//! The leaf: one document of a batch, and exactly how it is to be sealed.

use crate::cbor::{push, push_text, MAP, UNSIGNED};
use crate::merkle::{self, Hash};

const LABEL: &[u8] = b"vermilion-leaf-v1";

/// A leaf. `placement` are the two parts of its CBOR that say how the document is sealed: before and behind the document's own members.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'d> {
    /// Hides it from who sees only the tree.
    pub salt: &'d [u8; 16],
    /// Its place.
    pub index: u64,
    /// Of the batch.
    pub size: u64,
    /// Of the document.
    pub document_sha256: &'d Hash,
    /// Length of the document.
    pub document_size_bytes: u64,
    /// Level, marks and texts; certification.
    pub placement: (&'d [u8], &'d [u8]),
}

impl Leaf<'_> {
    /// SHA-256(0x00 ‖ `vermilion-leaf-v1` ‖ deterministic CBOR of nine members).
    pub fn hash(&self) -> Hash {
        let mut head = Vec::with_capacity(96);
        head.extend_from_slice(LABEL);
        push(&mut head, MAP, 9);
        push_text(&mut head, "salt");
        head.push(0x50);
        head.extend_from_slice(self.salt);
        for (name, value) in [("size", self.size), ("index", self.index)] {
            push_text(&mut head, name);
            push(&mut head, UNSIGNED, value);
        }
        let mut document = Vec::with_capacity(64);
        push_text(&mut document, "length");
        push(&mut document, UNSIGNED, self.document_size_bytes);
        push_text(&mut document, "sha256");
        document.extend([0x58, 0x20]);
        document.extend_from_slice(self.document_sha256);
        merkle::leaf_hash(&[&head, self.placement.0, &document, self.placement.1])
    }
}
