//! What Python calls: whole batches, without the interpreter's lock.

mod account;
mod bytes;
mod hash;
mod longterm;
mod plan;
mod prepare;
mod seal;

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::prelude::*;
use vermilion_lean::NotLean;

/// A document that makes the lean code fail is left to the general one, like any that it does not understand.
fn guarded<T>(work: impl FnOnce() -> Result<T, NotLean>) -> Result<T, NotLean> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(NotLean("the lean code failed")))
}

/// The compiled core: whatever happens to every byte of a document.
#[pymodule(name = "core")]
mod vermilion_core {
    #[pymodule_export]
    use crate::account::{account, Expected, Looks};
    #[pymodule_export]
    use crate::hash::Hash;
    #[pymodule_export]
    use crate::longterm::{extend, read_signed};
    #[pymodule_export]
    use crate::plan::{Picture, Plan};
    #[pymodule_export]
    use crate::prepare::prepare;
    #[pymodule_export]
    use crate::seal::{seals, SealConstants};
}
