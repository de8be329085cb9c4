//! The update of a document.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Document;
use crate::hash::Hash;
use crate::plan::Plan;
use crate::{guarded, FAILED};

/// Suffix, byte range, digest, name of the field, numbers of the warnings.
type Prepared<'py> = (Bound<'py, PyBytes>, [usize; 4], Bound<'py, PyBytes>, String, Vec<u8>);

/// An update, or why the document is left to the general writer.
#[derive(IntoPyObject)]
pub enum Outcome<'py> {
    Prepared(Prepared<'py>),
    NotLean(&'static str),
}

/// Prepares `document`, whose bytes `hash` has taken in. A document that makes this writer fail is left to the general one.
#[pyfunction]
pub fn prepare<'py>(py: Python<'py>, document: &Bound<'py, PyAny>, hash: &Hash, plan: &Plan) -> PyResult<Outcome<'py>> {
    let document = Document::of(document)?;
    let bytes = document.as_slice();
    let pictures: Vec<&vermilion_lean::Picture> = plan.pictures.iter().map(AsRef::as_ref).collect();
    let prepared = py.detach(|| guarded(|| vermilion_lean::prepare(bytes, &plan.plan, &pictures, &hash.state), FAILED));
    Ok(match prepared {
        Ok(each) => Outcome::Prepared((
            PyBytes::new(py, &each.suffix),
            each.byte_range,
            PyBytes::new(py, &each.digest),
            each.field_name,
            each.warnings.iter().map(|&warning| warning as u8).collect(),
        )),
        Err(reason) => Outcome::NotLean(reason.0),
    })
}
