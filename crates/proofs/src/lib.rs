//! What signatures prove: that they are whole, who made them, and by which time-stamp tokens they are known to have existed (RFC 5652, RFC 3161).
//!
//! Understands, strictly, what today's signers and time-stamping authorities make. Anything else, and whatever does not hold, is left to the
//! general way, which says what is wrong. Trust is not judged here. Shares no code with what writes signatures and tokens.

mod certificate;
mod der;
mod hash;
mod key;
mod signature;
mod signed;
mod token;

pub use hash::Hash;
pub use signature::{signature, Covered, Signature};
pub use token::{answer, document_timestamp, Answer, Token};

/// The general way has to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Otherwise;

/// What was understood and holds.
pub type Found<T> = Result<T, Otherwise>;

fn require(holds: bool) -> Found<()> {
    holds.then_some(()).ok_or(Otherwise)
}
