//! The CMS of a PAdES B-T signature: SignedData (RFC 5652) as ETSI EN 319 122-1 and EN 319 142-1 narrow it. Detached, one signer, signed attributes
//! content-type, message-digest and signing-certificate-v2 (RFC 5035), no signing-time (PAdES has /M), and the signature timestamp as unsigned
//! attribute.

use sha2::{Digest, Sha256};

use crate::der::{self, NotDer, Reader};

const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const CONTENT_TYPE: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const SIGNING_CERTIFICATE_V2: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
const SIGNATURE_TIME_STAMP: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0e";
// RFC 5754: SHA-2 without parameters; RSA with NULL, ECDSA without.
const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const RSA_SHA256: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const ECDSA_SHA384: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";

/// What a seal key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// PKCS#1 v1.5 with SHA-256.
    Rsa,
    /// ECDSA with SHA-256.
    P256,
    /// ECDSA with SHA-384.
    P384,
}

impl Algorithm {
    /// DER of the AlgorithmIdentifier of the digest.
    pub fn digest(self) -> &'static [u8] {
        match self {
            Self::Rsa | Self::P256 => SHA256,
            Self::P384 => SHA384,
        }
    }

    /// DER of the AlgorithmIdentifier of the signature.
    pub fn signature(self) -> &'static [u8] {
        match self {
            Self::Rsa => RSA_SHA256,
            Self::P256 => ECDSA_SHA256,
            Self::P384 => ECDSA_SHA384,
        }
    }

    /// Size of the digest in bytes.
    pub fn digest_size(self) -> usize {
        match self {
            Self::Rsa | Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// A certificate, and the parts of it that a CMS names.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'d> {
    /// All of it.
    pub der: &'d [u8],
    /// DER of its serial number.
    pub serial: &'d [u8],
    /// DER of its issuer's name.
    pub issuer: &'d [u8],
}

impl<'d> Certificate<'d> {
    /// From its DER (RFC 5280 §4.1). Read as far as the issuer alone: whether it is valid is for others to say.
    pub fn read(der: &'d [u8]) -> Result<Self, NotDer> {
        let mut outer = Reader::new(der);
        let mut certificate = Reader::new(outer.take(der::SEQUENCE)?);
        outer.end()?;
        let mut fields = Reader::new(certificate.take(der::SEQUENCE)?);
        if fields.next_is(der::CONTEXT_0) {
            fields.take(der::CONTEXT_0)?;
        }
        let (serial, number) = fields.take_whole(der::INTEGER)?;
        der::shortest_integer(number)?;
        fields.take(der::SEQUENCE)?;
        let (issuer, _) = fields.take_whole(der::SEQUENCE)?;
        Ok(Self { der, serial, issuer })
    }

    /// DER of the IssuerAndSerialNumber.
    pub fn issuer_and_serial(&self) -> Vec<u8> {
        der::sequence(&[self.issuer, self.serial])
    }

    /// DER of the signed attribute signing-certificate-v2. Its default hash (SHA-256) is left out, as DER asks; no issuerSerial: the hash says it
    /// all (RFC 5035 §4).
    pub fn signing_certificate_v2(&self) -> Vec<u8> {
        let id = der::sequence(&[&der::tlv(der::OCTET_STRING, &[&Sha256::digest(self.der)])]);
        attribute(SIGNING_CERTIFICATE_V2, &der::sequence(&[&der::sequence(&[&id])]))
    }
}

/// DER of the signed attribute content-type.
pub fn content_type(kind: &[u8]) -> Vec<u8> {
    attribute(CONTENT_TYPE, kind)
}

/// DER of the signed attribute message-digest, which ends with the digest.
pub fn message_digest(digest: &[u8]) -> Vec<u8> {
    attribute(MESSAGE_DIGEST, &der::tlv(der::OCTET_STRING, &[digest]))
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    der::sequence(&[kind, &der::tlv(der::SET, &[value])])
}

/// A SET OF signed attributes around a digest that differs each time.
#[derive(Clone, Debug)]
pub struct Attributes {
    before: Vec<u8>,
    after: Vec<u8>,
    digest_size: usize,
}

impl Attributes {
    /// Of content that has this type, signed by this certificate.
    pub fn new(content: &[u8], digest_size: usize, certificate: &Certificate) -> Self {
        // Their lengths differ, so their order in the SET does not depend on the digest.
        let digest = message_digest(&vec![0; digest_size]);
        let mut sorted = [content_type(content), digest.clone(), certificate.signing_certificate_v2()];
        sorted.sort_unstable();
        let place = sorted.iter().position(|each| *each == digest).unwrap_or_default();
        let whole = sorted.concat();
        let behind = sorted[..=place].iter().map(Vec::len).sum::<usize>();
        let mut before = Vec::new();
        der::push_head(&mut before, der::SET, whole.len());
        before.extend_from_slice(&whole[..behind - digest_size]);
        Self { before, after: whole[behind..].to_vec(), digest_size }
    }

    /// DER of the SET: this is what the key signs. None for a digest of another size.
    pub fn over(&self, digest: &[u8]) -> Option<Vec<u8>> {
        (digest.len() == self.digest_size).then(|| [&self.before, digest, &self.after].concat())
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.before.len() + self.digest_size + self.after.len()
    }

    /// Appends it as it stands in a SignerInfo: the SET, tagged \[0\] there (RFC 5652 §5.3).
    pub fn push_implicit(&self, to: &mut Vec<u8>, digest: &[u8]) {
        to.push(der::CONTEXT_0);
        to.extend_from_slice(&self.before[1..]);
        to.extend_from_slice(digest);
        to.extend_from_slice(&self.after);
    }
}

/// What all signatures of one seal key under one certificate have in common.
#[derive(Clone, Debug)]
pub struct Template {
    attributes: Attributes,
    signed_data_head: Vec<u8>,
    signer_head: Vec<u8>,
    algorithm: Algorithm,
}

impl Template {
    /// `issuing` are the certificates that are sent along.
    pub fn new(certificate: &Certificate, issuing: &[&[u8]], algorithm: Algorithm) -> Self {
        let certificates = [&[certificate.der], issuing].concat();
        // Version 1: X.509 certificates alone, content of type id-data, a SignerInfo of version 1 (RFC 5652 §5.1).
        let signed_data_head = [
            der::integer(1),
            der::set_of(der::SET, &[algorithm.digest()]),
            der::sequence(&[DATA]),
            der::set_of(der::CONTEXT_0, &certificates),
        ];
        let signer_head = [&der::integer(1), &certificate.issuer_and_serial(), algorithm.digest()];
        Self {
            attributes: Attributes::new(DATA, algorithm.digest_size(), certificate),
            signed_data_head: signed_data_head.concat(),
            signer_head: signer_head.concat(),
            algorithm,
        }
    }

    /// DER of the SET OF signed attributes over `digest` (of the byte ranges): this is what the key signs. None for a digest of another size.
    pub fn signed_attributes(&self, digest: &[u8]) -> Option<Vec<u8>> {
        self.attributes.over(digest)
    }

    /// DER of the whole ContentInfo; none for a digest of another size.
    ///
    /// `signature` is over the signed attributes: PKCS#1 v1.5, or DER ECDSA-Sig-Value; `token` an RFC 3161 TimeStampToken over the signature value.
    pub fn assemble(&self, digest: &[u8], signature: &[u8], token: &[u8]) -> Option<Vec<u8>> {
        if digest.len() != self.attributes.digest_size {
            return None;
        }
        let whole = |length: usize| der::head_size(length) + length;
        // From the inside out: sizes first, then the bytes once.
        let attribute = SIGNATURE_TIME_STAMP.len() + whole(token.len());
        let unsigned = whole(attribute);
        let algorithm = self.algorithm.signature();
        let signer = self.signer_head.len() + self.attributes.size() + algorithm.len() + whole(signature.len()) + whole(unsigned);
        let signers = whole(signer);
        let signed_data = self.signed_data_head.len() + whole(signers);
        let mut to = begin_signed_data(signed_data);
        to.extend_from_slice(&self.signed_data_head);
        der::push_head(&mut to, der::SET, signers);
        der::push_head(&mut to, der::SEQUENCE, signer);
        to.extend_from_slice(&self.signer_head);
        self.attributes.push_implicit(&mut to, digest);
        to.extend_from_slice(algorithm);
        der::push_head(&mut to, der::OCTET_STRING, signature.len());
        to.extend_from_slice(signature);
        der::push_head(&mut to, der::CONTEXT_1, unsigned);
        der::push_head(&mut to, der::SEQUENCE, attribute);
        to.extend_from_slice(SIGNATURE_TIME_STAMP);
        der::push_head(&mut to, der::SET, token.len());
        to.extend_from_slice(token);
        Some(to)
    }
}

/// A ContentInfo up to what its SignedData of so many bytes holds, with room for that (RFC 5652 §3, §5.1).
pub(crate) fn begin_signed_data(size: usize) -> Vec<u8> {
    let whole = |length: usize| der::head_size(length) + length;
    let content = SIGNED_DATA.len() + whole(whole(size));
    let mut to = Vec::with_capacity(whole(content));
    der::push_head(&mut to, der::SEQUENCE, content);
    to.extend_from_slice(SIGNED_DATA);
    der::push_head(&mut to, der::CONTEXT_0, whole(size));
    der::push_head(&mut to, der::SEQUENCE, size);
    to
}
