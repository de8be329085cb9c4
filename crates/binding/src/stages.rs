//! The stages of a batch: all of its documents in one call. One that fails, fails alone.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use vermilion_protocol::entry;
use vermilion_readback::{Account, Otherwise};

use crate::account::{Expected, Looks};
use crate::bytes::Document;
use crate::guarded;
use crate::hash::Hash;
use crate::plan::Plan;
use crate::seal::SealConstants;
use crate::template::SealTemplate;

const LONGEST_FIELD_NAME: usize = 127; // ISO 32000-1 Annex C.2, in characters

/// Where a thread notes which document it is reading, in memory that outlives this process.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Reading(File);

#[pymethods]
impl Reading {
    /// In the memory behind this descriptor; OSError where it cannot be opened for writing.
    #[new]
    fn new(descriptor: i32) -> PyResult<Self> {
        Ok(Self(OpenOptions::new().write(true).open(format!("/proc/self/fd/{descriptor}"))?))
    }
}

/// The note of one thread.
struct Note<'r> {
    file: &'r File,
    offset: u64,
}

impl Note<'_> {
    fn begin(&self, document_sha256: &[u8]) -> bool {
        self.file.write_all_at(document_sha256, self.offset).is_ok()
    }
}

/// An update that was accounted for, with its empty hole.
#[pyclass(module = "sealcore.compiled.core", frozen)]
pub struct Accounted {
    #[pyo3(get)]
    hash_name: String,
    #[pyo3(get)]
    hole: (usize, usize),
    update: Vec<u8>,
    digest: Vec<u8>,
    /// Of the writer, by its number.
    warnings: Vec<u8>,
}

#[pymethods]
impl Accounted {
    /// As the general account found it; `hole` is from `<` to behind `>`.
    #[new]
    fn new(update: Vec<u8>, hole: (usize, usize), digest: Vec<u8>, hash_name: String) -> PyResult<Self> {
        if hole.0 + 2 > hole.1 || hole.1 > update.len() {
            return Err(PyValueError::new_err("the hole does not lie in the update"));
        }
        Ok(Self { hash_name, hole, update, digest, warnings: Vec::new() })
    }

    #[getter]
    fn update<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.update)
    }

    #[getter]
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.digest)
    }

    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.warnings)
    }
}

/// Document, its state, what the writer is told, what the account is told, name of the field, SHA-256 of the document.
type ToPrepare<'py> = (Bound<'py, PyAny>, PyRef<'py, Hash>, PyRef<'py, Plan>, PyRef<'py, Expected>, PyBackedStr, PyBackedBytes);

/// What became of a document in the lean way.
#[derive(IntoPyObject)]
pub enum Prepared {
    Accounted(Accounted),
    /// Why it is not lean.
    Left(&'static str),
    /// To be done by itself: what was written has to be accounted for in general, or an appearance be judged.
    Alone(Option<u8>),
}

const ALONE: Prepared = Prepared::Alone(None);

/// One document, as it is worked on without the interpreter's lock.
struct Work<'w> {
    document: &'w [u8],
    hash: &'w Hash,
    plan: &'w Plan,
    expected: &'w Expected,
    field_name: &'w str,
    sha256: &'w [u8],
}

impl<'w> Work<'w> {
    fn of((job, document): (&'w ToPrepare<'_>, &'w Document<'_>)) -> Self {
        let (_, hash, plan, expected, field_name, sha256) = job;
        Self { document: document.as_slice(), hash, plan, expected, field_name, sha256 }
    }
}

/// The plans of a batch, of which there are few: a document's differs in the name of the field alone.
#[derive(Default)]
struct Plans<'w>(Vec<(&'w Plan, &'w Expected, vermilion_lean::Plan, vermilion_readback::Plan)>);

impl<'w> Plans<'w> {
    fn of(&mut self, work: &Work<'w>) -> (&vermilion_lean::Plan, &vermilion_readback::Plan) {
        let same =
            |(plan, expected, ..): &(&Plan, &Expected, _, _)| std::ptr::eq(*plan, work.plan) && std::ptr::eq(*expected, work.expected);
        let at = self.0.iter().position(same).unwrap_or_else(|| {
            self.0.push((work.plan, work.expected, work.plan.plan.clone(), work.expected.0.clone()));
            self.0.len() - 1
        });
        let (_, _, lean, expected) = &mut self.0[at];
        work.field_name.clone_into(&mut lean.field_name);
        work.field_name.clone_into(&mut expected.field_name);
        (lean, expected)
    }
}

/// Prepares documents and accounts for what was written; `offset` is this thread's in `reading`. The plans' own names of fields do not count.
#[pyfunction]
pub fn prepare_all(py: Python, jobs: Vec<ToPrepare>, looks: &Looks, reading: &Reading, offset: u64) -> PyResult<Vec<Prepared>> {
    let documents = jobs.iter().map(|job| Document::of(&job.0)).collect::<PyResult<Vec<_>>>()?;
    let works: Vec<Work> = jobs.iter().zip(&documents).map(Work::of).collect();
    Ok(py.detach(|| {
        let note = Note { file: &reading.0, offset };
        let looks = looks.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut plans = Plans::default();
        works.iter().map(|work| if note.begin(work.sha256) { prepared(work, &mut plans, &looks) } else { ALONE }).collect()
    }))
}

