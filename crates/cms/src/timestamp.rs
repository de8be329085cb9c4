//! Time-stamp tokens (RFC 3161 §2.4.2): what a unit says of itself is encoded once, and what differs is put between.

use sha2::{Digest, Sha256, Sha384};

use crate::der::{self, NotDer, Reader};
use crate::template::{begin_signed_data, Algorithm, Attributes, Certificate};

const TST_INFO: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04";
/// Contents of AlgorithmIdentifiers of hashes, without parameters, and what each gives.
const HASHES: [(&[u8], usize); 3] = [
    (b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", 32),
    (b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02", 48),
    (b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03", 64),
];
const NONCE_BYTES: usize = 32;
const NOT_SERVED: NotDer = NotDer("a request that gets no token, or is odd");

/// What all tokens of a unit have in common.
#[derive(Clone, Debug)]
pub struct TokenTemplate {
    algorithm: Algorithm,
    attributes: Attributes,
    info_head: Vec<u8>,
    accuracy: Vec<u8>,
    signed_data_head: Vec<u8>,
    certificates: Vec<u8>,
    signer_head: Vec<u8>,
}

/// A token that is to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    info: Vec<u8>,
    info_digest: Vec<u8>,
    /// Of the signed attributes: this is what the key signs.
    pub digest: Vec<u8>,
}

impl TokenTemplate {
    /// `issuing` goes in beside the certificate; `policy` is the DER of its OBJECT IDENTIFIER, `accuracy` of the Accuracy.
    pub fn new(certificate: &Certificate, issuing: &[&[u8]], algorithm: Algorithm, policy: &[u8], accuracy: &[u8]) -> Self {
        let mut certificates = [&[certificate.der], issuing].concat();
        certificates.sort_unstable();
        Self {
            algorithm,
            attributes: Attributes::new(TST_INFO, algorithm.digest_size(), certificate),
            info_head: [&der::integer(1), policy].concat(),
            accuracy: accuracy.to_vec(),
            // Version 3: the content is not id-data (RFC 5652 §5.1).
            signed_data_head: [der::integer(3), der::set_of(der::SET, &[algorithm.digest()])].concat(),
            certificates: der::tlv(der::CONTEXT_0, &certificates),
            signer_head: [&der::integer(1), &certificate.issuer_and_serial(), algorithm.digest()].concat(),
        }
    }

    /// Over an encoded MessageImprint; `serial` is not negative, big-endian; `nonce` the DER of an INTEGER.
    pub fn draft(&self, imprint: &[u8], serial: &[u8], time_us: u64, nonce: &[u8]) -> Option<Draft> {
        let (serial, time) = (der::unsigned(serial), generalized_time(time_us));
        let info = der::sequence(&[&self.info_head, imprint, &serial, &time, &self.accuracy, nonce]);
        let info_digest = self.hashed(&info);
        let digest = self.hashed(&self.attributes.over(&info_digest)?);
        Some(Draft { info, info_digest, digest })
    }

    /// DER of the ContentInfo; the unit's certificates go in where they were asked for.
    pub fn token(&self, draft: &Draft, signature: &[u8], with_certificates: bool) -> Vec<u8> {
        let whole = |length: usize| der::head_size(length) + length;
        let certificates: &[u8] = if with_certificates { &self.certificates } else { &[] };
        let algorithm = self.algorithm.signature();
        let encapsulated = TST_INFO.len() + whole(whole(draft.info.len()));
        let signer = self.signer_head.len() + self.attributes.size() + algorithm.len() + whole(signature.len());
        let signed_data = self.signed_data_head.len() + whole(encapsulated) + certificates.len() + whole(whole(signer));
        let mut to = begin_signed_data(signed_data);
        to.extend_from_slice(&self.signed_data_head);
        der::push_head(&mut to, der::SEQUENCE, encapsulated);
        to.extend_from_slice(TST_INFO);
        der::push_head(&mut to, der::CONTEXT_0, whole(draft.info.len()));
        der::push_head(&mut to, der::OCTET_STRING, draft.info.len());
        to.extend_from_slice(&draft.info);
        to.extend_from_slice(certificates);
        der::push_head(&mut to, der::SET, whole(signer));
        der::push_head(&mut to, der::SEQUENCE, signer);
        to.extend_from_slice(&self.signer_head);
        self.attributes.push_implicit(&mut to, &draft.info_digest);
        to.extend_from_slice(algorithm);
        der::push_head(&mut to, der::OCTET_STRING, signature.len());
        to.extend_from_slice(signature);
        to
    }

    fn hashed(&self, data: &[u8]) -> Vec<u8> {
        match self.algorithm {
            Algorithm::Rsa | Algorithm::P256 => Sha256::digest(data).to_vec(),
            Algorithm::P384 => Sha384::digest(data).to_vec(),
        }
    }
}

/// A TimeStampReq that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'r> {
    /// Encoded as it came: the token repeats it.
    pub imprint: &'r [u8],
    /// DER of the INTEGER; empty for none.
    pub nonce: &'r [u8],
    /// Whether certificates are asked for.
    pub wants_certificates: bool,
}

impl<'r> Request<'r> {
    /// From its DER. Fails for what is refused, too: others say why.
    pub fn read(data: &'r [u8], policy: &[u8]) -> Result<Self, NotDer> {
        let served = |holds: bool| holds.then_some(()).ok_or(NOT_SERVED);
        let mut outer = Reader::new(data);
        let mut body = Reader::new(outer.take(der::SEQUENCE)?);
        outer.end()?;
        served(body.take(der::INTEGER)? == [1])?;
        let imprint = imprint(&mut body)?;
        if body.next_is(der::OBJECT_IDENTIFIER) {
            served(body.take_whole(der::OBJECT_IDENTIFIER)?.0 == policy)?;
        }
        let mut nonce: &[u8] = &[];
        if body.next_is(der::INTEGER) {
            let (whole, content) = body.take_whole(der::INTEGER)?;
            let content = der::shortest_integer(content)?;
            served(content.strip_prefix(&[0]).unwrap_or(content).len() <= NONCE_BYTES)?;
            nonce = whole;
        }
        let mut wants_certificates = false;
        if body.next_is(der::BOOLEAN) {
            let content = body.take(der::BOOLEAN)?;
            served(content.len() == 1)?;
            wants_certificates = content != [0];
        }
        body.end()?;
        Ok(Self { imprint, nonce, wants_certificates })
    }
}

/// A MessageImprint of a hash that is served; parameters absent or NULL mean the same (RFC 5754 §2).
fn imprint<'r>(body: &mut Reader<'r>) -> Result<&'r [u8], NotDer> {
    let (whole, content) = body.take_whole(der::SEQUENCE)?;
    let mut parts = Reader::new(content);
    let algorithm = parts.take(der::SEQUENCE)?;
    let digest = parts.take(der::OCTET_STRING)?;
    parts.end()?;
    let hash = algorithm.strip_suffix(&der::NULL).unwrap_or(algorithm);
    HASHES.contains(&(hash, digest.len())).then_some(whole).ok_or(NOT_SERVED)
}

/// In UTC with milliseconds, without trailing zeros (RFC 3161 §2.4.2).
fn generalized_time(time_us: u64) -> Vec<u8> {
    let seconds = time_us / 1_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
    let milliseconds = time_us / 1000 % 1000;
    if milliseconds > 0 {
        text.push_str(format!(".{milliseconds:03}").trim_end_matches('0'));
    }
    text.push('Z');
    der::tlv(der::GENERALIZED_TIME, &[text.as_bytes()])
}

/// Year, month and day in the Gregorian calendar of a number of days since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from the first of March of the year 0, so that a leap day ends its year; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (400 * era + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let days = |year: u64| 365 * (year - 1970) + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
        for year in 1970..=9999 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            assert_eq!(date(days(year)), (year, 1, 1));
            assert_eq!(date(days(year) + 58), (year, 2, 28));
            assert_eq!(date(days(year) + 59), if leap { (year, 2, 29) } else { (year, 3, 1) });
            assert_eq!(date(days(year) + 364 + u64::from(leap)), (year, 12, 31));
        }
    }
}
