//! Proving signatures and time-stamp tokens.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vermilion_proofs::{Covered, Otherwise, Signature, Token};

use crate::bytes::Document;
use crate::guarded;

type Bytes<'py> = Bound<'py, PyBytes>;
/// Signer, further certificates, genTime in microseconds since 1970, name of the imprint's hash.
type Stamped<'py> = (Bytes<'py>, Vec<Bytes<'py>>, i64, &'static str);
/// Signer, further certificates, timestamps.
type Signed<'py> = (Bytes<'py>, Vec<Bytes<'py>>, Vec<Stamped<'py>>);
/// Token, signer, name of the imprint's hash, imprint, nonce, policy, genTime and accuracy in microseconds.
type Answered<'py> = (Bytes<'py>, Bytes<'py>, &'static str, Bytes<'py>, Option<Bytes<'py>>, Bytes<'py>, i64, u64);

enum Proof<'c> {
    Signature(Signature<'c>),
    Timestamp(Token<'c>),
}

/// A signature, or a document timestamp.
#[derive(IntoPyObject)]
pub enum Proven<'py> {
    Signature(Signed<'py>),
    Timestamp(Stamped<'py>),
}

/// Of each signature (value of /Contents, whether it is a document timestamp, byte range) what it proves; none where the general way has to judge.
#[pyfunction]
pub fn prove<'py>(
    py: Python<'py>,
    document: &Bound<'py, PyAny>,
    signed: Vec<(Bound<'py, PyBytes>, bool, [usize; 4])>,
) -> PyResult<Vec<Option<Proven<'py>>>> {
    let document = Document::of(document)?;
    let bytes = document.as_slice();
    let given: Vec<_> =
        signed.iter().map(|(contents, is_timestamp, byte_range)| (contents.as_bytes(), *is_timestamp, *byte_range)).collect();
    let proofs: Vec<_> = py.detach(|| given.into_iter().map(|one| guarded(|| proof(bytes, one), Otherwise)).collect());
    Ok(proofs.into_iter().map(|proof| proof.ok().map(|proof| told(py, proof))).collect())
}

fn proof<'c>(document: &[u8], (contents, is_timestamp, byte_range): (&'c [u8], bool, [usize; 4])) -> Result<Proof<'c>, Otherwise> {
    let covered = Covered::of(document, byte_range)?;
    Ok(if is_timestamp {
        Proof::Timestamp(vermilion_proofs::document_timestamp(&covered, contents)?)
    } else {
        Proof::Signature(vermilion_proofs::signature(&covered, contents)?)
    })
}

fn told<'py>(py: Python<'py>, proof: Proof) -> Proven<'py> {
    match proof {
        Proof::Timestamp(token) => Proven::Timestamp(stamped(py, token)),
        Proof::Signature(Signature { signer, others, tokens }) => {
            let tokens = tokens.into_iter().map(|token| stamped(py, token)).collect();
            Proven::Signature((PyBytes::new(py, signer), all(py, &others), tokens))
        }
    }
}

fn stamped<'py>(py: Python<'py>, token: Token) -> Stamped<'py> {
    (PyBytes::new(py, token.signer), all(py, &token.others), token.time_us, token.imprint_hash.name())
}

fn all<'py>(py: Python<'py>, parts: &[&[u8]]) -> Vec<Bytes<'py>> {
    parts.iter().map(|part| PyBytes::new(py, part)).collect()
}

/// What a time-stamping authority granted (TimeStampResp), and whose signature on the token verifies; none where the general way has to judge.
#[pyfunction]
pub fn timestamp_answer<'py>(py: Python<'py>, data: &[u8]) -> Option<Answered<'py>> {
    let answer = py.detach(|| guarded(|| vermilion_proofs::answer(data), Otherwise)).ok()?;
    let token = answer.token;
    let bytes = |part: &[u8]| PyBytes::new(py, part);
    (!token.has_extensions).then(|| {
        let (nonce, policy) = (token.nonce.map(bytes), bytes(token.policy));
        let (hash, imprint) = (token.imprint_hash.name(), bytes(token.imprint));
        (bytes(answer.encoded), bytes(token.signer), hash, imprint, nonce, policy, token.time_us, token.accuracy_us)
    })
}
