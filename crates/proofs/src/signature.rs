//! A signature in a PDF: detached CMS over what its byte range covers (ISO 32000-2 §12.8.3.3), with its signature timestamps (RFC 3161 annex A).

use crate::der::Reader;
use crate::hash::Hash;
use crate::signed::{attributes, SignedData, DATA};
use crate::token::{self, Token};
use crate::{require, Found, Otherwise};

const TIME_STAMP: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0e";
const MOST_TOKENS: usize = 8;

/// What a byte range covers.
#[derive(Clone, Copy, Debug)]
pub struct Covered<'d> {
    before: &'d [u8],
    behind: &'d [u8],
}

impl<'d> Covered<'d> {
    /// Two pairs of offset and length in a document.
    pub fn of(document: &'d [u8], [start, first, second, rest]: [usize; 4]) -> Found<Self> {
        let part = |from: usize, length: usize| document.get(from..from.checked_add(length)?);
        let (before, behind) = part(start, first).zip(part(second, rest)).ok_or(Otherwise)?;
        Ok(Self { before, behind })
    }

    pub(crate) fn digest(&self, hash: Hash) -> ring::digest::Digest {
        hash.over(&[self.before, self.behind])
    }
}

/// A signature that is whole.
#[derive(Debug)]
pub struct Signature<'c> {
    /// DER of the signer's certificate.
    pub signer: &'c [u8],
    /// Further certificates that were sent along.
    pub others: Vec<&'c [u8]>,
    /// Its timestamps.
    pub tokens: Vec<Token<'c>>,
}

/// The signature in `contents`, padded with zeros, is whole over what it covers, and so are its timestamps.
pub fn signature<'c>(covered: &Covered, contents: &'c [u8]) -> Found<Signature<'c>> {
    let signed = in_hole(contents)?;
    require(signed.content_type == DATA && signed.content.is_none())?;
    signed.verify(covered.digest(signed.hash).as_ref())?;
    let tokens = tokens(&signed)?;
    Ok(Signature { signer: signed.signer.der, others: signed.others, tokens })
}

/// What stands in a hole, whose rest is zeros.
pub(crate) fn in_hole(contents: &[u8]) -> Found<SignedData<'_>> {
    let (signed, rest) = SignedData::read(contents)?;
    require(rest.iter().all(|&each| each == 0))?;
    Ok(signed)
}

fn tokens<'c>(signed: &SignedData<'c>) -> Found<Vec<Token<'c>>> {
    let mut found = Vec::new();
    for (_, values) in attributes(signed.unsigned)?.into_iter().filter(|(kind, _)| *kind == TIME_STAMP) {
        let mut values = Reader::new(values);
        while !values.at_end() {
            require(found.len() < MOST_TOKENS)?;
            let token = token::read(values.take_whole(crate::der::SEQUENCE)?.0)?;
            require(token.imprint == token.imprint_hash.over(&[signed.signature]).as_ref())?;
            found.push(token);
        }
    }
    Ok(found)
}
