//! What is to be done with a document, as both the writer and the last safeguard take it, each in its own type.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// A registered picture, read once.
#[pyclass(module = "sealcore.compiled.core", frozen)]
#[derive(Clone)]
pub struct Picture {
    read: Arc<vermilion_lean::Picture>,
    sha256: [u8; 32],
}

#[pymethods]
impl Picture {
    /// From a PDF of one page and its SHA-256; ValueError where the writer does not understand it.
    #[new]
    fn new(source: &[u8], sha256: [u8; 32]) -> PyResult<Self> {
        let read = vermilion_lean::Picture::read(source).map_err(|fault| PyValueError::new_err(fault.0))?;
        Ok(Self { read: Arc::new(read), sha256 })
    }
}

type Mark = (usize, [i64; 4], usize, u32, u32);

/// Everything that determines an update besides the document.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Plan {
    pub writer: vermilion_lean::Plan,
    pub safeguard: vermilion_readback::Plan,
    pub pictures: Vec<Arc<vermilion_lean::Picture>>,
}

#[pymethods]
impl Plan {
    /// `marks` are page, corners in millipoints, index among `pictures`, slice, slices; `times` the signing time as PDF date and in ISO 8601;
    /// `texts` name, reason, location and contact.
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
        if marks.iter().any(|mark| mark.2 >= pictures.len()) {
            return Err(PyValueError::new_err("a mark names a picture that is not at hand"));
        }
        let safeguard = vermilion_readback::Plan {
            field_name: field_name.clone(),
            time_text: times.0.clone(),
            marks: marks
                .iter()
                .map(|&(page, rectangle, picture, slice, slices)| vermilion_readback::Mark {
                    page,
                    rectangle,
                    picture: pictures[picture].sha256,
                    slice,
                    slices,
                })
                .collect(),
            texts: texts.clone(),
            certification,
            hole_size_bytes,
            writer_version: writer_version.clone(),
            owner_name: owner_name.clone(),
        };
        let [name, reason, location, contact] = texts;
        let writer = vermilion_lean::Plan {
            field_name,
            time_text: times.0,
            time_iso: times.1,
            marks: marks
                .into_iter()
                .map(|(page, rectangle, picture, number, of)| vermilion_lean::Mark {
                    page,
                    rectangle,
                    picture,
                    slice: vermilion_lean::Slice { number, of },
                })
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
        Ok(Self { writer, safeguard, pictures: pictures.iter().map(|each| each.read.clone()).collect() })
    }
}
