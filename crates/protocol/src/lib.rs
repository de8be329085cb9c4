//! What is hashed and stored of a batch besides the documents: leaves and their proofs, the ledger's entries and its tree.
//!
//! The model is `sealcore.protocol`, which clients and machines without the core use; the published vectors hold for both.

mod cbor;
pub mod entry;
pub mod leaf;
pub mod merkle;
pub mod packing;
