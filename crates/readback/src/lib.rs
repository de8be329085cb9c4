//! The last safeguard: what a writer prepared is held against document and plan before anything is signed, and what was sealed is read back
//! before it is released.
//!
//! Shares no code with the writers, so that a fault or a takeover there does not blind it here. It never refuses by itself: what it does not
//! recognise is judged by the general account, in full.

mod account;
mod document;
mod looks;
mod metadata;
mod pages;
mod references;
mod seal;
mod structure;
mod syntax;
mod update;

pub use account::{account, Account, Mark, Plan, Unjudged};
pub use looks::{Look, Looks, Piece};
pub use seal::{seals, Accounted, Constants, Key};
pub use syntax::Otherwise;
