//! What a CMS says of certificates: who signed, and with which key (RFC 5280 §4.1).

use crate::der::{self, Reader};
use crate::key::Key;
use crate::Found;

/// A certificate, read as far as its key.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'c> {
    /// All of it.
    pub der: &'c [u8],
    /// Content of its serial number.
    pub serial: &'c [u8],
    /// DER of its issuer's name.
    pub issuer: &'c [u8],
    key: &'c [u8],
}

impl<'c> Certificate<'c> {
    /// From its DER. Whether it is valid is for others to say.
    pub fn read(der: &'c [u8]) -> Found<Self> {
        let mut certificate = Reader::new(der).enter_last(der::SEQUENCE)?;
        let mut fields = certificate.enter(der::SEQUENCE)?;
        fields.take_if(der::CONTEXT[0])?;
        let serial = der::shortest(fields.take(der::INTEGER)?)?;
        fields.take(der::SEQUENCE)?; // signature algorithm
        let (issuer, _) = fields.take_whole(der::SEQUENCE)?;
        fields.take(der::SEQUENCE)?; // validity
        fields.take(der::SEQUENCE)?; // subject
        let key = fields.take(der::SEQUENCE)?;
        fields.take_if(der::PRIMITIVE[1])?; // unique identifiers of issuer and subject
        fields.take_if(der::PRIMITIVE[2])?;
        fields.take_if(der::CONTEXT[3])?; // extensions
        fields.end()?;
        certificate.take(der::SEQUENCE)?;
        certificate.take(der::BIT_STRING)?;
        certificate.end()?;
        Ok(Self { der, serial, issuer, key })
    }

    /// The key that it certifies.
    pub fn key(&self) -> Found<Key<'c>> {
        Key::read(Reader::new(self.key))
    }
}
