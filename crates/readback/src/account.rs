//! Accounts for every object of an update before anything is signed: the field, the approved marks with the registered pictures, the entries
//! that lead to them, and nothing else. An attacker who controls the writer can write anything; only what the plan explains is signed.
//!
//! Each object is compared, as bytes, with what plan and document ask for. Where a single byte differs, the general account decides; this one
//! never refuses.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Document;
use crate::looks::{Look, Looks};
use crate::metadata::declares_pdfa;
use crate::pages::{marked_pages, MarkedPage};
use crate::references::refers_to_block;
use crate::seal::all_zeros;
use crate::structure::Structured;
use crate::syntax::{reference, references, require, require_usual_blanks, Cursor, Entries, Found, Otherwise};
use crate::update::{take_apart, Part};

const RANGE_WIDTH: usize = 80; // between /ByteRange and /Contents at most
const ROUNDING: f64 = 0.5; // of a corner, in millipoints
const BLOCK: u64 = 10; // numbers that are looked for at once
/// What an invisible field may have for a look.
const EMPTY_LOOK: &str = "<</Type/XObject/Subtype/Form/BBox[0 0 0 0]/Resources<<>>/Length 0>>\nstream\n\nendstream";
const OF_THE_SECTION: [&[u8]; 10] = [b"Size", b"Prev", b"ID", b"Type", b"W", b"Index", b"Length", b"Filter", b"DecodeParms", b"XRefStm"];

/// One mark on one page.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Index of the page.
    pub page: usize,
    /// Left, bottom, right, top, in millipoints.
    pub rectangle: [i64; 4],
    /// SHA-256 of the registered picture.
    pub picture: [u8; 32],
    /// The slice, from 0.
    pub slice: u32,
    /// How many slices there are.
    pub slices: u32,
}

/// What the update is to hold.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Partial name of the signature field.
    pub field_name: String,
    /// The signing time as a PDF date.
    pub time_text: String,
    /// Page by page; the first one is the appearance of the signature field itself.
    pub marks: Vec<Mark>,
    /// /Name, /Reason, /Location, /ContactInfo; left out where empty.
    pub texts: [String; 4],
    /// Level of DocMDP; 0 for none.
    pub certification: u8,
    /// How large a CMS the hole takes.
    pub hole_size_bytes: usize,
    /// Recorded in /Prop_Build.
    pub writer_version: String,
    /// The seal's owner.
    pub owner_name: String,
}

/// An appearance that nobody has judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjudged {
    /// Index of the mark.
    pub mark: usize,
    /// Of the appearance's object.
    pub number: u64,
    /// Clockwise turn of its page in degrees.
    pub rotation: u16,
    /// Whether it may be laid on opaque.
    pub opaque: bool,
}

/// What an update was found to be.
#[derive(Clone, Debug)]
pub enum Account {
    /// What the plan asks for and nothing else; the hole from `<` to behind `>`, as offsets in the update.
    Holds(usize, usize),
    /// The same, if these appearances turn out to be right; and the bodies of the update's objects, by number.
    Unjudged(Vec<Unjudged>, Vec<(u64, usize, usize)>),
}

/// Accounts for `suffix`, which is to be appended to `document`.
pub fn account(document: &[u8], suffix: &[u8], plan: &Plan, looks: &Looks) -> Found<Account> {
    let opened = Document::open(document)?;
    let taken = take_apart(suffix, document.len())?;
    let all: Vec<(u64, usize, usize)> = taken.parts.iter().map(|(&number, part)| (number, part.start, part.stop)).collect();
    let mut quick = Quick {
        plan,
        suffix,
        base: document.len(),
        document: &opened,
        left: taken.parts.clone(),
        parts: taken.parts,
        shown: BTreeSet::new(),
        looks,
        unjudged: Vec::new(),
        structured: Vec::new(),
        opaque: None,
    };
    quick.continued(taken.trailer, &taken.numbers)?;
    let (start, end) = quick.settle()?;
    Ok(if quick.unjudged.is_empty() { Account::Holds(start, end) } else { Account::Unjudged(quick.unjudged, all) })
}

