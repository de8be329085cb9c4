//! The account of an update before anything is signed.

use std::sync::RwLock;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_readback::{Account, Look, Otherwise, Piece};

use crate::bytes::Document;
use crate::guarded;
use crate::hash::Hash;

/// Appearances of marks that were judged in full.
#[pyclass(module = "sealcore.compiled.core", frozen)]
#[derive(Default)]
pub struct Looks(pub RwLock<vermilion_readback::Looks>);

/// Picture, width, height, slice, slices, rotation, whether it may be opaque.
type Key = ([u8; 32], i64, i64, u32, u32, u16, bool);

/// Bytes as they stand, or the index of the object that is referred to.
#[derive(FromPyObject)]
pub enum PyPiece {
    Object(u64),
    Bytes(Vec<u8>),
}

#[pymethods]
impl Looks {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Keeps an appearance: its body before and behind the number of the picture's last object, and the bodies of the picture's objects.
    fn learn(&self, look: Key, before: Vec<u8>, behind: Vec<u8>, picture: Vec<Vec<PyPiece>>) {
        let (picture_sha256, width, height, slice, slices, rotation, opaque) = look;
        let look = Look { picture: picture_sha256, width, height, slice, slices, rotation, opaque };
        let piece = |each| match each {
            PyPiece::Object(index) => Piece::Object(index),
            PyPiece::Bytes(bytes) => Piece::Bytes(bytes),
        };
        let picture = picture.into_iter().map(|pieces| pieces.into_iter().map(piece).collect()).collect();
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).learn(look, before, behind, picture);
    }
}

/// Page, corners in millipoints, SHA-256 of the picture, slice, slices.
type Mark = (usize, [i64; 4], [u8; 32], u32, u32);

/// What an update is to hold.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Expected(pub vermilion_readback::Plan);

#[pymethods]
impl Expected {
    /// `time` is the signing time as PDF date; `texts` name, reason, location and contact.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        field_name: String,
        time: String,
        marks: Vec<Mark>,
        texts: [String; 4],
        certification: u8,
        hole_size_bytes: usize,
        writer_version: String,
        owner_name: String,
    ) -> Self {
        let mark = |(page, rectangle, picture, slice, slices)| vermilion_readback::Mark { page, rectangle, picture, slice, slices };
        Self(vermilion_readback::Plan {
            field_name,
            time_text: time,
            marks: marks.into_iter().map(mark).collect(),
            texts,
            certification,
            hole_size_bytes,
            writer_version,
            owner_name,
        })
    }
}

/// Index of the mark, number of the appearance's object, rotation, whether it may be opaque.
type Unjudged = (usize, u64, u16, bool);

/// Number of an object, and where its body is in the update.
type Body = (u64, usize, usize);

/// What an update was found to be.
#[derive(IntoPyObject)]
pub enum Outcome<'py> {
    /// The hole, and the one digest that may be signed.
    Holds((usize, usize, Bound<'py, PyBytes>)),
    /// Appearances to be judged, and the update's objects.
    Unjudged((Vec<Unjudged>, Vec<Body>)),
    /// For the general account.
    Otherwise(Option<u8>),
}

/// Accounts for `suffix`, an update of `document`, whose bytes `hash` has taken in.
#[pyfunction]
pub fn account<'py>(
    py: Python<'py>,
    document: &Bound<'py, PyAny>,
    hash: &Hash,
    suffix: &[u8],
    expected: &Expected,
    looks: &Looks,
) -> PyResult<Outcome<'py>> {
    let document = Document::of(document)?;
    let bytes = document.as_slice();
    let found = py.detach(|| {
        let looks = looks.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let account = || vermilion_readback::account(bytes, suffix, &expected.0, &looks);
        let found = guarded(account, Otherwise)?;
        let Account::Holds(start, end) = found else { return Ok((found, Vec::new())) };
        let mut state = hash.state.clone();
        state.update(&suffix[..start]);
        state.update(&suffix[end..]);
        Ok((found, state.finish()))
    });
    Ok(match found {
        Ok((Account::Holds(start, end), digest)) => Outcome::Holds((start, end, PyBytes::new(py, &digest))),
        Ok((Account::Unjudged(looks, bodies), _)) => {
            Outcome::Unjudged((looks.into_iter().map(|look| (look.mark, look.number, look.rotation, look.opaque)).collect(), bodies))
        }
        Err(Otherwise) => Outcome::Otherwise(None),
    })
}
