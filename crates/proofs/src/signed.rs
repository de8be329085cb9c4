//! SignedData with one signer, and what its signed attributes bind (RFC 5652 §5, RFC 5035 §4, RFC 6211).

use ring::digest::{digest, SHA1_FOR_LEGACY_USE_ONLY};

use crate::certificate::Certificate;
use crate::der::{self, Reader};
use crate::hash::Hash;
use crate::{require, Found, Otherwise};

const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
/// Content of the OBJECT IDENTIFIER id-data.
pub const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const ALGORITHM_PROTECTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x34";
const SIGNING_CERTIFICATE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0c";
const SIGNING_CERTIFICATE_V2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
const MOST_CERTIFICATES: usize = 16;
const MOST_ATTRIBUTES: usize = 32;

/// A SignedData.
#[derive(Debug)]
pub struct SignedData<'c> {
    /// Content of the OBJECT IDENTIFIER.
    pub content_type: &'c [u8],
    /// None where it is detached.
    pub content: Option<&'c [u8]>,
    /// Of the one signer.
    pub signer: Certificate<'c>,
    /// Further certificates that were sent along, in their order.
    pub others: Vec<&'c [u8]>,
    /// Content of the unsigned attributes.
    pub unsigned: &'c [u8],
    /// The signature value.
    pub signature: &'c [u8],
    /// By which the content is digested.
    pub hash: Hash,
    digest_algorithm: &'c [u8],
    algorithm: &'c [u8],
    attributes: (&'c [u8], &'c [u8]),
}

impl<'c> SignedData<'c> {
    /// From the ContentInfo that `data` begins with; gives what is left, too.
    pub fn read(data: &'c [u8]) -> Found<(Self, &'c [u8])> {
        let mut outer = Reader::new(data);
        let (whole, content) = outer.take_whole(der::SEQUENCE)?;
        der::is_der(content)?;
        let mut info = Reader::new(content);
        info.skip(SIGNED_DATA)?;
        let mut fields = info.enter_last(der::CONTEXT[0])?.enter_last(der::SEQUENCE)?;
        let version = fields.take(der::INTEGER)?;
        fields.take(der::SET)?;
        let (content_type, content) = encapsulated(fields.enter(der::SEQUENCE)?)?;
        require(version == [3] || (version == [1] && content_type == DATA))?; // RFC 5652 §5.1
        let certificates = certificates(fields.enter(der::CONTEXT[0])?)?;
        let signer = fields.enter_last(der::SET)?.enter_last(der::SEQUENCE)?;
        Ok((Self::of_signer(signer, content_type, content, certificates)?, &data[whole.len()..]))
    }

    fn of_signer(
        mut info: Reader<'c>,
        content_type: &'c [u8],
        content: Option<&'c [u8]>,
        certificates: Vec<Certificate<'c>>,
    ) -> Found<Self> {
        require(info.take(der::INTEGER)? == [1])?;
        let mut named = info.enter(der::SEQUENCE)?;
        let (issuer, _) = named.take_whole(der::SEQUENCE)?;
        let serial = der::shortest(named.take(der::INTEGER)?)?;
        named.end()?;
        let digest_algorithm = info.take(der::SEQUENCE)?;
        let attributes = info.take_whole(der::CONTEXT[0])?;
        let algorithm = info.take(der::SEQUENCE)?;
        let signature = info.take(der::OCTET_STRING)?;
        let unsigned = info.take_if(der::CONTEXT[1])?.unwrap_or_default();
        info.end()?;
        // Two of one serial number may be one name in two spellings: others judge that.
        let (mut meant, others): (Vec<_>, Vec<_>) = certificates.into_iter().partition(|each: &Certificate| each.serial == serial);
        let signer = meant.pop().ok_or(Otherwise)?;
        require(meant.is_empty() && signer.issuer == issuer)?;
        let others = others.iter().map(|each| each.der).collect();
        let hash = Hash::read(Reader::new(digest_algorithm))?;
        Ok(Self { content_type, content, signer, others, unsigned, signature, hash, digest_algorithm, algorithm, attributes })
    }

    /// The signed attributes bind this type and `digest`, and name the signer's certificate; the signature over them is the signer's.
    pub fn verify(&self, digest: &[u8]) -> Found<()> {
        let (whole, content) = self.attributes;
        let attributes = Attributes::read(content)?;
        require(attributes.content_type.ok_or(Otherwise)?.take(der::OBJECT_IDENTIFIER)? == self.content_type)?;
        require(attributes.message_digest.ok_or(Otherwise)?.take(der::OCTET_STRING)? == digest)?;
        match (attributes.certificate_v2, attributes.certificate) {
            (Some(value), _) => names(value, &self.signer)?,
            (None, Some(value)) => names_by_sha1(value, &self.signer)?,
            (None, None) => return Err(Otherwise),
        }
        if let Some(protection) = attributes.protection {
            self.is_protected(protection)?;
        }
        // A SET, tagged [0] where it stands (RFC 5652 §5.4).
        let signed = [&[der::SET], &whole[1..]].concat();
        self.signer.key()?.verify(self.algorithm, self.hash, &signed, self.signature)
    }

