//! How a mark looks: the registered picture as a form XObject, and one appearance for each size, turn and slice of it.
//!
//! What changes from document to document is object numbers alone, so a picture is read once.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::Compression;

use crate::conformance::Offences;
use crate::deep::{parse, Value};
use crate::dictionary::{is_reference, or_none, reference};
use crate::file::{File, Found, Position};
use crate::marks::{decimal, placed, upright, Area, Slice};
use crate::tree::{find_pages, visible_area};
use crate::update::dictionary;
use crate::{scan, NotLean};

const MOST_OBJECTS: usize = 500; // of one picture
const LARGEST_VALUE_BYTES: usize = 256 * 1024;
/// sRGB's white point, gamma and primaries (IEC 61966-2-1), for colours that would else depend on a device.
const DEFAULT_COLOURS: [(&[u8], &[u8]); 2] = [
    (
        b"DefaultRGB",
        b"[/CalRGB<</WhitePoint[0.9505 1 1.089]/Gamma[2.2 2.2 2.2]/Matrix[0.4124 0.2126 0.0193 0.3576 0.7152 0.1192 0.1805 0.0722 0.9505]>>]",
    ),
    (b"DefaultGray", b"[/CalGray<</WhitePoint[0.9505 1 1.089]/Gamma 2.2>>]"),
];

enum Part {
    Text(Vec<u8>),
    Object(usize), // index of the one that is referred to
}

type Body = Vec<Part>;

/// How a picture gets onto the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Multiplied onto it.
    Multiplied,
    /// Laid on opaque, in colours of no device.
    Opaque,
}

/// The objects of a picture, with placeholders where one refers to another; in each list the last one is the form XObject.
pub struct Picture {
    multiplied: Vec<Body>,
    opaque: Result<Vec<Body>, NotLean>,
    /// Its box.
    pub area: Area,
    /// What PDF/A forbids in it; an error where that cannot be told.
    pub offences: Result<Offences, NotLean>,
}

impl Picture {
    /// A registered PDF of one page.
    pub fn read(source: &[u8]) -> Result<Self, NotLean> {
        let mut file = File::open(source)?;
        let (number, generation) = reference(or_none(file.trailer().get(b"Root")))?;
        let root = file.dictionary(number, generation)?.ok_or(NotLean("a picture has no catalog"))?;
        let page =
            find_pages(&mut file, root.entries.get(b"Pages"), &BTreeSet::from([0]))?.remove(&0).ok_or(NotLean("a picture has no page"))?;
        let mut commands = Vec::new();
        let content = page.content.entries.get(b"Contents");
        for (index, each) in contents(&mut file, content)?.iter().enumerate() {
            if index > 0 {
                commands.push(b'\n');
            }
            let (number, generation) = reference(each)?;
            let found = file.dictionary(number, generation)?.ok_or(NotLean("a picture lacks its content"))?;
            commands.extend(file.data(&found)?);
        }
        let area = visible_area(&mut file, &page)?;
        let resources = page.content.entries.get(b"Resources").unwrap_or(b"<<>>");
        let data = compressed(&commands)?;
        // As a group, so that overlapping shapes of the picture are multiplied onto the page once (§11.6.6).
        let group = "/Group<</Type/Group/S/Transparency/I true/CS/DeviceRGB>>";
        let multiplied = objects(&mut file, &area, group, resources, &data)?;
        let opaque = with_default_colours(&mut file, resources).and_then(|own| objects(&mut file, &area, "", &own, &data));
        let offences = Offences::read(&mut file, &[or_null(content), resources]);
        Ok(Self { multiplied, opaque, area, offences })
    }

    fn objects(&self, ink: Ink) -> Result<&[Body], NotLean> {
        match ink {
            Ink::Multiplied => Ok(&self.multiplied),
            Ink::Opaque => self.opaque.as_deref().map_err(|&reason| reason),
        }
    }

    /// How many objects it has.
    pub fn count(&self, ink: Ink) -> Result<usize, NotLean> {
        self.objects(ink).map(<[Body]>::len)
    }

    /// The bodies of the objects when numbered from `first`.
    pub fn written(&self, first: usize, ink: Ink) -> Result<impl Iterator<Item = Vec<u8>> + '_, NotLean> {
        Ok(self.objects(ink)?.iter().map(move |parts| {
            let mut body = Vec::new();
            for part in parts {
                match part {
                    Part::Text(text) => body.extend(text),
                    Part::Object(index) => body.extend(format!("{} 0 R", first + index).into_bytes()),
                }
            }
            body
        }))
    }
}

fn or_null(value: Option<&[u8]>) -> &[u8] {
    value.unwrap_or(b"null")
}

/// The form XObject with these entries and commands, behind the objects that its resources refer to.
fn objects(file: &mut File, area: &Area, group: &str, resources: &[u8], data: &[u8]) -> Result<Vec<Body>, NotLean> {
    let mut copied = Copied { places: Vec::new(), objects: Vec::new() };
    let resources = copied.rewritten(resources)?;
    copied.follow(file)?;
    let mut form = vec![Part::Text(format!("<</Type/XObject/Subtype/Form/BBox{}{group}/Resources", area.array()).into_bytes())];
    form.extend(resources);
    let mut tail = format!("/Filter/FlateDecode/Length {}>>\nstream\n", data.len()).into_bytes();
    tail.extend(data);
    tail.extend(b"\nendstream");
    form.push(Part::Text(tail));
    copied.objects.push(form);
    Ok(copied.objects)
}

