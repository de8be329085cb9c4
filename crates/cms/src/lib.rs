//! What signatures are made of besides the document: the CMS of PAdES signatures and of time-stamp tokens, spliced from DER pieces that are encoded
//! once per key, and the requests for tokens.
//!
//! Writes only. What was written is judged by `vermilion-readback`, which shares no code with this crate.

pub mod der;
mod hole;
mod template;
mod timestamp;

pub use hole::filled;
pub use template::{Algorithm, Attributes, Certificate, Template};
pub use timestamp::{Draft, Request, TokenTemplate};
