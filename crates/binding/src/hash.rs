//! States of hashes, as those of `hashlib`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Document;

/// The state of a hash after some bytes. Copies go on; this one stays as it is.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Hash {
    pub state: vermilion_lean::Hash,
    #[pyo3(get)]
    pub name: String,
}

#[pymethods]
impl Hash {
    /// After `data`; ValueError where no seal is made with a hash of that name.
    #[new]
    fn new(py: Python, name: &str, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = Document::of(data)?;
        let bytes = data.as_slice();
        let mut state = vermilion_lean::Hash::named(name).ok_or_else(|| PyValueError::new_err(format!("no seal is made with {name}")))?;
        py.detach(|| state.update(bytes));
        Ok(Self { state, name: name.to_owned() })
    }

    /// The digest of these bytes and `data`.
    #[pyo3(signature = (data = None))]
    fn digest<'py>(&self, py: Python<'py>, data: Option<&[u8]>) -> Bound<'py, PyBytes> {
        let mut state = self.state.clone();
        state.update(data.unwrap_or_default());
        PyBytes::new(py, &state.finish())
    }
}
