//! The update that extends a signed document: validation data into the DSS (ISO 32000-2 §12.8.4.3), and room for a document timestamp over
//! all of it (§12.8.5).

use std::collections::HashMap;

use crate::dictionary::{is_reference, or_none, reference, Dictionary};
use crate::file::File;
use crate::form::Form;
use crate::hash::Hash;
use crate::prepare::annotate;
use crate::signatures::{stream, STORE_KEYS, TIMESTAMP_SUBFILTER};
use crate::text::text_string;
use crate::tree::first_page;
use crate::update::{dictionary, Update};
use crate::NotLean;

/// The catalog's developer extension for PAdES structures in PDF 1.7 (ETSI EN 319 142-1 §5.6, ISO 32000-2 §7.12).
const EXTENSION: &[u8] = b"<</BaseVersion/1.7/ExtensionLevel 1>>";

/// Certificates, CRLs and OCSP responses.
pub type Store = [Vec<Vec<u8>>; 3];

/// What an update adds.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    /// What the DSS does not have yet.
    pub store: Store,
    /// The changing half of the file's /ID.
    pub identifier: Vec<u8>,
    /// Room for the timestamp token; 0 for none.
    pub hole_size_bytes: usize,
    /// What belongs to each signature, by its name in /VRI.
    pub vri: Vec<(String, Store)>,
    /// Of the document timestamp's field; made unique.
    pub field_name: String,
    /// For readers that speak.
    pub field_label: String,
}

/// A dictionary that is put together: entries in their order, each key once.
#[derive(Default)]
struct Entries(Vec<(Vec<u8>, Vec<u8>)>);

impl Entries {
    fn of(read: Option<Dictionary>) -> Self {
        Self(read.iter().flat_map(Dictionary::iter).map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        match self.0.iter_mut().find(|entry| entry.0 == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.to_vec(), value)),
        }
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|entry| entry.0 == key).map(|entry| entry.1.as_slice())
    }

    fn text(&self) -> Vec<u8> {
        dictionary(self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice())))
    }
}

/// What is appended to the document, and the byte range of the document timestamp, if there is room for one.
pub fn extend(document: &[u8], addition: &Addition, state: &Hash) -> Result<(Vec<u8>, Option<[usize; 4]>), NotLean> {
    let mut file = File::open(document)?;
    let file = &mut file;
    let root = reference(or_none(file.trailer().get(b"Root")))?;
    let catalog =
        file.dictionary(root.0, root.1)?.filter(|found| found.data_offset.is_none()).ok_or(NotLean("there is no catalog"))?.entries;
    let streams = file.object_streams()?;
    let texts = std::iter::once(document).chain(streams.iter().map(|data| data.as_slice())).collect();
    let mut update = Update::new(file, texts);
    let mut entries = Entries::of(Some(catalog.clone()));
    if addition.store.iter().any(|held| !held.is_empty()) || !addition.vri.is_empty() {
        entries.set(b"DSS", store(file, &mut update, &catalog, addition)?);
        let mut extensions = Entries(vec![(b"ESIC".to_vec(), EXTENSION.to_vec())]);
        for (key, value) in Entries::of(file.entries(catalog.get(b"Extensions"))?).0 {
            extensions.set(&key, value);
        }
        entries.set(b"Extensions", extensions.text());
    }
    if addition.hole_size_bytes == 0 {
        update.write(root.0 as usize, root.1, &entries.text());
        return Ok((update.closed(file, &addition.identifier, state)?, None));
    }
    let value = field(file, &mut update, &catalog, &mut entries, addition)?;
    update.write(root.0 as usize, root.1, &entries.text());
    let head = format!("<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/{TIMESTAMP_SUBFILTER}");
    let finished = update.finished(file, value, head.as_bytes(), addition.hole_size_bytes, &addition.identifier, state)?;
    Ok((finished.suffix, Some(finished.byte_range)))
}

