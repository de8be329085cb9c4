//! What Python calls: whole batches, without the interpreter's lock.

mod account;
mod bytes;
mod hash;
mod plan;
mod prepare;

use pyo3::prelude::*;

/// The compiled core: whatever happens to every byte of a document.
#[pymodule]
mod vermilion_core {
    #[pymodule_export]
    use crate::account::{account, Looks};
    #[pymodule_export]
    use crate::hash::Hash;
    #[pymodule_export]
    use crate::plan::{Picture, Plan};
    #[pymodule_export]
    use crate::prepare::prepare;
}