pub struct Quick<'q> {
    pub plan: &'q Plan,
    suffix: &'q [u8],
    base: usize,
    pub document: &'q Document<'q>,
    parts: BTreeMap<u64, Part>,
    left: BTreeMap<u64, Part>, // objects that nothing has claimed yet
    shown: BTreeSet<u64>,      // numbers of the objects that the marks' appearances consist of
    looks: &'q Looks,
    unjudged: Vec<Unjudged>,
    pub structured: Vec<Structured>, // annotations that say that they are part of the structure
    opaque: Option<bool>,            // whether marks may be laid on opaque; none until somebody asks
}

impl<'q> Quick<'q> {
    /// Claims one object after the other; the hole.
    fn settle(&mut self) -> Found<(usize, usize)> {
        let document = self.document;
        let root = reference(document.trailers()?.get(b"Root"))?;
        let (old, text) = document.dictionary(root)?;
        let new = changed(&old, text, self.taken(root)?, &[b"AcroForm", b"Perms"])?;
        let field = self.form(&old, &new)?;
        let signature = self.field_and_marks(&old, field)?;
        if self.plan.certification == 0 {
            require(new.get(b"Perms") == old.get(b"Perms"))?;
        } else {
            require(!old.has(b"Perms") && new.required(b"Perms")? == format!("<</DocMDP {signature} 0 R>>").as_bytes())?;
        }
        let hole = self.signature(signature)?;
        // What an unjudged appearance consists of is told when it is judged.
        require(self.left.is_empty() || !self.unjudged.is_empty())?;
        Ok(hole)
    }

