//! Reading and extending signed documents.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_lean::{Addition, NotLean};

use crate::bytes::Document;
use crate::hash::Hash;
use crate::{guarded, FAILED};

/// Name of the field, whether it is a document timestamp, byte range, contents.
type Signature<'py> = (String, bool, Vec<usize>, Bound<'py, PyBytes>);
type Store<'py> = Vec<Vec<Bound<'py, PyBytes>>>;
type GivenStore = [Vec<Vec<u8>>; 3];

/// What a document holds, or why it is left to the general reader.
#[derive(IntoPyObject)]
pub enum Contents<'py> {
    Read((Vec<Signature<'py>>, Store<'py>)),
    NotLean(&'static str),
}

/// Signatures and DSS of a document.
#[pyfunction]
pub fn read_signed<'py>(py: Python<'py>, document: &Bound<'py, PyAny>) -> PyResult<Contents<'py>> {
    let document = Document::of(document)?;
    let bytes = document.as_slice();
    let read = match py.detach(|| guarded(|| vermilion_lean::read(bytes), FAILED)) {
        Ok(read) => read,
        Err(reason) => return Ok(Contents::NotLean(reason.0)),
    };
    let signature =
        |each: vermilion_lean::Signature| (each.field_name, each.is_timestamp, each.byte_range, PyBytes::new(py, &each.contents));
    let store = read.store.iter().map(|held| held.iter().map(|der| PyBytes::new(py, der)).collect()).collect();
    Ok(Contents::Read((read.signatures.into_iter().map(signature).collect(), store)))
}

/// An update and the byte range of its document timestamp, or why the document is left to the general writer.
#[derive(IntoPyObject)]
pub enum Extended<'py> {
    Written((Bound<'py, PyBytes>, Option<[usize; 4]>)),
    NotLean(&'static str),
}

/// Adds `store` and `vri` to the DSS of a document whose bytes `hash` has taken in, and room for a document timestamp.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn extend<'py>(
    py: Python<'py>,
    document: &Bound<'py, PyAny>,
    hash: &Hash,
    store: GivenStore,
    identifier: Vec<u8>,
    hole_size_bytes: usize,
    vri: Vec<(String, GivenStore)>,
    field_name: String,
    field_label: String,
) -> PyResult<Extended<'py>> {
    let document = Document::of(document)?;
    let bytes = document.as_slice();
    let addition = Addition { store, identifier, hole_size_bytes, vri, field_name, field_label };
    Ok(match py.detach(|| guarded(|| vermilion_lean::extend(bytes, &addition, &hash.state), FAILED)) {
        Ok((suffix, byte_range)) => Extended::Written((PyBytes::new(py, &suffix), byte_range)),
        Err(NotLean(reason)) => Extended::NotLean(reason),
    })
}
