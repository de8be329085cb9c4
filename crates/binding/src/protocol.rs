//! Leaves, proofs, and the ledger's entries and tree.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use vermilion_protocol::entry::{Use, Uses};
use vermilion_protocol::leaf::Leaf;
use vermilion_protocol::merkle::{self, Frontier, Hash};

fn hash_of(bytes: &[u8]) -> PyResult<&Hash> {
    bytes.try_into().map_err(|_| PyValueError::new_err("a hash is 32 bytes"))
}

fn hashes_of(bytes: &[PyBackedBytes]) -> PyResult<Vec<Hash>> {
    bytes.iter().map(|each| hash_of(each).copied()).collect()
}

/// Salt, index, SHA-256 and size of the document, the two parts of the placement, inclusion proof.
type ToProve = (PyBackedBytes, u64, PyBackedBytes, u64, (PyBackedBytes, PyBackedBytes), Vec<PyBackedBytes>);

/// The hashes of leaves of a manifest of `size` documents; none for one that its proof does not lead to `root`.
#[pyfunction]
pub fn prove_all<'py>(py: Python<'py>, size: u64, root: &[u8], jobs: Vec<ToProve>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
    let root = hash_of(root)?;
    let proven = |(salt, index, document_sha256, document_size_bytes, placement, proof): &ToProve| {
        let leaf = Leaf {
            salt: (&**salt).try_into().ok()?,
            index: *index,
            size,
            document_sha256: (&**document_sha256).try_into().ok()?,
            document_size_bytes: *document_size_bytes,
            placement: (&placement.0, &placement.1),
        };
        let (hash, proof) = (leaf.hash(), hashes_of_proof(proof)?);
        (merkle::root_from_inclusion(&hash, *index, size, &proof)? == *root).then_some(hash)
    };
    let found: Vec<Option<Hash>> = py.detach(|| jobs.iter().map(proven).collect());
    Ok(found.into_iter().map(|each| each.map(|hash| PyBytes::new(py, &hash))).collect())
}

fn hashes_of_proof(proof: &[PyBackedBytes]) -> Option<Vec<Hash>> {
    proof.iter().map(|each| (&**each).try_into().ok()).collect()
}

/// The hashes of leaves that carry no proof: salt, index, size, SHA-256 and size of the document, the two parts of the placement.
type ToHash = (PyBackedBytes, u64, u64, PyBackedBytes, u64, (PyBackedBytes, PyBackedBytes));

/// The hash of a leaf.
#[pyfunction]
pub fn leaf_hash<'py>(py: Python<'py>, leaf: ToHash) -> PyResult<Bound<'py, PyBytes>> {
    let (salt, index, size, document_sha256, document_size_bytes, placement) = leaf;
    let salt = (&*salt).try_into().map_err(|_| PyValueError::new_err("a leaf's salt is 16 bytes"))?;
    let document_sha256 = hash_of(&document_sha256)?;
    let leaf = Leaf { salt, index, size, document_sha256, document_size_bytes, placement: (&placement.0, &placement.1) };
    Ok(PyBytes::new(py, &leaf.hash()))
}

/// Root, and the inclusion proof of each leaf.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn inclusion_proofs<'py>(
    py: Python<'py>,
    leaves: Vec<PyBackedBytes>,
) -> PyResult<(Bound<'py, PyBytes>, Vec<Vec<Bound<'py, PyBytes>>>)> {
    let leaves = hashes_of(&leaves)?;
    let (root, proofs) = py.detach(|| merkle::inclusion_proofs(&leaves));
    let bytes = |hash: &Hash| PyBytes::new(py, hash);
    Ok((bytes(&root), proofs.iter().map(|proof| proof.iter().map(bytes).collect()).collect()))
}

/// What the entries of uses have in common that share a token, a time and an end.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct UseEntries(Uses);

#[pymethods]
impl UseEntries {
    /// `values` of form, people and policy, which each entry commits to.
    #[new]
    fn new(is_seal: bool, time_us: u64, jti_hash: &[u8], spki_sha256: &[u8], values: [Option<String>; 3]) -> PyResult<Self> {
        Ok(Self(Uses::new(is_seal, time_us, hash_of(jti_hash)?, hash_of(spki_sha256)?, values)))
    }
}

/// What they have in common, leaf hash, index, attempts, hashes of signature and token, warnings.
type ToEnter<'py> = (PyRef<'py, UseEntries>, PyBackedBytes, u64, u64, PyBackedBytes, PyBackedBytes, Vec<PyBackedStr>);
/// The entry, and its salts as they are stored.
type Entered<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Entries with salts from `random`, which has at least 96 bytes for each; ValueError where one would be too long.
#[pyfunction]
pub fn encode_entries<'py>(py: Python<'py>, jobs: Vec<ToEnter<'py>>, random: &[u8]) -> PyResult<Vec<Entered<'py>>> {
    let each = |((kind, leaf_hash, index, attempts, signature, token, warnings), random): (&ToEnter, &[u8])| {
        let salts = random.get(..kind.0.salts_bytes()).unwrap_or_default();
        let one = Use {
            leaf_hash: hash_of(leaf_hash)?,
            index: *index,
            attempts: *attempts,
            signature_hash: hash_of(signature)?,
            timestamp_hash: hash_of(token)?,
            salts,
        };
        let entry = kind.0.encode(&one, warnings.iter().map(|word| &**word));
        let entry = entry.ok_or_else(|| PyValueError::new_err("an entry has at most 65535 bytes, and salts of its own"))?;
        Ok((PyBytes::new(py, &entry), PyBytes::new(py, &[&[kind.0.salts_head()], salts].concat())))
    };
    let rooms = random.chunks(96).chain(std::iter::repeat(&[][..]));
    jobs.iter().zip(rooms).map(each).collect()
}

/// The ledger's frontier with these entries, and their leaf hashes; ValueError for a damaged frontier.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn extend_frontier<'py>(
    py: Python<'py>,
    frontier: &[u8],
    entries: Vec<PyBackedBytes>,
) -> PyResult<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)> {
    let mut frontier = Frontier::decode(frontier).ok_or_else(|| PyValueError::new_err("the stored Merkle frontier is damaged"))?;
    let hashes: Vec<Hash> = py.detach(|| {
        let hashes: Vec<Hash> = entries.iter().map(|entry| merkle::leaf_hash(&[entry])).collect();
        hashes.iter().for_each(|&hash| frontier.push(hash));
        hashes
    });
    Ok((PyBytes::new(py, &frontier.encode()), hashes.iter().map(|hash| PyBytes::new(py, hash)).collect()))
}