    /// The trailer is the old one but for half of /ID, which is a hash; nothing in the document refers to the new objects' numbers.
    fn continued(&self, trailer: &[u8], numbers: &BTreeSet<u64>) -> Found<()> {
        let document = self.document;
        let highest = *numbers.last().ok_or(Otherwise)?;
        require(highest > document.highest)?;
        require_usual_blanks(trailer)?;
        let before = document.trailers()?;
        let mut told = format!("/Size {}/Prev {}", highest + 1, document.newest_at).into_bytes();
        for (key, value) in before.iter().filter(|(key, _)| !OF_THE_SECTION.contains(key)) {
            told.push(b'/');
            told.extend_from_slice(key);
            told.push(b' ');
            told.extend_from_slice(value);
        }
        told.extend_from_slice(b"/ID[");
        let mut halves = 2;
        if let Some(own) = before.get(b"ID") {
            told.extend_from_slice(first_half(own)?);
            halves = 1;
        }
        let mut cursor = Cursor::new(trailer, 0);
        cursor.expect(&told)?;
        for _ in 0..halves {
            cursor.expect(b"<")?;
            require(cursor.take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).len() == 32)?;
            cursor.expect(b">")?;
        }
        cursor.expect(b"]")?;
        require(cursor.ended())?;
        let blocks: BTreeSet<u64> = numbers.iter().filter(|&&number| number > document.highest).map(|number| number / BLOCK).collect();
        for block in blocks {
            require(block > 0 && !document.texts().any(|text| refers_to_block(text, block)))?;
        }
        Ok(())
    }

    // --- the form and the signature -----------------------------------------------------------------------------------------

    /// Checks that the form has one more field and differs in nothing else; that field's number.
    fn form(&mut self, old: &Entries<'q>, new: &Entries<'q>) -> Found<u64> {
        let document = self.document;
        let (before, after) = (old.get(b"AcroForm"), new.required(b"AcroForm")?);
        let (earlier, form) = match before {
            Some(value) if !value.starts_with(b"<<") => {
                require(value == after)?;
                let own = reference(before)?;
                let text = self.taken(own)?;
                require_usual_blanks(text)?;
                (document.dictionary(own)?.0, Entries::of(text)?)
            }
            _ => (Entries::of(before.unwrap_or(b"<<>>"))?, Entries::of(after)?),
        };
        let mut but: Vec<&[u8]> = vec![b"Fields", b"SigFlags"];
        if !form.has(b"NeedAppearances") {
            but.push(b"NeedAppearances");
        }
        earlier.require_same(&form, &but)?;
        require(form.get(b"SigFlags") == Some(b"3"))?;
        let own = references(document.array(earlier.get(b"Fields"))?)?;
        let mut fields = references(form.required(b"Fields")?)?;
        let (field, generation) = fields.pop().ok_or(Otherwise)?;
        require(generation == 0 && fields == own)?;
        Ok(field)
    }

    fn signature(&mut self, number: u64) -> Found<(usize, usize)> {
        let part = self.added(number)?;
        let (plan, suffix) = (self.plan, self.suffix);
        let mut cursor = Cursor::new(suffix, part.start);
        cursor.expect(&signature_head(plan))?;
        let told = cursor.at();
        let window = suffix.get(told..suffix.len().min(told + RANGE_WIDTH)).ok_or(Otherwise)?;
        let range_end = told + memchr::memmem::find(window, b"/Contents<").ok_or(Otherwise)?;
        let start = range_end + b"/Contents".len();
        let end = start + 2 * plan.hole_size_bytes + 2;
        require(end <= suffix.len())?;
        let range = format!("[0 {} {} {}]", self.base + start, self.base + end, suffix.len() - end);
        cursor.expect(range.as_bytes())?;
        require(suffix[cursor.at()..range_end].iter().all(|&byte| byte == b' '))?;
        require(all_zeros(&suffix[start + 1..end - 1]) && suffix.get(end - 1..end + 2) == Some(&b">>>"[..]))?;
        require(end + 2 == part.stop)?;
        Ok((start, end))
    }

    // --- pages and marks ----------------------------------------------------------------------------------------------------

    /// Checks the field with its widget, and all other marks, each on its page; the signature's number.
    fn field_and_marks(&mut self, old: &Entries<'q>, field: u64) -> Found<u64> {
        let plan = self.plan;
        let wanted: BTreeSet<usize> = plan.marks.iter().map(|mark| mark.page).collect();
        let pages = marked_pages(self.document, old.get(b"Pages"), &wanted)?;
        let label = text(&if plan.owner_name.is_empty() { "Seal".to_owned() } else { format!("Seal of {}", plan.owner_name) });
        let page = pages.get(&plan.marks.first().map_or(0, |mark| mark.page)).ok_or(Otherwise)?;
        let part = self.added(field)?;
        let mut cursor = self.inside(part);
        cursor.expect(b"<</Type/Annot/Subtype/Widget/FT/Sig/T")?;
        cursor.expect(&text(&plan.field_name))?;
        cursor.expect(b"/TU")?;
        cursor.expect(&label)?;
        cursor.expect(b"/V ")?;
        let signature = cursor.number(10)?;
        cursor.expect(b" 0 R/F 132/Rect")?;
        let rectangle = array_of_numbers(&mut cursor)?;
        let appearance = appearance_number(&mut cursor)?;
        cursor.expect(format!("/P {} {} R", page.reference.0, page.reference.1).as_bytes())?;
        self.ended(cursor, field, page.reference)?;
        let Some(first) = plan.marks.first() else {
            require(rectangle == b"0 0 0 0" && self.annotated(page)? == [field])?;
            if let Some(number) = appearance {
                self.spelled(number, EMPTY_LOOK)?;
            }
            self.structure(old, field)?;
            return Ok(signature);
        };
        self.look(0, first, page, rectangle, appearance)?;
        for &index in &wanted {
            let page = pages.get(&index).ok_or(Otherwise)?;
            let marks: Vec<usize> = (0..plan.marks.len()).filter(|&mark| plan.marks[mark].page == index).collect();
            self.page(page, &marks, field, &label)?;
        }
        for number in std::mem::take(&mut self.shown) {
            self.added(number)?;
        }
        self.structure(old, field)?;
        Ok(signature)
    }

    /// The end of an annotation, which may say that it is part of the structure.
    fn ended(&mut self, mut cursor: Cursor<'q>, annotation: u64, page: (u64, u64)) -> Found<()> {
        if cursor.passes(b"/StructParent ") {
            self.structured.push(Structured { key: cursor.number(10)?, annotation, page });
        }
        cursor.expect(b">>")?;
        require(cursor.ended())
    }

    fn page(&mut self, page: &MarkedPage, marks: &[usize], field: u64, label: &[u8]) -> Found<()> {
        let numbers = self.annotated(page)?;
        require(numbers.len() == marks.len())?;
        for (number, &mark) in numbers.into_iter().zip(marks) {
            if mark == 0 {
                require(number == field)?;
                continue;
            }
            let part = self.added(number)?;
            let mut cursor = self.inside(part);
            cursor.expect(b"<</Type/Annot/Subtype/Stamp/Contents")?;
            cursor.expect(label)?;
            cursor.expect(format!("/F 708/P {} {} R/Rect", page.reference.0, page.reference.1).as_bytes())?;
            let rectangle = array_of_numbers(&mut cursor)?;
            let appearance = appearance_number(&mut cursor)?;
            self.ended(cursor, number, page.reference)?;
            self.look(mark, &self.plan.marks[mark], page, rectangle, appearance)?;
        }
        Ok(())
    }

    /// Checks that the page has more annotations after its own and differs in nothing else; their numbers.
    fn annotated(&mut self, page: &MarkedPage) -> Found<Vec<u64>> {
        let new = changed(&page.entries, page.text, self.taken(page.reference)?, &[b"Annots", b"Tabs"])?;
        let told = new.get(b"Tabs");
        require(told == page.entries.get(b"Tabs") || told == Some(b"/S"))?;
        let before = self.document.array(page.entries.get(b"Annots"))?;
        let mut cursor = Cursor::new(new.required(b"Annots")?, 0);
        cursor.expect(&before[..before.len() - 1])?;
        let mut numbers = Vec::with_capacity(1);
        while cursor.passes(b" ") {
            numbers.push(cursor.number(10)?);
            cursor.expect(b" 0 R")?;
        }
        cursor.expect(b"]")?;
        require(cursor.ended() && !numbers.is_empty())?;
        Ok(numbers)
    }

    fn look(&mut self, index: usize, mark: &Mark, page: &MarkedPage, rectangle: &[u8], appearance: Option<u64>) -> Found<()> {
        let number = appearance.ok_or(Otherwise)?;
        require(is_rectangle(rectangle, mark.rectangle))?;
        let [x0, y0, x1, y1] = mark.rectangle;
        let mut look = Look {
            picture: mark.picture,
            width: x1 - x0,
            height: y1 - y0,
            slice: mark.slice,
            slices: mark.slices,
            rotation: page.rotation,
            opaque: false,
        };
        let mut recognised = self.recognised(&look, number);
        if recognised.is_err() && self.may_be_opaque()? {
            look.opaque = true;
            recognised = self.recognised(&look, number);
        }
        match recognised {
            Ok(numbers) => {
                self.shown.insert(number);
                self.shown.extend(numbers);
            }
            Err(Otherwise) => self.unjudged.push(Unjudged { mark: index, number, rotation: page.rotation, opaque: look.opaque }),
        }
        Ok(())
    }

    fn recognised(&self, look: &Look, number: u64) -> Found<Vec<u64>> {
        self.looks.recognised(look, self.body(number)?, |number| self.body(number))
    }

    /// Whether marks may go without transparency: only in documents that declare to be PDF/A.
    fn may_be_opaque(&mut self) -> Found<bool> {
        if let Some(known) = self.opaque {
            return Ok(known);
        }
        let root = reference(self.document.trailers()?.get(b"Root"))?;
        let (catalog, _) = self.document.dictionary(root)?;
        let opaque = match catalog.get(b"Metadata") {
            Some(value) => declares_pdfa(&self.document.stream(reference(Some(value))?)?),
            None => false,
        };
        self.opaque = Some(opaque);
        Ok(opaque)
    }

    // --- objects ------------------------------------------------------------------------------------------------------------

    fn inside(&self, part: Part) -> Cursor<'q> {
        Cursor::new(&self.suffix[..part.stop], part.start)
    }

    /// An object's body; that of one that was claimed already is no appearance.
    fn body(&self, number: u64) -> Found<&'q [u8]> {
        let part = self.left.get(&number).ok_or(Otherwise)?;
        Ok(&self.suffix[part.start..part.stop])
    }

    /// Claims an object of the document that was rewritten; its new body.
    pub fn taken(&mut self, (number, generation): (u64, u64)) -> Found<&'q [u8]> {
        let part = self.left.remove(&number).ok_or(Otherwise)?;
        require(part.generation == generation)?;
        Ok(&self.suffix[part.start..part.stop])
    }

    /// Claims a new object, whose body must be this.
    pub fn spelled(&mut self, number: u64, body: &str) -> Found<()> {
        let part = self.added(number)?;
        require(self.suffix[part.start..part.stop] == *body.as_bytes())
    }

    /// Whether the update has an object of that number.
    pub fn is_rewritten(&self, number: u64) -> bool {
        self.parts.contains_key(&number)
    }

    /// Claims a new object.
    fn added(&mut self, number: u64) -> Found<Part> {
        let part = self.left.remove(&number).ok_or(Otherwise)?;
        require(part.generation == 0 && number > self.document.highest && self.parts.contains_key(&number))?;
        Ok(part)
    }
}

