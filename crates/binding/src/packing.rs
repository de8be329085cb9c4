//! Suffixes as they are stored and sent.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};
use vermilion_protocol::packing::{packed, Packed, Part};

use crate::guarded;

/// What signatures of one kind have in common, in the order in which it occurs.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Parts(Vec<Part>);

#[pymethods]
impl Parts {
    #[new]
    fn new(contents: Vec<PyBackedBytes>) -> Self {
        Self(contents.iter().map(|content| Part::new(content)).collect())
    }
}

/// Before, stretches, places of the parts, zeros, after; and all of it as it is stored.
type Fields<'py> = (Bound<'py, PyBytes>, Bound<'py, PyTuple>, Vec<usize>, usize, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Packs suffixes; none for one that is kept as it is.
#[pyfunction]
pub fn pack_all<'py>(py: Python<'py>, jobs: Vec<(PyBackedBytes, PyRef<'py, Parts>)>) -> PyResult<Vec<Option<Fields<'py>>>> {
    let works: Vec<(&[u8], &[Part])> = jobs.iter().map(|(suffix, parts)| (&**suffix, &*parts.0)).collect();
    let pack = |(suffix, known)| {
        let one: Packed = packed(suffix, known).ok_or(())?;
        let stored = one.stored(known).ok_or(())?;
        Ok((one, stored))
    };
    let made: Vec<Option<(Packed, Vec<u8>)>> = py.detach(|| works.iter().map(|&work| guarded(|| pack(work), ()).ok()).collect());
    let bytes = |content: &[u8]| PyBytes::new(py, content);
    made.into_iter()
        .map(|each| {
            let Some((one, stored)) = each else { return Ok(None) };
            let stretches = PyTuple::new(py, one.stretches.iter().map(|stretch| bytes(stretch)))?;
            Ok(Some((bytes(one.before), stretches, one.parts, one.zeros, bytes(one.after), bytes(&stored))))
        })
        .collect()
}
