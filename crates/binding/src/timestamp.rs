//! Time-stamp tokens, and what asks for them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_cms::der::NotDer;
use vermilion_cms::{Algorithm, Certificate, Draft, Request};

use crate::guarded;

/// What all tokens of a unit have in common.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct TokenTemplate(vermilion_cms::TokenTemplate);

/// A token that is to be signed.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct TokenDraft {
    template: Py<TokenTemplate>,
    draft: Draft,
}

#[pymethods]
impl TokenTemplate {
    /// `kind` is rsa, p-256 or p-384; `policy` and `accuracy` are DER. ValueError where the certificate is not DER.
    #[new]
    fn new(kind: &str, certificate: &[u8], issuing: Vec<Vec<u8>>, policy: &[u8], accuracy: &[u8]) -> PyResult<Self> {
        let algorithm = match kind {
            "rsa" => Algorithm::Rsa,
            "p-256" => Algorithm::P256,
            "p-384" => Algorithm::P384,
            _ => return Err(PyValueError::new_err("no key that tokens are made with")),
        };
        let certificate = Certificate::read(certificate).map_err(|fault| PyValueError::new_err(fault.0))?;
        let issuing: Vec<&[u8]> = issuing.iter().map(Vec::as_slice).collect();
        Ok(Self(vermilion_cms::TokenTemplate::new(&certificate, &issuing, algorithm, policy, accuracy)))
    }

    /// Over an encoded MessageImprint; `serial` big-endian, time in microseconds since 1970, `nonce` the DER of an INTEGER.
    fn draft(slf: Py<Self>, imprint: &[u8], serial: &[u8], time_us: u64, nonce: Option<&[u8]>) -> PyResult<TokenDraft> {
        let draft = slf.get().0.draft(imprint, serial, time_us, nonce.unwrap_or_default());
        let draft = draft.ok_or_else(|| PyValueError::new_err("the token's digest is not of the unit's hash"))?;
        Ok(TokenDraft { template: slf, draft })
    }
}

#[pymethods]
impl TokenDraft {
    /// What the key signs.
    #[getter]
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.draft.digest)
    }

    /// DER of the token with this signature.
    fn token<'py>(&self, py: Python<'py>, signature: &[u8], with_certificates: bool) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.template.get().0.token(&self.draft, signature, with_certificates))
    }
}

type Asked<'py> = (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>, bool);

/// MessageImprint and nonce (DER) of a TimeStampReq, and whether it wants certificates; none where it gets no token.
#[pyfunction]
pub fn timestamp_request<'py>(py: Python<'py>, data: &[u8], policy: &[u8]) -> Option<Asked<'py>> {
    let read = guarded(|| Request::read(data, policy), NotDer("the core failed"));
    let Request { imprint, nonce, wants_certificates } = read.ok()?;
    let nonce = (!nonce.is_empty()).then(|| PyBytes::new(py, nonce));
    Some((PyBytes::new(py, imprint), nonce, wants_certificates))
}
