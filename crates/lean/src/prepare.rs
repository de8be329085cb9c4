//! Prepares a document for signing: catalog, form, field and signature always stand plain in the update's own cross-reference section.

use std::collections::{BTreeMap, BTreeSet};

use crate::conformance::Declared;
use crate::content::changeable;
use crate::dictionary::{is_reference, or_none, reference, Dictionary};
use crate::file::{File, Found};
use crate::form::Form;
use crate::hash::{sha256, Hash};
use crate::marks::{Area, Mark, Slice};
use crate::picture::{appearance, Ink, Picture, EMPTY_APPEARANCE};
use crate::structure::Structure;
use crate::text::text_string;
use crate::tree::{find_pages, first_page, require_single, rotation, stands_above, visible_area, Page};
use crate::update::{dictionary, Update};
use crate::{NotLean, Plan, Prepared, Warning};

/// The update for a document as the plan says. `state` is the hash, by the key's own function, after the whole document.
///
/// The same document and plan give the same update. An error means that the document is not fully understood or would be refused: the
/// sandbox judges and words the refusals.
pub fn prepare(document: &[u8], plan: &Plan, pictures: &[&Picture], state: &Hash) -> Result<Prepared, NotLean> {
    let mut file = File::open(document)?;
    let file = &mut file;
    let root = reference(or_none(file.trailer().get(b"Root")))?;
    let catalog = file
        .dictionary(root.0, root.1)?
        .filter(|found| found.data_offset.is_none() && found.entries.get(b"Type") == Some(b"/Catalog"))
        .ok_or(NotLean("there is no catalog"))?;
    let declared = Declared::read(file, &catalog.entries)?;
    let form = Form::read(file, &catalog.entries)?;
    let mut warnings = warnings(changeable(file, &catalog.entries, &form, root)?, &form, plan)?;
    // After an earlier signature the structure is left as it is, since changing it would change what was signed.
    let mut structure = if declared.pdfua == 1 && form.signed == 0 { Some(Structure::read(file, &catalog.entries)?) } else { None };
    warnings.extend(losses(&declared, structure.is_some(), plan, pictures)?);
    let field_name = form.unique_name(&plan.field_name);
    let visible = !plan.marks.is_empty();
    form.require_allowed(file, &field_name, visible)?;
    if let Some(redraw) = form.entries.as_ref().and_then(|entries| entries.get(b"NeedAppearances")) {
        let harmless = redraw == b"false" || redraw == b"true" && form.signed == 0 && form.draws_nothing(file)?;
        if !harmless && (form.signed == 0 || visible) {
            return Err(NotLean("readers draw the form by themselves"));
        }
    }
    let streams = file.object_streams()?;
    let texts = std::iter::once(document).chain(streams.iter().map(|data| data.as_slice())).collect();
    let mut update = Update::new(file, texts);
    let signature = update.reserve(2)?;
    let field = Field { number: signature + 1, signature, name: &field_name };
    let mut marks = Marks { file, update: &mut update, plan, pictures, declared, structure: structure.as_mut() };
    marks.write(catalog.entries.get(b"Pages"), &field)?;
    if let Some(structure) = structure {
        structure.write(file, &mut update)?;
    }
    let certification = certification(plan, form.signed > 0)?;
    let certifying = (certification != 0).then_some(signature);
    let body = catalog_body(&mut update, &catalog, &form, field.number, certifying)?;
    update.write(root.0 as usize, root.1, &body);
    let identifier = sha256(&[&state.clone().finish(), plan.field_name.as_bytes(), plan.time_iso.as_bytes()]);
    let entries = signature_entries(plan, certification);
    let finished = update.finished(file, signature, &entries, plan.hole_size_bytes, &identifier[..16], state)?;
    Ok(Prepared { suffix: finished.suffix, byte_range: finished.byte_range, digest: finished.digest, field_name, warnings })
}

fn warnings(mut content: Vec<Warning>, form: &Form, plan: &Plan) -> Result<Vec<Warning>, NotLean> {
    if !content.is_empty() && plan.strict {
        return Err(NotLean("the document has content that can change"));
    }
    if form.signed > 0 && plan.marks.len() > 1 {
        content.push(Warning::MarkedLater);
    }
    Ok(content)
}

