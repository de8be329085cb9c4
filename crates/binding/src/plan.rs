//! What is to be done with a document, as the writer takes it.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A registered picture, read once.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Picture(Arc<vermilion_lean::Picture>);

#[pymethods]
impl Picture {
    /// From a PDF of one page; ValueError where the writer does not understand it.
    #[new]
    fn new(source: &[u8]) -> PyResult<Self> {
        let read = vermilion_lean::Picture::read(source).map_err(|fault| PyValueError::new_err(fault.0))?;
        Ok(Self(Arc::new(read)))
    }
}

/// Page, corners in millipoints, index among the pictures, slice, slices.
type Mark = (usize, [i64; 4], usize, u32, u32);

/// Everything that determines an update besides the document.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Plan {
    pub plan: vermilion_lean::Plan,
    pub pictures: Vec<Arc<vermilion_lean::Picture>>,
}

#[pymethods]
impl Plan {
    /// `times` are the signing time as PDF date and in ISO 8601; `texts` name, reason, location and contact.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        field_name: String,
        times: (String, String),
        marks: Vec<Mark>,
        pictures: Vec<PyRef<Picture>>,
        texts: [String; 4],
        certification: u8,
        bound: Option<u8>,
        hole_size_bytes: usize,
        strict: bool,
        writer_version: String,
        owner_name: String,
    ) -> PyResult<Self> {
        if marks.iter().any(|mark| mark.2 >= pictures.len() || mark.4 == 0) {
            return Err(PyValueError::new_err("a mark names a picture that is not at hand, or a slice that is none"));
        }
        let mark = |(page, rectangle, picture, number, of)| vermilion_lean::Mark {
            page,
            rectangle,
            picture,
            slice: vermilion_lean::Slice { number, of },
        };
        let [name, reason, location, contact] = texts;
        let plan = vermilion_lean::Plan {
            field_name,
            time_text: times.0,
            time_iso: times.1,
            marks: marks.into_iter().map(mark).collect(),
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
        Ok(Self { plan, pictures: pictures.iter().map(|each| each.0.clone()).collect() })
    }
}
