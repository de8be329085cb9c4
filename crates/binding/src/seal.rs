//! Reading sealed updates back.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use vermilion_readback::{Accounted, Constants, Key, Otherwise};

use crate::guarded;

/// What all seals of one key have in common.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct SealConstants(pub Constants);

#[pymethods]
impl SealConstants {
    /// `kind` is rsa, p-256 or p-384; `key` PKCS#1 DER, or an uncompressed point.
    #[new]
    fn new(
        kind: &str,
        key: Vec<u8>,
        head: Vec<u8>,
        signer_head: Vec<u8>,
        attributes_before: Vec<u8>,
        attributes_after: Vec<u8>,
        algorithm: Vec<u8>,
    ) -> PyResult<Self> {
        let key = match kind {
            "rsa" => Key::Rsa(key),
            "p-256" => Key::P256(key),
            "p-384" => Key::P384(key),
            _ => return Err(PyValueError::new_err("no key that seals are made with")),
        };
        Ok(Self(Constants { head, signer_head, attributes_before, attributes_after, algorithm, key }))
    }
}

/// Whether `sealed` is the accounted update with a valid seal of the known key in its hole; false where the general way has to judge.
#[pyfunction]
pub fn seals(py: Python, update: &[u8], hole: (usize, usize), digest: &[u8], sealed: &[u8], constants: &SealConstants) -> bool {
    let accounted = Accounted { update, hole, digest };
    let judged = || vermilion_readback::seals(&accounted, sealed, &constants.0);
    py.detach(|| guarded(judged, Otherwise)).is_ok()
}