/// Of the standards that the document will no longer conform to.
fn losses(declared: &Declared, structured: bool, plan: &Plan, pictures: &[&Picture]) -> Result<Vec<Warning>, NotLean> {
    let mut lost = Vec::new();
    if declared.pdfa > 0 {
        for picture in pictures {
            let offences = picture.offences?;
            if offences.always || offences.opaque && declared.plain() {
                lost = vec![Warning::PdfaLost];
            }
        }
    }
    if declared.pdfua > 0 && !structured {
        lost.push(Warning::PdfuaLost);
    }
    if !lost.is_empty() && plan.strict {
        return Err(NotLean("the document would lose its conformance"));
    }
    Ok(lost)
}

/// What the seal certifies in a document that carries signatures, or none.
fn certification(plan: &Plan, signed: bool) -> Result<u8, NotLean> {
    let asked = plan.certification;
    let outside = plan.bound.is_some_and(|bound| asked != bound) && !(signed && asked == 0);
    if outside || signed && asked != 0 {
        return Err(NotLean("the seal would certify what it may not"));
    }
    Ok(asked)
}

/// The signature dictionary (ISO 32000-2 table 255, ETSI EN 319 142-1 §5.3) but for /ByteRange, /Contents and its end.
fn signature_entries(plan: &Plan, certification: u8) -> Vec<u8> {
    let mut text = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached".to_vec();
    let named = [("Name", &plan.name), ("Reason", &plan.reason), ("Location", &plan.location), ("ContactInfo", &plan.contact)];
    for (key, value) in named.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.push(b'/');
        text.extend_from_slice(key.as_bytes());
        text.extend(text_string(value));
    }
    text.extend_from_slice(b"/M");
    text.extend(text_string(&plan.time_text));
    text.extend_from_slice(b"/Prop_Build<</App<</Name/Vermilion/REx");
    text.extend(text_string(&plan.writer_version));
    text.extend_from_slice(b">>>>");
    if certification != 0 {
        // A DocMDP signature reference (ISO 32000-2 §12.8.2.2).
        let reference =
            format!("/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P {certification}/V/1.2>>>>]");
        text.extend_from_slice(reference.as_bytes());
    }
    text
}

struct Field<'f> {
    number: usize,
    signature: usize,
    name: &'f str,
}

/// What the marks, and the field, are written with.
struct Marks<'m, 'a, 't> {
    file: &'m mut File<'a>,
    update: &'m mut Update<'t>,
    plan: &'m Plan,
    pictures: &'m [&'m Picture],
    declared: Declared,
    structure: Option<&'m mut Structure<'a>>,
}

impl<'a> Marks<'_, 'a, '_> {
    /// Field and widget as one object, on the page of the first mark (or, invisible, on the first page); a stamp for each other mark.
    fn write(&mut self, tree: Option<&[u8]>, field: &Field) -> Result<(), NotLean> {
        let plan = self.plan;
        let label = text_string(&if plan.owner_name.is_empty() { "Seal".to_owned() } else { format!("Seal of {}", plan.owner_name) });
        let mut body = b"<</Type/Annot/Subtype/Widget/FT/Sig/T".to_vec();
        body.extend(text_string(field.name));
        body.extend_from_slice(b"/TU");
        body.extend_from_slice(&label);
        body.extend(format!("/V {} 0 R/F 132", field.signature).into_bytes());
        let Some(mark) = plan.marks.first() else { return self.unseen(tree, field, body) };
        let wanted: BTreeSet<usize> = plan.marks.iter().map(|mark| mark.page).chain([0]).collect();
        let pages =
            if wanted.len() == 1 { BTreeMap::from([(0, first_page(self.file, tree)?)]) } else { find_pages(self.file, tree, &wanted)? };
        let page_of = |mark: &Mark| pages.get(&mark.page).ok_or(NotLean("a page is not there"));
        let first = page_of(mark)?;
        require_single(self.file, tree)?;
        let ink = if self.declared.plain() { Ink::Opaque } else { Ink::Multiplied };
        let pictures = self.pictures;
        let mut looks = Looks { pictures, ink, numbers: vec![None; pictures.len()], made: Vec::new(), pages: BTreeMap::new() };
        body.extend(looks.shown(self.file, self.update, mark, first)?);
        body.extend(format!("/P {} {} R", first.number, first.generation).into_bytes());
        self.finish(body, field.number, first, "Form");
        let mut added: Vec<(&Page, Vec<usize>)> = vec![(first, vec![field.number])];
        for mark in &plan.marks[1..] {
            let page = page_of(mark)?;
            let mut stamp = b"<</Type/Annot/Subtype/Stamp/Contents".to_vec();
            stamp.extend_from_slice(&label);
            stamp.extend(format!("/F 708/P {} {} R", page.number, page.generation).into_bytes());
            stamp.extend(looks.shown(self.file, self.update, mark, page)?);
            let number = self.update.reserve(1)?;
            self.finish(stamp, number, page, "Annot");
            match added.iter_mut().find(|(other, _)| other.number == page.number) {
                Some((_, numbers)) => numbers.push(number),
                None => added.push((page, vec![number])),
            }
        }
        let structured = self.structure.is_some();
        added.into_iter().try_for_each(|(page, numbers)| annotate(self.file, self.update, page, &numbers, structured))
    }

