//! What a signed document holds: its signatures, and the validation data of its DSS (ISO 32000-2 §12.8.1, §12.8.4.3).

use std::collections::HashSet;

use crate::dictionary::{integer, is_reference, items, reference, Dictionary};
use crate::file::File;
use crate::form::MOST_FIELDS;
use crate::text::{bytes_of, read_text};
use crate::NotLean;

/// Keys of the DSS, in the order of [`Contents::store`].
pub const STORE_KEYS: [&[u8]; 3] = [b"Certs", b"CRLs", b"OCSPs"];
/// Of a document timestamp.
pub const TIMESTAMP_SUBFILTER: &str = "ETSI.RFC3161";

/// One signature, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Full name of its field.
    pub field_name: String,
    /// Whether it is a document timestamp.
    pub is_timestamp: bool,
    /// Offsets and lengths, whatever they are.
    pub byte_range: Vec<usize>,
    /// What the hole holds, with the zeros behind it.
    pub contents: Vec<u8>,
}

/// Signatures and DSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// In no order.
    pub signatures: Vec<Signature>,
    /// Certificates, CRLs and OCSP responses.
    pub store: [Vec<Vec<u8>>; 3],
}

/// Reads a document's signatures and its DSS.
pub fn read(document: &[u8]) -> Result<Contents, NotLean> {
    let mut file = File::open(document)?;
    let file = &mut file;
    let root = file.trailer().get(b"Root").map(<[u8]>::to_vec);
    let catalog = file.entries(root.as_deref())?.unwrap_or_default();
    let form = file.entries(catalog.get(b"AcroForm"))?.unwrap_or_default();
    let mut signatures = Vec::new();
    let mut seen = HashSet::new();
    let top = file.elements(form.get(b"Fields"))?;
    let mut stack: Vec<(Vec<u8>, Vec<u8>, String)> = top.into_iter().map(|each| (each, Vec::new(), String::new())).collect();
    while let Some((value, above_kind, above_name)) = stack.pop() {
        let (number, generation) = reference(&value)?;
        if seen.len() > MOST_FIELDS || !seen.insert(number) {
            return Err(NotLean("a field is there twice, or there are very many"));
        }
        let field = file.dictionary(number, generation)?.ok_or(NotLean("a field is missing"))?.entries;
        let kind = field.get(b"FT").map_or(above_kind, <[u8]>::to_vec);
        let name = full_name(field.get(b"T"), above_name)?;
        if !kind.is_empty() && is_reference(&kind) {
            return Err(NotLean("the kind of a field is written oddly"));
        }
        if let (b"/Sig", Some(value)) = (&kind[..], field.get(b"V")) {
            signatures.extend(signature(file, value, &name)?);
        }
        for kid in file.elements(field.get(b"Kids"))? {
            stack.push((kid, kind.clone(), name.clone()));
        }
    }
    Ok(Contents { signatures, store: store(file, &catalog)? })
}

fn full_name(own: Option<&[u8]>, above: String) -> Result<String, NotLean> {
    let Some(raw) = own else { return Ok(above) };
    let own = read_text(raw)?.ok_or(NotLean("the name of a field is coded oddly"))?;
    Ok(if above.is_empty() { own } else { format!("{above}.{own}") })
}

fn signature(file: &mut File, value: &[u8], name: &str) -> Result<Option<Signature>, NotLean> {
    let odd = NotLean("the value of a signature is written oddly");
    let Some(entries) = file.entries(Some(value))? else { return Ok(None) };
    let Some(range) = entries.get(b"ByteRange") else { return Ok(None) };
    let digits = entries.get(b"Contents").and_then(|value| value.strip_prefix(b"<")?.strip_suffix(b">")).ok_or(odd)?;
    if digits.starts_with(b"<") || !digits.iter().all(u8::is_ascii_hexdigit) || digits.len() % 2 != 0 {
        return Err(odd);
    }
    let byte_range = items(range)?.into_iter().map(|each| integer(Some(each))).collect::<Result<_, _>>()?;
    let is_timestamp = entries.get(b"SubFilter").is_some_and(|value| value[1..] == *TIMESTAMP_SUBFILTER.as_bytes());
    let contents = bytes_of(digits).ok_or(odd)?;
    Ok(Some(Signature { field_name: name.to_owned(), is_timestamp, byte_range, contents }))
}

fn store(file: &mut File, catalog: &Dictionary) -> Result<[Vec<Vec<u8>>; 3], NotLean> {
    let entries = file.entries(catalog.get(b"DSS"))?.unwrap_or_default();
    let mut store: [Vec<Vec<u8>>; 3] = Default::default();
    for (key, held) in STORE_KEYS.into_iter().zip(&mut store) {
        for each in file.elements(entries.get(key))? {
            held.push(stream(file, &each)?);
        }
    }
    Ok(store)
}

/// The decoded data of a stream that is referred to.
pub fn stream(file: &mut File, value: &[u8]) -> Result<Vec<u8>, NotLean> {
    let (number, generation) = reference(value)?;
    let found = file.dictionary(number, generation)?.ok_or(NotLean("a stream is missing"))?;
    file.data(&found)
}
