//! Time-stamp tokens, and answers that bring one (RFC 3161 §2.4.2).

use crate::der::{self, Reader};
use crate::hash::Hash;
use crate::signature::{in_hole, Covered};
use crate::signed::SignedData;
use crate::{require, Found, Otherwise};

const TST_INFO: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04";
/// PKIStatusInfo: granted, and granted with modifications, without further words.
const GRANTED: [&[u8]; 2] = [&[0x30, 0x03, 0x02, 0x01, 0x00], &[0x30, 0x03, 0x02, 0x01, 0x01]];
const MOST_PARTS: u64 = 999;

/// A token that is whole. Over what it is, is the caller's to compare.
#[derive(Debug)]
pub struct Token<'c> {
    /// DER of the signer's certificate.
    pub signer: &'c [u8],
    /// Further certificates that were sent along.
    pub others: Vec<&'c [u8]>,
    /// By which the imprint was made.
    pub imprint_hash: Hash,
    /// Over what it is.
    pub imprint: &'c [u8],
    /// DER of the policy's OBJECT IDENTIFIER.
    pub policy: &'c [u8],
    /// genTime, in microseconds since 1970, UTC.
    pub time_us: i64,
    /// Accuracy in microseconds; none stands for 0.
    pub accuracy_us: u64,
    /// Content of the INTEGER.
    pub nonce: Option<&'c [u8]>,
    /// Whether there are extensions.
    pub has_extensions: bool,
}

/// What a time-stamping authority answers.
#[derive(Debug)]
pub struct Answer<'c> {
    /// DER of the token.
    pub encoded: &'c [u8],
    /// The same, read.
    pub token: Token<'c>,
}

/// The document timestamp in `contents`, padded with zeros, is whole and over what it covers.
pub fn document_timestamp<'c>(covered: &Covered, contents: &'c [u8]) -> Found<Token<'c>> {
    let token = of_signed(in_hole(contents)?)?;
    require(token.imprint == covered.digest(token.imprint_hash).as_ref())?;
    Ok(token)
}

/// A TimeStampResp that grants a token which is whole.
pub fn answer(data: &[u8]) -> Found<Answer<'_>> {
    let mut fields = Reader::new(data).enter_last(der::SEQUENCE)?;
    let (status, _) = fields.take_whole(der::SEQUENCE)?;
    require(GRANTED.contains(&status))?;
    let (encoded, _) = fields.take_whole(der::SEQUENCE)?;
    fields.end()?;
    Ok(Answer { encoded, token: read(encoded)? })
}

/// A token with nothing behind it.
pub(crate) fn read(encoded: &[u8]) -> Found<Token<'_>> {
    let (signed, rest) = SignedData::read(encoded)?;
    require(rest.is_empty())?;
    of_signed(signed)
}

fn of_signed(signed: SignedData) -> Found<Token> {
    require(signed.content_type == TST_INFO)?;
    let content = signed.content.ok_or(Otherwise)?;
    signed.verify(signed.hash.over(&[content]).as_ref())?;
    let mut info = Reader::new(content).enter_last(der::SEQUENCE)?;
    require(info.take(der::INTEGER)? == [1])?;
    let (policy, _) = info.take_whole(der::OBJECT_IDENTIFIER)?;
    let mut stamped = info.enter(der::SEQUENCE)?;
    let imprint_hash = Hash::read(stamped.enter(der::SEQUENCE)?)?;
    let imprint = stamped.take(der::OCTET_STRING)?;
    stamped.end()?;
    der::shortest(info.take(der::INTEGER)?)?;
    let time_us = time_us(info.take(der::GENERALIZED_TIME)?)?;
    let accuracy_us = info.take_if(der::SEQUENCE)?.map_or(Ok(0), accuracy_us)?;
    info.take_if(der::BOOLEAN)?;
    let nonce = info.take_if(der::INTEGER)?.map(der::shortest).transpose()?;
    info.take_if(der::CONTEXT[0])?;
    let has_extensions = info.take_if(der::CONTEXT[1])?.is_some();
    info.end()?;
    let SignedData { signer, others, .. } = signed;
    Ok(Token { signer: signer.der, others, imprint_hash, imprint, policy, time_us, accuracy_us, nonce, has_extensions })
}

fn accuracy_us(content: &[u8]) -> Found<u64> {
    let mut parts = Reader::new(content);
    let seconds = parts.take_if(der::INTEGER)?.map_or(Ok(0), der::small)?;
    let mut whole = seconds * 1_000_000;
    for (tag, unit) in der::PRIMITIVE.into_iter().zip([1000, 1]) {
        if let Some(content) = parts.take_if(tag)? {
            let value = der::small(content)?;
            require((1..=MOST_PARTS).contains(&value))?;
            whole += value * unit;
        }
    }
    parts.end()?;
    Ok(whole)
}

/// GeneralizedTime in UTC, to the second or a fraction of up to six digits.
fn time_us(text: &[u8]) -> Found<i64> {
    let (digits, fraction) = text.strip_suffix(b"Z").and_then(|text| text.split_at_checked(14)).ok_or(Otherwise)?;
    let fraction = match fraction {
        [] => &[],
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => digits,
        _ => return Err(Otherwise),
    };
    let (year, month, day) = (number(&digits[..4])?, number(&digits[4..6])?, number(&digits[6..8])?);
    let (hour, minute, second) = (number(&digits[8..10])?, number(&digits[10..12])?, number(&digits[12..])?);
    require(year >= 1970 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day))?;
    require(hour < 24 && minute < 60 && second < 60)?;
    let scale = 10_i64.pow(6 - fraction.len() as u32);
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Ok(seconds * 1_000_000 + number(fraction)? * scale)
}

fn number(digits: &[u8]) -> Found<i64> {
    digits.iter().try_fold(0, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')).ok_or(Otherwise))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = 365 * (year - 1970) + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|each| days_in(year, each)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        assert_eq!(time_us(b"19700101000000Z"), Ok(0));
        assert_eq!(time_us(b"20000229235959.5Z"), Ok(951_868_799_500_000));
        assert_eq!(time_us(b"20261130183755.123Z"), Ok(1_796_063_875_123_000));
        assert_eq!(time_us(b"99991231235959.999999Z"), Ok(253_402_300_799_999_999));
    }

    #[test]
    fn other_times_are_left_to_others() {
        for text in [
            &b"20010229000000Z"[..],
            b"20010101000000",
            b"20010101000000.Z",
            b"20010101000000.1234567Z",
            b"20010101240000Z",
            b"200101010000Z",
        ] {
            assert_eq!(time_us(text), Err(Otherwise));
        }
    }
}