    /// An invisible field, on the first page.
    fn unseen(&mut self, tree: Option<&[u8]>, field: &Field, mut body: Vec<u8>) -> Result<(), NotLean> {
        let page = first_page(self.file, tree)?;
        body.extend(b"/Rect[0 0 0 0]");
        if self.declared.pdfa == 1 {
            let number = self.update.reserve(1)?;
            self.update.write(number, 0, EMPTY_APPEARANCE);
            body.extend(format!("/AP<</N {number} 0 R>>").into_bytes());
        }
        body.extend(format!("/P {} {} R", page.number, page.generation).into_bytes());
        self.finish(body, field.number, &page, "Form");
        annotate(self.file, self.update, &page, &[field.number], self.structure.is_some())
    }

    /// Writes an annotation, given but for its end; in the structure it is an element of that kind.
    fn finish(&mut self, mut body: Vec<u8>, number: usize, page: &Page, kind: &'static str) {
        if let Some(structure) = &mut self.structure {
            let key = structure.add(number, (page.number, page.generation), kind);
            body.extend(format!("/StructParent {key}").into_bytes());
        }
        body.extend_from_slice(b">>");
        self.update.write(number, 0, &body);
    }
}

struct MadeLook {
    picture: usize,
    size: (f64, f64),
    turn: u16,
    slice: Slice,
    number: usize,
}

/// Appearances of one update; pictures and equal appearances are written once and shared.
struct Looks<'p> {
    pictures: &'p [&'p Picture],
    ink: Ink,
    numbers: Vec<Option<usize>>, // of the pictures' form XObjects
    made: Vec<MadeLook>,
    pages: BTreeMap<u64, (Area, u16)>,
}

impl Looks<'_> {
    /// The entries that give an annotation its position and its appearance.
    fn shown(&mut self, file: &mut File, update: &mut Update, mark: &Mark, page: &Page) -> Result<Vec<u8>, NotLean> {
        let (visible, turn) = match self.pages.get(&page.number) {
            Some(&known) => known,
            None => (visible_area(file, page)?, rotation(page)?),
        };
        self.pages.insert(page.number, (visible, turn));
        let area = Area::of_millipoints(mark.rectangle);
        if !area.lies_within(&visible) {
            return Err(NotLean("a mark lies outside of what is visible of its page"));
        }
        let size = area.shown_size(turn);
        let same = |look: &&MadeLook| look.picture == mark.picture && look.size == size && look.turn == turn && look.slice == mark.slice;
        let number = match self.made.iter().find(same) {
            Some(look) => look.number,
            None => {
                let form = self.picture(update, mark.picture)?;
                let number = update.reserve(1)?;
                update.write(number, 0, &appearance(&self.pictures[mark.picture].area, form, mark.slice, size, turn, self.ink));
                self.made.push(MadeLook { picture: mark.picture, size, turn, slice: mark.slice, number });
                number
            }
        };
        Ok(format!("/Rect{}/AP<</N {number} 0 R>>", area.array()).into_bytes())
    }

    fn picture(&mut self, update: &mut Update, index: usize) -> Result<usize, NotLean> {
        if let Some(number) = self.numbers[index] {
            return Ok(number);
        }
        let picture = self.pictures[index];
        let count = picture.count(self.ink)?;
        let first = update.reserve(count)?;
        for (number, body) in (first..).zip(picture.written(first, self.ink)?) {
            update.write(number, 0, &body);
        }
        let form = first + count - 1;
        self.numbers[index] = Some(form);
        Ok(form)
    }
}

