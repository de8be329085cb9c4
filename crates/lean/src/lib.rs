//! Prepares PDF documents for sealing: an incremental update with an empty hole for the signature (ISO 32000-2 §7.5.6, §12.8).
//!
//! For documents without any oddity, which most are. Whatever is not fully understood is left to the general writer, which works in a
//! sandbox: strictness here costs speed and nothing else.
//!
//! Every number is checked before it is used and every loop is bounded, because anybody may have written the documents.

mod conformance;
mod content;
mod deep;
mod dictionary;
mod file;
mod form;
mod hash;
mod marks;
mod numbers;
mod picture;
mod prepare;
mod scan;
mod sections;
mod signatures;
mod store;
mod structure;
mod text;
mod tree;
mod update;

pub use hash::Hash;
pub use marks::{Mark, Slice};
pub use picture::Picture;
pub use prepare::prepare;
pub use signatures::{read, Contents, Signature};
pub use store::{extend, Addition, Store};

/// The document is not one that is understood here; the text says why, for tests and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLean(pub &'static str);

impl std::fmt::Display for NotLean {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.0)
    }
}

impl std::error::Error for NotLean {}

/// What readers may show differently later, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Warning {
    /// The document contains JavaScript.
    JavaScript,
    /// It can start programs or open other files.
    Launch,
    /// It keeps parts of its content outside the file.
    External,
    /// It has layers that are hidden or shown by circumstance.
    Hidden,
    /// It contains sound, film or 3-D content.
    Multimedia,
    /// Its form is drawn by XFA alone.
    DynamicForm,
    /// It asks readers to redraw its form fields.
    RedrawnForm,
    /// It carries a signature already, and gets further marks.
    MarkedLater,
    /// The seal's picture is one that PDF/A forbids.
    PdfaLost,
    /// The seal is not part of the structure of a document that is to be PDF/UA.
    PdfuaLost,
}

/// Everything that determines the update besides the document itself.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Partial name of the new signature field; made unique where the document has it already.
    pub field_name: String,
    /// The signing time as a PDF date.
    pub time_text: String,
    /// The signing time as ISO 8601 has it, for the identifier.
    pub time_iso: String,
    /// Page by page.
    pub marks: Vec<Mark>,
    /// /Name; left out where empty, as the three below.
    pub name: String,
    /// /Reason.
    pub reason: String,
    /// /Location.
    pub location: String,
    /// /ContactInfo.
    pub contact: String,
    /// Level of DocMDP; 0 for none.
    pub certification: u8,
    /// The only certification that a grant allows.
    pub bound: Option<u8>,
    /// How large a CMS the hole takes.
    pub hole_size_bytes: usize,
    /// Whether content that can change is refused.
    pub strict: bool,
    /// Recorded in /Prop_Build.
    pub writer_version: String,
    /// The seal's owner, for readers that speak.
    pub owner_name: String,
}

/// An update with an empty hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What is appended to the document; the hole is zeros.
    pub suffix: Vec<u8>,
    /// As in the signature dictionary: two pairs of offset and length around the hole.
    pub byte_range: [usize; 4],
    /// Over these two ranges.
    pub digest: Vec<u8>,
    /// The name that the field got.
    pub field_name: String,
    /// What is to be told about the document.
    pub warnings: Vec<Warning>,
}
