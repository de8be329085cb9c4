//! Verifies signature values (RFC 8017 §8.2, RFC 5758 §3.2).

use ring::signature::{
    UnparsedPublicKey, VerificationAlgorithm, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
};

use crate::der::{self, Reader};
use crate::hash::Hash;
use crate::{require, Found, Otherwise};

// Contents of AlgorithmIdentifiers of keys.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
// Of signatures, without parameters. With rsaEncryption the digest algorithm says which hash it is (RFC 3370 §3.2).
const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const NULL: &[u8] = &[0x05, 0x00];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Rsa,
    P256,
    P384,
}

/// A public key.
#[derive(Clone, Copy, Debug)]
pub struct Key<'c> {
    kind: Kind,
    value: &'c [u8],
}

impl<'c> Key<'c> {
    /// From the content of a SubjectPublicKeyInfo.
    pub fn read(mut info: Reader<'c>) -> Found<Self> {
        let kind = match info.take(der::SEQUENCE)? {
            RSA => Kind::Rsa,
            P256 => Kind::P256,
            P384 => Kind::P384,
            _ => return Err(Otherwise),
        };
        let bits = info.take(der::BIT_STRING)?;
        info.end()?;
        let (unused, value) = bits.split_first().ok_or(Otherwise)?;
        require(*unused == 0)?;
        Ok(Self { kind, value })
    }

    /// `signature` is this key's over `message`, and `algorithm`, the content of an AlgorithmIdentifier, means this key and `hash`.
    pub fn verify(&self, algorithm: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Found<()> {
        require(self.is_meant(algorithm, hash))?;
        UnparsedPublicKey::new(self.verification(hash)?, self.value).verify(message, signature).map_err(|_| Otherwise)
    }

    fn is_meant(&self, algorithm: &[u8], hash: Hash) -> bool {
        let named: &[u8] = match (self.kind, hash) {
            (Kind::Rsa, Hash::Sha256) => b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b",
            (Kind::Rsa, Hash::Sha384) => b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c",
            (Kind::Rsa, Hash::Sha512) => b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d",
            (_, Hash::Sha256) => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            (_, Hash::Sha384) => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            (_, Hash::Sha512) => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
        };
        match self.kind {
            Kind::Rsa => [named, RSA_ENCRYPTION].contains(&algorithm.strip_suffix(NULL).unwrap_or(algorithm)),
            Kind::P256 | Kind::P384 => algorithm == named,
        }
    }

    fn verification(&self, hash: Hash) -> Found<&'static dyn VerificationAlgorithm> {
        Ok(match (self.kind, hash) {
            (Kind::Rsa, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            (Kind::P256, Hash::Sha256) => &ECDSA_P256_SHA256_ASN1,
            (Kind::P256, Hash::Sha384) => &ECDSA_P256_SHA384_ASN1,
            (Kind::P384, Hash::Sha256) => &ECDSA_P384_SHA256_ASN1,
            (Kind::P384, Hash::Sha384) => &ECDSA_P384_SHA384_ASN1,
            (_, Hash::Sha512) => return Err(Otherwise),
        })
    }
}