/// Rewrites the page with these annotations appended to its own.
///
/// They always stand in the page itself then: an array elsewhere may be other pages' as well. `structured`: tabs go by the structure.
pub fn annotate(file: &mut File, update: &mut Update, page: &Page, annotations: &[usize], structured: bool) -> Result<(), NotLean> {
    let references: String = annotations.iter().map(|number| format!(" {number} 0 R")).collect();
    let entries = &page.content.entries;
    let array = match entries.get(b"Annots") {
        None if stands_above(page, b"Annots") => return Err(NotLean("annotations hang above the page")),
        None if !structured => {
            let body = [entries.open_text(), b"/Annots[", references.as_bytes(), b"]>>"].concat();
            update.write(page.number as usize, page.generation, &body);
            return Ok(());
        }
        None => b"[]".to_vec(),
        Some(value) if is_reference(value) => {
            let (number, generation) = reference(value)?;
            file.array(number, generation)?
        }
        Some(value) if value.starts_with(b"[") => value.to_vec(),
        Some(_) => return Err(NotLean("a page's annotations are no array")),
    };
    let array = [&array[..array.len() - 1], references.as_bytes(), b"]"].concat();
    let new: [(&[u8], &[u8]); 2] = [(b"Annots", &array), (b"Tabs", b"/S")];
    update.write(page.number as usize, page.generation, &replaced(entries, &new[..1 + usize::from(structured)], b""));
    Ok(())
}

/// A dictionary with some entries replaced or added, and one left out.
pub fn replaced(entries: &Dictionary, new: &[(&[u8], &[u8])], without: &[u8]) -> Vec<u8> {
    let value_of = |key: &[u8]| new.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
    let kept = entries.iter().filter(|(key, _)| *key != without).map(|(key, value)| (key, value_of(key).unwrap_or(value)));
    let added = new.iter().copied().filter(|(key, _)| !entries.has(key));
    dictionary(kept.chain(added))
}

/// Writes the form; gives the catalog. `certifying` is the signature that certifies the document.
fn catalog_body(update: &mut Update, catalog: &Found, form: &Form, field: usize, certifying: Option<usize>) -> Result<Vec<u8>, NotLean> {
    let mut fields = vec![b'['];
    for each in &form.fields {
        fields.extend_from_slice(each);
        fields.push(b' ');
    }
    fields.extend(format!("{field} 0 R]").into_bytes());
    let mut body = match &form.entries {
        None => [catalog.entries.open_text(), b"/AcroForm<</Fields", &fields, b"/SigFlags 3>>>>"].concat(),
        Some(entries) => {
            // Redrawing would be a change after sealing.
            let without: &[u8] = if form.signed == 0 { b"NeedAppearances" } else { b"" };
            let own = replaced(entries, &[(b"Fields", &fields), (b"SigFlags", b"3")], without);
            match form.object {
                Some((number, generation)) => {
                    update.write(number as usize, generation, &own);
                    [catalog.entries.open_text(), b">>"].concat()
                }
                None => replaced(&catalog.entries, &[(b"AcroForm", &own)], b""),
            }
        }
    };
    if let Some(signature) = certifying {
        if catalog.entries.has(b"Perms") {
            return Err(NotLean("the document has permissions"));
        }
        body.truncate(body.len() - 2);
        body.extend(format!("/Perms<</DocMDP {signature} 0 R>>>>").into_bytes());
    }
    Ok(body)
}
