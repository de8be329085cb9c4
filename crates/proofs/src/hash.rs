//! Hash functions that prove something.

use ring::digest::{Algorithm, Context, Digest, SHA256, SHA384, SHA512};

use crate::der::{self, Reader};
use crate::{Found, Otherwise};

const NULL: &[u8] = &[0x05, 0x00];

/// SHA-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// From an AlgorithmIdentifier; parameters are absent or NULL (RFC 5754 §2).
    pub(crate) fn read(mut algorithm: Reader) -> Found<Self> {
        let hash = match algorithm.take(der::OBJECT_IDENTIFIER)? {
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => Self::Sha256,
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x02" => Self::Sha384,
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x03" => Self::Sha512,
            _ => return Err(Otherwise),
        };
        if !algorithm.at_end() {
            algorithm.skip(NULL)?;
        }
        algorithm.end()?;
        Ok(hash)
    }

    /// As `hashlib` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Over the parts, one after the other.
    pub(crate) fn over(self, parts: &[&[u8]]) -> Digest {
        let mut context = Context::new(self.algorithm());
        parts.iter().for_each(|part| context.update(part));
        context.finish()
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }
}