/// The signature dictionary up to the value of /ByteRange, which depends on the document's size.
fn signature_head(plan: &Plan) -> Vec<u8> {
    let mut head = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached".to_vec();
    for (key, value) in [&b"/Name"[..], b"/Reason", b"/Location", b"/ContactInfo"].iter().zip(&plan.texts) {
        if !value.is_empty() {
            head.extend_from_slice(key);
            head.extend(text(value));
        }
    }
    head.extend_from_slice(b"/M");
    head.extend(text(&plan.time_text));
    head.extend_from_slice(b"/Prop_Build<</App<</Name/Vermilion/REx");
    head.extend(text(&plan.writer_version));
    head.extend_from_slice(b">>>>");
    if plan.certification != 0 {
        let level = format!(
            "/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P {}/V/1.2>>>>]",
            plan.certification
        );
        head.extend(level.into_bytes());
    }
    head.extend_from_slice(b"/ByteRange");
    head
}

/// A text string as the update spells it: ASCII in parentheses, or UTF-16 in hexadecimal (ISO 32000-2 §7.9.2.2).
fn text(value: &str) -> Vec<u8> {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"()\\".contains(&byte));
    if plain {
        return format!("({value})").into_bytes();
    }
    let units: String = value.encode_utf16().map(|unit| format!("{unit:04x}")).collect();
    format!("<FEFF{units}>").into_bytes()
}

