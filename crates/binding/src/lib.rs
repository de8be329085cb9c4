//! What Python calls: whole batches, without the interpreter's lock.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_lean::{Hash, Mark, Picture, Plan, Slice};

/// The state of a hash after some bytes, as those of `hashlib`.
#[pyclass(module = "vermilion_core", frozen)]
struct HashState(Hash);

#[pymethods]
impl HashState {
    #[new]
    fn new(name: &str, data: &[u8]) -> PyResult<Self> {
        let mut state = Hash::named(name).ok_or_else(|| PyValueError::new_err(format!("no hash of ours: {name}")))?;
        state.update(data);
        Ok(Self(state))
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.clone().finish())
    }
}

#[pyclass(module = "vermilion_core", name = "Picture", frozen)]
struct PyPicture(Picture);

#[pymethods]
impl PyPicture {
    #[new]
    fn new(source: &[u8]) -> PyResult<Self> {
        Picture::read(source).map(Self).map_err(|fault| PyValueError::new_err(fault.0))
    }
}

type PyMark = (usize, (i64, i64, i64, i64), usize, (u32, u32));

#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn prepare_one<'py>(
    py: Python<'py>,
    document: &[u8],
    state: &HashState,
    texts: (String, String, String, String, String, String, String, String, String),
    marks: Vec<PyMark>,
    pictures: Vec<PyRef<'py, PyPicture>>,
    certification: u8,
    bound: Option<u8>,
    hole_size_bytes: usize,
    strict: bool,
) -> PyResult<(Bound<'py, PyBytes>, [usize; 4], Bound<'py, PyBytes>, String, Vec<u8>)> {
    let (field_name, time_text, time_iso, name, reason, location, contact, writer_version, owner_name) = texts;
    let plan = Plan {
        field_name,
        time_text,
        time_iso,
        marks: marks
            .into_iter()
            .map(|(page, (a, b, c, d), picture, (number, of))| Mark { page, rectangle: [a, b, c, d], picture, slice: Slice { number, of } })
            .collect(),
        name,
        reason,
        location,
        contact,
        certification,
        bound,
        hole_size_bytes,
        strict,
        writer_version,
        owner_name,
    };
    let pictures: Vec<&Picture> = pictures.iter().map(|each| &each.0).collect();
    let prepared =
        vermilion_lean::prepare(document, &plan, &pictures, &state.0).map_err(|fault| PyValueError::new_err(fault.0))?;
    Ok((
        PyBytes::new(py, &prepared.suffix),
        prepared.byte_range,
        PyBytes::new(py, &prepared.digest),
        prepared.field_name,
        prepared.warnings.iter().map(|each| *each as u8).collect(),
    ))
}

#[pymodule]
fn vermilion_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<HashState>()?;
    module.add_class::<PyPicture>()?;
    module.add_function(wrap_pyfunction!(prepare_one, module)?)
}
