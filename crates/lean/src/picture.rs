//! How a mark looks: the registered picture as a form XObject, and one appearance for each size, turn and slice of it.
//!
//! What changes from document to document is object numbers alone, so a picture is read once.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::Compression;

use crate::deep::{parse, Value};
use crate::dictionary::{is_reference, or_none, reference};
use crate::file::{File, Found, Position};
use crate::marks::{decimal, placed, upright, Area, Slice};
use crate::tree::{find_pages, visible_area};
use crate::{scan, NotLean};

const MOST_OBJECTS: usize = 500; // of one picture
const LARGEST_VALUE_BYTES: usize = 256 * 1024;

enum Part {
    Text(Vec<u8>),
    Object(usize), // index of the one that is referred to
}

type Body = Vec<Part>;

/// The objects of a picture, with placeholders where one refers to another; the last one is the form XObject.
pub struct Picture {
    objects: Vec<Body>,
    /// Its box.
    pub area: Area,
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
        for (index, each) in contents(&mut file, page.content.entries.get(b"Contents"))?.iter().enumerate() {
            if index > 0 {
                commands.push(b'\n');
            }
            let (number, generation) = reference(each)?;
            let found = file.dictionary(number, generation)?.ok_or(NotLean("a picture lacks its content"))?;
            commands.extend(file.data(&found)?);
        }
        let area = visible_area(&mut file, &page)?;
        let mut copied = Copied { places: Vec::new(), objects: Vec::new() };
        let resources = copied.rewritten(page.content.entries.get(b"Resources").unwrap_or(b"<<>>"))?;
        let data = compressed(&commands)?;
        copied.follow(&mut file)?;
        let head =
            format!("<</Type/XObject/Subtype/Form/BBox{}/Group<</Type/Group/S/Transparency/I true/CS/DeviceRGB>>/Resources", area.array());
        let mut form = vec![Part::Text(head.into_bytes())];
        form.extend(resources);
        let mut tail = format!("/Filter/FlateDecode/Length {}>>\nstream\n", data.len()).into_bytes();
        tail.extend(data);
        tail.extend(b"\nendstream");
        form.push(Part::Text(tail));
        copied.objects.push(form);
        Ok(Self { objects: copied.objects, area })
    }

    /// How many objects it has.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// A picture has an object at least.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The bodies of the objects when numbered from `first`.
    pub fn written(&self, first: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.objects.iter().map(move |parts| {
            let mut body = Vec::new();
            for part in parts {
                match part {
                    Part::Text(text) => body.extend(text),
                    Part::Object(index) => body.extend(format!("{} 0 R", first + index).into_bytes()),
                }
            }
            body
        })
    }
}

/// The body of an appearance stream that shows a slice of the picture with that object number.
pub fn appearance(picture: &Area, number: usize, part: Slice, (width, height): (f64, f64), rotation: u16) -> Vec<u8> {
    let content = placed(picture, part, width, height);
    format!(
        "<</Type/XObject/Subtype/Form/BBox[0 0 {} {}]/Matrix[{}]/Resources<</XObject<</Picture {number} 0 R>>/ExtGState<</Multiply\
         <</Type/ExtGState/BM/Multiply>>>>>>/Length {}>>\nstream\n{content}\nendstream",
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
    let (number, generation) = reference(value)?;
    let begins_array = |text: &[u8], start: usize| text.get(start) == Some(&b'[');
    let is_array = match file.position(number, generation)? {
        Some(Position::Document(start)) => begins_array(file.document, start),
        Some(Position::Packed(data, start)) => begins_array(&data, start),
        None => false,
    };
    if is_array {
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