fn array_of_numbers<'t>(cursor: &mut Cursor<'t>) -> Found<&'t [u8]> {
    cursor.expect(b"[")?;
    let inner = cursor.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.' | b' '));
    cursor.expect(b"]")?;
    Ok(inner)
}

fn appearance_number(cursor: &mut Cursor) -> Found<Option<u64>> {
    if !cursor.passes(b"/AP<</N ") {
        return Ok(None);
    }
    let number = cursor.number(10)?;
    cursor.expect(b" 0 R>>")?;
    Ok(Some(number))
}

fn is_rectangle(told: &[u8], corners: [i64; 4]) -> bool {
    let Ok(told) = std::str::from_utf8(told) else { return false };
    let told: Vec<&str> = told.split(' ').filter(|each| !each.is_empty()).collect();
    let near = |(each, corner): (&&str, i64)| each.parse::<f64>().is_ok_and(|value| (value * 1000.0 - corner as f64).abs() < ROUNDING);
    told.len() == 4 && told.iter().zip(corners).all(near)
}

/// The first of a document's two identifiers, as it stands.
fn first_half(array: &[u8]) -> Found<&[u8]> {
    let mut cursor = Cursor::new(array, 0);
    cursor.expect(b"[")?;
    cursor.blanks();
    let value = cursor.value(0)?;
    require(matches!(value[0], b'(' | b'<'))?;
    Ok(value)
}

/// The entries of the new dictionary, all of which but some are as in the old one.
pub fn changed<'t>(old: &Entries<'t>, text: &[u8], new: &'t [u8], keys: &[&[u8]]) -> Found<Entries<'t>> {
    require_usual_blanks(new)?;
    let entries = Entries::of(new)?;
    if let Some(appended) = new.strip_prefix(text).and_then(|rest| rest.strip_suffix(b">>")) {
        // The usual case: entries were appended, so only they need to be compared.
        let appended = Entries::within(appended)?;
        require(appended.iter().all(|(key, _)| !old.has(key) && keys.contains(&key)))?;
        return Ok(entries);
    }
    old.require_same(&entries, keys)?;
    Ok(entries)
}
