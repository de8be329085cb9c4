//! The CMS of seals.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_cms::{Algorithm, Certificate, Template};

/// What all signatures of one seal key under one certificate have in common.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct SealTemplate(pub Template);

#[pymethods]
impl SealTemplate {
    /// `kind` is rsa, p-256 or p-384; `issuing` are the certificates that are sent along. ValueError where the certificate is not DER.
    #[new]
    fn new(kind: &str, certificate: &[u8], issuing: Vec<Vec<u8>>) -> PyResult<Self> {
        let algorithm = match kind {
            "rsa" => Algorithm::Rsa,
            "p-256" => Algorithm::P256,
            "p-384" => Algorithm::P384,
            _ => return Err(PyValueError::new_err("no key that seals are made with")),
        };
        let certificate = Certificate::read(certificate).map_err(|fault| PyValueError::new_err(fault.0))?;
        let issuing: Vec<&[u8]> = issuing.iter().map(Vec::as_slice).collect();
        Ok(Self(Template::new(&certificate, &issuing, algorithm)))
    }

    /// DER of the SET OF signed attributes over `digest`: this is what the key signs.
    fn signed_attributes<'py>(&self, py: Python<'py>, digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.0.signed_attributes(digest).map(|made| PyBytes::new(py, &made)).ok_or_else(other_size)
    }

    /// DER of the whole ContentInfo with this signature and timestamp token.
    fn assemble<'py>(&self, py: Python<'py>, digest: &[u8], signature: &[u8], token: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.0.assemble(digest, signature, token).map(|made| PyBytes::new(py, &made)).ok_or_else(other_size)
    }
}

fn other_size() -> PyErr {
    PyValueError::new_err("the digest is of another hash")
}