/// Resources with colour spaces that stand for DeviceRGB and DeviceGray, unless they have their own (§8.6.5.6).
fn with_default_colours(file: &mut File, resources: &[u8]) -> Result<Vec<u8>, NotLean> {
    let own = file.entries(Some(resources))?.unwrap_or_default();
    let spaces = file.entries(own.get(b"ColorSpace"))?.unwrap_or_default();
    let defaults = DEFAULT_COLOURS.into_iter().filter(|(key, _)| !spaces.has(key));
    let spaces = dictionary(defaults.chain(spaces.iter()));
    let others = own.iter().filter(|(key, _)| *key != b"ColorSpace");
    Ok(dictionary(others.chain([(&b"ColorSpace"[..], &spaces[..])])))
}

/// The body of the empty appearance of an invisible field: PDF/A-1 asks for one in every field (6.9).
pub const EMPTY_APPEARANCE: &[u8] = b"<</Type/XObject/Subtype/Form/BBox[0 0 0 0]/Resources<<>>/Length 0>>\nstream\n\nendstream";

/// The body of an appearance stream that shows a slice of the picture with that object number.
pub fn appearance(picture: &Area, number: usize, part: Slice, (width, height): (f64, f64), rotation: u16, ink: Ink) -> Vec<u8> {
    let content = placed(picture, part, width, height, ink == Ink::Opaque);
    let state = if ink == Ink::Opaque { "" } else { "/ExtGState<</Multiply<</Type/ExtGState/BM/Multiply>>>>" };
    format!(
        "<</Type/XObject/Subtype/Form/BBox[0 0 {} {}]/Matrix[{}]/Resources<</XObject<</Picture {number} 0 R>>{state}>>/Length {}>>\n\
         stream\n{content}\nendstream",
        decimal(width),
        decimal(height),
        upright(rotation),
        content.len(),
    )
    .into_bytes()
}

fn compressed(data: &[u8]) -> Result<Vec<u8>, NotLean> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let failed = |_| NotLean("a picture cannot be compressed");
    encoder.write_all(data).map_err(failed)?;
    encoder.finish().map_err(failed)
}

fn contents(file: &mut File, value: Option<&[u8]>) -> Result<Vec<Vec<u8>>, NotLean> {
    let Some(value) = value.filter(|value| *value != b"null") else { return Err(NotLean("a picture has no content")) };
    if !is_reference(value) {
        return file.elements(Some(value));
    }
    if file.leads_to_array(value)? {
        return file.elements(Some(value));
    }
    Ok(vec![value.to_vec()])
}

/// The objects that a picture's resources refer to, with references as indices into `objects`.
struct Copied {
    places: Vec<(u64, u64)>,
    objects: Vec<Body>,
}

impl Copied {
    fn rewritten(&mut self, value: &[u8]) -> Result<Body, NotLean> {
        let text = [value, b" "].concat(); // a reference may end where the value does
        let mut parts = Vec::new();
        let (mut copied, mut at) = (0, 0);
        while at < value.len() {
            let passed = match text[at] {
                b'(' => scan::string(&text, at),
                b'<' => scan::hexadecimal(&text, at),
                b'/' => scan::name(&text, at),
                b'\\' => Some(at + 2),
                _ => None,
            };
            if let Some(end) = passed {
                at = end;
            } else if let Some(end) = scan::reference(&text, at) {
                let place = self.place(reference(&text[at..end])?)?;
                parts.extend([Part::Text(text[copied..at].to_vec()), Part::Object(place)]);
                (copied, at) = (end, end);
            } else {
                at += 1;
            }
        }
        parts.push(Part::Text(value[copied..].to_vec()));
        Ok(parts)
    }

    /// Copies all objects found so far, and everything that they refer to.
    fn follow(&mut self, file: &mut File) -> Result<(), NotLean> {
        while let Some(&(number, generation)) = self.places.get(self.objects.len()) {
            let body = self.copy(file, number, generation)?;
            self.objects.push(body);
        }
        Ok(())
    }

    fn place(&mut self, own: (u64, u64)) -> Result<usize, NotLean> {
        if let Some(index) = self.places.iter().position(|&other| other == own) {
            return Ok(index);
        }
        if self.places.len() >= MOST_OBJECTS {
            return Err(NotLean("a picture has very many objects"));
        }
        self.places.push(own);
        Ok(self.places.len() - 1)
    }

    fn copy(&mut self, file: &mut File, number: u64, generation: u64) -> Result<Body, NotLean> {
        let start = match file.position(number, generation)? {
            None => return Ok(vec![Part::Text(b"null".to_vec())]),
            Some(Position::Packed(data, start)) => {
                let (_, end) = parse(&data, start, LARGEST_VALUE_BYTES)?;
                return self.rewritten(&data[start..end]);
            }
            Some(Position::Document(start)) => start,
        };
        let (value, end) = parse(file.document, start, LARGEST_VALUE_BYTES)?;
        if let Some(scan::Following::End(_)) = scan::following(file.document, end) {
            return self.rewritten(&file.document[start..end]);
        }
        let odd = NotLean("an object of a picture ends oddly");
        let found = file.dictionary(number, generation)?.ok_or(odd)?;
        let (Value::Dictionary(_), Some(offset)) = (value, found.data_offset) else { return Err(odd) };
        self.copy_stream(file, &found, offset)
    }

    fn copy_stream(&mut self, file: &mut File, found: &Found, offset: usize) -> Result<Body, NotLean> {
        let end = file.stream_end(&found.entries, offset)?;
        let mut head = b"<<".to_vec();
        for (key, value) in found.entries.iter().filter(|(key, _)| *key != b"Length") {
            head.extend([b"/", key, b" ", value].concat());
        }
        head.extend(format!("/Length {}>>", end - offset).into_bytes());
        let mut body = self.rewritten(&head)?;
        body.push(Part::Text([b"\nstream\n", &file.document[offset..end], b"\nendstream"].concat()));
        Ok(body)
    }
}