/// Writes the DSS and what is new in it; its reference, the same one where there was one.
fn store(file: &mut File, update: &mut Update, catalog: &Dictionary, addition: &Addition) -> Result<Vec<u8>, NotLean> {
    let value = catalog.get(b"DSS");
    let old = Entries::of(file.entries(value)?);
    let mut entries = Entries(vec![(b"Type".to_vec(), b"/DSS".to_vec())]);
    for (key, value) in &old.0 {
        entries.set(key, value.clone());
    }
    let mut references: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for (key, added) in STORE_KEYS.into_iter().zip(&addition.store) {
        let mut listed = file.elements(old.get(key))?;
        if !addition.vri.is_empty() {
            for each in &listed {
                references.insert(stream(file, each)?, each.clone());
            }
        }
        for der in added {
            let number = update.reserve(1)?;
            let body = [format!("<</Length {}>>\nstream\n", der.len()).as_bytes(), der, b"\nendstream"].concat();
            update.write(number, 0, &body);
            let own = format!("{number} 0 R").into_bytes();
            references.insert(der.clone(), own.clone());
            listed.push(own);
        }
        if !listed.is_empty() {
            entries.set(key, [&b"["[..], &listed.join(&b' '), b"]"].concat());
        }
    }
    if !addition.vri.is_empty() {
        entries.set(b"VRI", vri(file, update, old.get(b"VRI"), &addition.vri, &references)?);
    }
    if let Some(value) = value.filter(|value| is_reference(value)) {
        let (number, generation) = reference(value)?;
        update.write(number as usize, generation, &entries.text());
        return Ok(value.to_vec());
    }
    let number = update.reserve(1)?;
    update.write(number, 0, &entries.text());
    Ok(format!("{number} 0 R").into_bytes())
}

fn vri(
    file: &mut File,
    update: &mut Update,
    old: Option<&[u8]>,
    all: &[(String, Store)],
    references: &HashMap<Vec<u8>, Vec<u8>>,
) -> Result<Vec<u8>, NotLean> {
    let mut entries = Entries::of(file.entries(old)?);
    for (key, own) in all {
        let mut one = Entries(vec![(b"Type".to_vec(), b"/VRI".to_vec())]);
        for (name, kind) in [&b"Cert"[..], b"CRL", b"OCSP"].into_iter().zip(own) {
            if !kind.is_empty() {
                let each = |der: &Vec<u8>| references.get(der).cloned().ok_or(NotLean("validation data are not in the store"));
                let listed = kind.iter().map(each).collect::<Result<Vec<_>, _>>()?;
                one.set(name, [&b"["[..], &listed.join(&b' '), b"]"].concat());
            }
        }
        let number = update.reserve(1)?;
        update.write(number, 0, &one.text());
        entries.set(key.as_bytes(), format!("{number} 0 R").into_bytes());
    }
    Ok(entries.text())
}

/// Writes field and widget of the document timestamp, enters them; the number of its value, which is still to be written.
fn field<'a>(
    file: &mut File<'a>,
    update: &mut Update,
    catalog: &Dictionary<'a>,
    entries: &mut Entries,
    addition: &Addition,
) -> Result<usize, NotLean> {
    let form = Form::read(file, catalog)?;
    if form.has_xfa(file)? {
        return Err(NotLean("the form is drawn by XFA"));
    }
    let value = update.reserve(2)?;
    let page = first_page(file, catalog.get(b"Pages"))?;
    let widget = [
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T",
        &text_string(&form.unique_name(&addition.field_name))[..],
        b"/TU",
        &text_string(&addition.field_label),
        format!("/V {value} 0 R/F 132/Rect[0 0 0 0]/P {} {} R>>", page.number, page.generation).as_bytes(),
    ]
    .concat();
    update.write(value + 1, 0, &widget);
    annotate(file, update, &page, &[value + 1], false)?;
    let mut fields = form.fields.clone();
    fields.push(format!("{} 0 R", value + 1).into_bytes());
    let mut own = Entries::of(form.entries.clone());
    own.set(b"Fields", [&b"["[..], &fields.join(&b' '), b"]"].concat());
    own.set(b"SigFlags", b"3".to_vec());
    match form.object {
        Some((number, generation)) => update.write(number as usize, generation, &own.text()),
        None => entries.set(b"AcroForm", own.text()),
    }
    Ok(value)
}
