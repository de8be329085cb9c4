//! What signatures are made of besides the document: the CMS of a PAdES signature, spliced from DER pieces that are encoded once per key.
//!
//! Writes only. What was written is judged by `vermilion-readback`, which shares no code with this crate.

pub mod der;
mod hole;
mod template;

pub use hole::filled;
pub use template::{Algorithm, Attributes, Certificate, Template};