    /// CMSAlgorithmProtection repeats both algorithms (RFC 6211 §2).
    fn is_protected(&self, mut value: Reader) -> Found<()> {
        let mut both = value.enter(der::SEQUENCE)?;
        require(both.take(der::SEQUENCE)? == self.digest_algorithm && both.take(der::CONTEXT[1])? == self.algorithm)?;
        both.end()
    }
}

/// The values of the signed attributes that matter here; each stands there once, with one value.
#[derive(Debug, Default)]
struct Attributes<'c> {
    content_type: Option<Reader<'c>>,
    message_digest: Option<Reader<'c>>,
    certificate: Option<Reader<'c>>,
    certificate_v2: Option<Reader<'c>>,
    protection: Option<Reader<'c>>,
}

impl<'c> Attributes<'c> {
    fn read(content: &'c [u8]) -> Found<Self> {
        let mut found = Self::default();
        for attribute in attributes(content)? {
            let (kind, values) = attribute;
            let place = match kind {
                CONTENT_TYPE => &mut found.content_type,
                MESSAGE_DIGEST => &mut found.message_digest,
                SIGNING_CERTIFICATE => &mut found.certificate,
                SIGNING_CERTIFICATE_V2 => &mut found.certificate_v2,
                ALGORITHM_PROTECTION => &mut found.protection,
                _ => continue,
            };
            require(place.is_none() && only(values)?)?;
            *place = Some(Reader::new(values));
        }
        Ok(found)
    }
}

/// Type and values of each Attribute, contents alone.
pub fn attributes(content: &[u8]) -> Found<Vec<(&[u8], &[u8])>> {
    let (mut reader, mut found) = (Reader::new(content), Vec::new());
    while !reader.at_end() {
        require(found.len() < MOST_ATTRIBUTES)?;
        let mut attribute = reader.enter(der::SEQUENCE)?;
        found.push((attribute.take(der::OBJECT_IDENTIFIER)?, attribute.take(der::SET)?));
        attribute.end()?;
    }
    Ok(found)
}

/// Whether there is one value and no more.
fn only(values: &[u8]) -> Found<bool> {
    let &tag = values.first().ok_or(Otherwise)?;
    let mut reader = Reader::new(values);
    reader.take(tag)?;
    Ok(reader.at_end())
}

/// The first of the certificates that signing-certificate-v2 lists is the signer's.
fn names(mut value: Reader, signer: &Certificate) -> Found<()> {
    let mut id = value.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
    let hash = if id.next_is(der::SEQUENCE) { Hash::read(id.enter(der::SEQUENCE)?)? } else { Hash::Sha256 };
    require(id.take(der::OCTET_STRING)? == hash.over(&[signer.der]).as_ref())?;
    is_issuer_of(id, signer)
}

/// The same of signing-certificate (RFC 2634 §5.4), which knows SHA-1 alone. The key that verifies binds; this only picks among certificates.
fn names_by_sha1(mut value: Reader, signer: &Certificate) -> Found<()> {
    let mut id = value.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
    require(id.take(der::OCTET_STRING)? == digest(&SHA1_FOR_LEGACY_USE_ONLY, signer.der).as_ref())?;
    is_issuer_of(id, signer)
}

/// What is left of an id of a certificate is nothing, or an IssuerSerial that is the signer's.
fn is_issuer_of(mut id: Reader, signer: &Certificate) -> Found<()> {
    if !id.at_end() {
        let mut named = id.enter(der::SEQUENCE)?;
        let mut issuer = named.enter(der::SEQUENCE)?.enter_last(der::CONTEXT[4])?;
        require(issuer.take_whole(der::SEQUENCE)?.0 == signer.issuer && issuer.at_end())?;
        require(named.take(der::INTEGER)? == signer.serial && named.at_end())?;
    }
    id.end()
}

fn encapsulated<'c>(mut fields: Reader<'c>) -> Found<(&'c [u8], Option<&'c [u8]>)> {
    let kind = fields.take(der::OBJECT_IDENTIFIER)?;
    let mut content = None;
    if !fields.at_end() {
        let mut inside = fields.enter(der::CONTEXT[0])?;
        content = Some(inside.take(der::OCTET_STRING)?);
        inside.end()?;
    }
    fields.end()?;
    Ok((kind, content))
}

fn certificates(mut reader: Reader) -> Found<Vec<Certificate>> {
    let mut found = Vec::new();
    while !reader.at_end() {
        require(found.len() < MOST_CERTIFICATES)?;
        found.push(Certificate::read(reader.take_whole(der::SEQUENCE)?.0)?);
    }
    Ok(found)
}