fn prepared<'w>(work: &Work<'w>, plans: &mut Plans<'w>, looks: &vermilion_readback::Looks) -> Prepared {
    if work.field_name.is_empty() || work.field_name.contains('.') || work.field_name.chars().count() > LONGEST_FIELD_NAME {
        return ALONE;
    }
    let (plan, expected) = plans.of(work);
    let pictures: Vec<&vermilion_lean::Picture> = work.plan.pictures.iter().map(AsRef::as_ref).collect();
    let written = match guarded(|| vermilion_lean::prepare(work.document, plan, &pictures, &work.hash.state), crate::FAILED) {
        Ok(written) => written,
        Err(reason) => return Prepared::Left(reason.0),
    };
    // A name that was taken in the document is no reason to refuse; the general account knows it.
    if written.field_name != work.field_name {
        return ALONE;
    }
    let account = || vermilion_readback::account(work.document, &written.suffix, expected, looks);
    let Ok(Account::Holds(start, end)) = guarded(account, Otherwise) else { return ALONE };
    // The writer's figures are compared, not used: what is signed is computed here from the bytes.
    let mut state = work.hash.state.clone();
    state.update(&written.suffix[..start]);
    state.update(&written.suffix[end..]);
    let (digest, base) = (state.finish(), work.document.len());
    if written.byte_range != [0, base + start, base + end, written.suffix.len() - end] || written.digest != digest {
        return ALONE;
    }
    Prepared::Accounted(Accounted {
        hash_name: work.hash.name.clone(),
        hole: (start, end),
        update: written.suffix,
        digest,
        warnings: written.warnings.iter().map(|&warning| warning as u8).collect(),
    })
}

/// Accounted update, template of the seal's key, signature value, timestamp token.
type ToFill<'py> = (PyRef<'py, Accounted>, PyRef<'py, SealTemplate>, PyBackedBytes, PyBackedBytes);

/// The updates with their signatures in the holes; none where one does not fit.
#[pyfunction]
pub fn fill_all<'py>(py: Python<'py>, jobs: Vec<ToFill<'py>>) -> Vec<Option<Bound<'py, PyBytes>>> {
    let works: Vec<(&Accounted, &vermilion_cms::Template, &[u8], &[u8])> =
        jobs.iter().map(|(accounted, template, signature, token)| (&**accounted, &template.0, &**signature, &**token)).collect();
    let filled: Vec<Option<Vec<u8>>> = py.detach(|| {
        let fill = |&(accounted, template, signature, token): &(&Accounted, &vermilion_cms::Template, &[u8], &[u8])| {
            let cms = template.assemble(&accounted.digest, signature, token).ok_or(())?;
            vermilion_cms::filled(&accounted.update, accounted.hole, &cms).ok_or(())
        };
        works.iter().map(|work| guarded(|| fill(work), ()).ok()).collect()
    });
    filled.into_iter().map(|each| each.map(|bytes| PyBytes::new(py, &bytes))).collect()
}

/// Accounted update, sealed update, constants of the key, SHA-256 state after the document, signature value, timestamp token, SHA-256 of the document.
type ToRead<'py> =
    (PyRef<'py, Accounted>, PyBackedBytes, PyRef<'py, SealConstants>, PyRef<'py, Hash>, PyBackedBytes, PyBackedBytes, PyBackedBytes);
/// SHA-256 of the sealed document, hashes of signature and token as the ledger has them.
type ReadBack<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

struct Sealed<'w> {
    accounted: &'w Accounted,
    sealed: &'w [u8],
    constants: &'w vermilion_readback::Constants,
    hash: &'w Hash,
    signature: &'w [u8],
    token: &'w [u8],
    sha256: &'w [u8],
}

/// Reads sealed updates back; none where the general way has to judge. `offset` as in `prepare_all`.
#[pyfunction]
pub fn read_back_all<'py>(py: Python<'py>, jobs: Vec<ToRead<'py>>, reading: &Reading, offset: u64) -> Vec<Option<ReadBack<'py>>> {
    let works: Vec<Sealed> = jobs
        .iter()
        .map(|(accounted, sealed, constants, hash, signature, token, sha256)| Sealed {
            accounted,
            sealed,
            constants: &constants.0,
            hash,
            signature,
            token,
            sha256,
        })
        .collect();
    let found: Vec<Option<[Vec<u8>; 3]>> = py.detach(|| {
        let note = Note { file: &reading.0, offset };
        works.iter().map(|work| note.begin(work.sha256).then(|| guarded(|| read_back(work), Otherwise).ok())?).collect()
    });
    let bytes =
        |[sealed, signature, token]: [Vec<u8>; 3]| (PyBytes::new(py, &sealed), PyBytes::new(py, &signature), PyBytes::new(py, &token));
    found.into_iter().map(|each| each.map(bytes)).collect()
}

fn read_back(work: &Sealed) -> Result<[Vec<u8>; 3], Otherwise> {
    let Accounted { update, hole, digest, .. } = work.accounted;
    let accounted = vermilion_readback::Accounted { update, hole: *hole, digest };
    vermilion_readback::seals(&accounted, work.sealed, work.constants)?;
    // Hashing on from the gate's state: the document's bytes are not read a second time.
    let mut state = work.hash.state.clone();
    state.update(work.sealed);
    Ok([state.finish(), entry::signature_hash(work.signature).to_vec(), entry::timestamp_hash(work.token).to_vec()])
}
