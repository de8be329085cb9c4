//! What Python calls: whole batches, without the interpreter's lock.

mod account;
mod bytes;
mod hash;
mod longterm;
mod packing;
mod plan;
mod prepare;
mod proofs;
mod protocol;
mod seal;
mod stages;
mod template;
mod timestamp;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

const FAILED: vermilion_lean::NotLean = vermilion_lean::NotLean("the lean code failed");
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// A document that makes the core fail is left to the general way, like any that it does not understand.
fn guarded<T, E>(work: impl FnOnce() -> Result<T, E>, failed: E) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        FAILURES.fetch_add(1, Ordering::Relaxed);
        Err(failed)
    })
}

/// How often the core has failed in this process: each is a fault of ours.
#[pyfunction]
fn failures() -> u64 {
    FAILURES.load(Ordering::Relaxed)
}

/// The compiled core: whatever happens to every byte of a document.
#[pymodule(name = "core")]
mod vermilion_core {
    #[pymodule_export]
    use crate::account::{account, Expected, Looks};
    #[pymodule_export]
    use crate::failures;
    #[pymodule_export]
    use crate::hash::Hash;
    #[pymodule_export]
    use crate::longterm::{extend, read_signed};
    #[pymodule_export]
    use crate::packing::{pack_all, Parts};
    #[pymodule_export]
    use crate::plan::{Picture, Plan};
    #[pymodule_export]
    use crate::prepare::prepare;
    #[pymodule_export]
    use crate::proofs::{prove, timestamp_answer};
    #[pymodule_export]
    use crate::protocol::{encode_entries, extend_frontier, inclusion_proofs, leaf_hash, prove_all, UseEntries};
    #[pymodule_export]
    use crate::seal::{seals, SealConstants};
    #[pymodule_export]
    use crate::stages::{fill_all, prepare_all, read_back_all, Accounted, Reading};
    #[pymodule_export]
    use crate::template::SealTemplate;
    #[pymodule_export]
    use crate::timestamp::{timestamp_request, TokenDraft, TokenTemplate};
}
