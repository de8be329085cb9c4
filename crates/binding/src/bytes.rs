//! Documents as Python has them: in memory, or mapped when they are large.

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes that stay where they are for as long as this lives.
pub enum Document<'d> {
    Bytes(&'d [u8]),
    Mapped(PyBuffer<u8>),
}

impl<'d> Document<'d> {
    /// From `bytes`, or from anything that has one contiguous buffer, such as a memory map.
    pub fn of(object: &'d Bound<'_, PyAny>) -> PyResult<Self> {
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes.as_bytes())),
            Err(_) => PyBuffer::get(object).map(Self::Mapped),
        }
    }

    /// What they are.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Mapped(buffer) if buffer.is_c_contiguous() && buffer.len_bytes() > 0 => {
                // SAFETY: the buffer is held, contiguous, of single bytes, and this long. The signer's documents are mapped from memory that
                // is sealed against writing and shortening (memfd_create(2)).
                unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes()) }
            }
            Self::Mapped(_) => &[],
        }
    }
}
