//! A document as an update needs it: its cross-reference sections, and single objects by number (ISO 32000-2 §7.5).
//!
//! What is relied upon is checked: rows, keywords, numbers and generations where objects begin, lengths of streams, the end of the file.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use flate2::{Decompress, FlushDecompress, Status};

use crate::deep::deep_dictionary;
use crate::dictionary::{direct, integer, is_reference, items, reference, Dictionary, LARGEST_OBJECT_BYTES};
use crate::scan::{self, Following};
use crate::sections::{without_predictor, Place, Rows, Run, Section, Table, ROW_BYTES};
use crate::NotLean;

/// PDFium reads no larger object numbers.
pub const LARGEST_OBJECT_NUMBER: usize = 4_000_000;
const MOST_SECTIONS: usize = 64; // one per update; documents with more are left to the sandbox
const MOST_RUNS: usize = 10_000; // of consecutive numbers, in one section
const MOST_ROWS: usize = 100_000; // of one cross-reference stream
const MOST_PACKED: usize = 20_000; // objects in one stream
const LARGEST_SLOW_BYTES: usize = 32 * 1024; // of an object that is read token by token
const MOST_DECODED_BYTES: usize = 4 * 1024 * 1024; // of all streams of one document
const MOST_WORK_BYTES: usize = 8 * 1024 * 1024; // parsed for one document, repeats included; 400 kB is unusual already
const TAIL_BYTES: usize = 1024;

/// A dictionary, and where the data of its stream begins, if it has one.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Keys and values.
    pub entries: Dictionary<'a>,
    /// Of the stream's encoded data.
    pub data_offset: Option<usize>,
}

/// The text that contains an object, and where its value begins.
pub enum Position {
    /// In the document.
    Document(usize),
    /// In an object stream.
    Packed(Rc<Vec<u8>>, usize),
}

#[derive(Clone)]
struct Packed {
    data: Rc<Vec<u8>>,
    first: usize,
    head: Rc<Vec<(u64, usize)>>, // number and offset of each object
}

/// An opened document. Only the cross-reference sections are read in advance, the newest first.
pub struct File<'a> {
    /// Its bytes.
    pub document: &'a [u8],
    /// The newest first.
    pub sections: Vec<Section<'a>>,
    /// Whether its cross-references are in streams, so that an update's must be, too.
    pub in_streams: bool,
    /// The first that no object has.
    pub next_number: usize,
    hybrid: bool,
    decoded_bytes: usize,
    work_bytes: usize,
    packed: HashMap<u64, Packed>,
}

impl<'a> File<'a> {
    /// Reads the cross-reference sections.
    pub fn open(document: &'a [u8]) -> Result<Self, NotLean> {
        if !has_header(document) {
            return Err(NotLean("the header is not at the beginning"));
        }
        let mut file = Self {
            document,
            sections: Vec::with_capacity(2),
            in_streams: false,
            next_number: 0,
            hybrid: false,
            decoded_bytes: 0,
            work_bytes: 0,
            packed: HashMap::new(),
        };
        let start = tail(document).ok_or(NotLean("the file does not end with startxref and %%EOF"))?;
        file.read_sections(start)?;
        // A wrong /Size would let new objects take the numbers of old ones.
        let mut next_number = integer(file.trailer().get(b"Size"))?;
        for section in &file.sections {
            integer(section.trailer().get(b"Size"))?;
            let hidden = section.hidden().map_or(&[][..], |rows| &rows.runs);
            for (first, count, _) in section.runs().last().into_iter().chain(hidden) {
                next_number = next_number.max(first + count);
            }
        }
        if next_number > LARGEST_OBJECT_NUMBER {
            return Err(NotLean("object numbers are too large"));
        }
        file.next_number = next_number;
        Ok(file)
    }

    /// The newest section's trailer.
    pub fn trailer(&self) -> &Dictionary<'a> {
        self.sections[0].trailer()
    }

    /// Counts parsed bytes against the document's one allowance, since an object that many others refer to is parsed as many times.
    pub fn spend(&mut self, size_bytes: usize) -> Result<(), NotLean> {
        self.work_bytes += size_bytes;
        if self.work_bytes > MOST_WORK_BYTES {
            return Err(NotLean("the document takes too much work"));
        }
        Ok(())
    }

    // --- cross-references ---------------------------------------------------------------------------------------------------

    fn read_sections(&mut self, start: usize) -> Result<(), NotLean> {
        let mut offset = start;
        let mut seen = vec![offset];
        loop {
            let mut section = match table_head(self.document, offset) {
                Some((word, run)) => Section::Table(self.table(word, run)?),
                None => Section::Rows(self.stream_section(offset)?),
            };
            if section.trailer().has(b"Encrypt") {
                return Err(NotLean("the document is encrypted"));
            }
            match &mut section {
                Section::Rows(_) => self.in_streams = true,
                Section::Table(table) => {
                    if let Some(value) = table.trailer.get(b"XRefStm") {
                        let at = integer(Some(value))?;
                        self.hybrid = true;
                        table.hidden = Some(self.stream_section(at)?);
                    }
                }
            }
            let previous = section.trailer().get(b"Prev").map(|value| integer(Some(value))).transpose()?;
            self.sections.push(section);
            let Some(previous) = previous else { break };
            if seen.contains(&previous) || seen.len() >= MOST_SECTIONS {
                return Err(NotLean("cross-reference sections run in a circle, or there are too many"));
            }
            seen.push(previous);
            offset = previous;
        }
        match self.sections.last() {
            Some(Section::Table(oldest)) => check_first_object(self.document, oldest),
            _ => Ok(()),
        }
    }

    fn table(&mut self, offset: usize, first_run: Run) -> Result<Table<'a>, NotLean> {
        let (document, mut end) = (self.document, 0);
        let mut runs: Vec<Run> = Vec::with_capacity(2);
        let mut run = first_run;
        loop {
            let (first, count, start) = run;
            let position = start + ROW_BYTES * count;
            if first < end || position > document.len() || runs.len() >= MOST_RUNS {
                return Err(NotLean("a cross-reference table names numbers twice, or is cut off"));
            }
            if !rows_are_plain(&document[start..position]) {
                return Err(NotLean("a cross-reference table has an odd row"));
            }
            end = first + count;
            runs.push(run);
            match run_head(document, position) {
                Some(further) => run = further,
                None => return Ok(Table { offset, trailer: self.table_trailer(position)?, runs, hidden: None }),
            }
        }
    }

    fn table_trailer(&mut self, position: usize) -> Result<Dictionary<'a>, NotLean> {
        let odd = NotLean("a cross-reference table has an odd end");
        let document = self.document;
        let word = scan::word(document, scan::spaces(document, position), b"trailer").ok_or(odd)?;
        let begin = scan::spaces(document, word);
        let inside = scan::word(document, begin, b"<<").ok_or(odd)?;
        let (entries, end) = Dictionary::read(document, begin, inside + LARGEST_OBJECT_BYTES)?;
        self.spend(end - position)?;
        if trailer_ends(document, end) {
            return Ok(entries);
        }
        // Some PDF producers put comments into it or after it.
        self.spend(LARGEST_SLOW_BYTES)?;
        let window = scan::uncommented(&document[begin..document.len().min(inside + LARGEST_SLOW_BYTES)]);
        let (entries, end) = Dictionary::read(&window, 0, window.len())?;
        if !trailer_ends(&window, end) {
            return Err(odd);
        }
        Ok(entries.into_owned())
    }

    fn stream_section(&mut self, offset: usize) -> Result<Rows<'a>, NotLean> {
        let none = NotLean("there is no cross-reference section where one should be");
        let odd = NotLean("a cross-reference stream is odd");
        let many = NotLean("a cross-reference stream has very many rows, or none");
        let document = self.document;
        let (_, _, behind) = scan::object_head(document, offset).ok_or(none)?;
        let begin = scan::spaces(document, behind);
        scan::word(document, begin, b"<<").ok_or(none)?;
        let (trailer, position) = Dictionary::read(document, begin, begin + 2 + LARGEST_OBJECT_BYTES)?;
        self.spend(position - offset)?;
        let Some(Following::Stream(data)) = scan::close(document, position).and_then(|end| scan::following(document, end)) else {
            return Err(none);
        };
        let (second, third) = trailer.get(b"W").and_then(widths).ok_or(odd)?;
        if trailer.get(b"Type") != Some(b"/XRef") {
            return Err(odd);
        }
        let width = 1 + second + third;
        let size = integer(trailer.get(b"Size"))?;
        let index = match trailer.get(b"Index") {
            Some(value) => items(value)?.into_iter().map(|each| integer(Some(each))).collect::<Result<Vec<_>, _>>()?,
            None => vec![0, size],
        };
        if index.len() % 2 != 0 || index.is_empty() || index.len() > 2 * MOST_RUNS {
            return Err(many);
        }
        let (mut runs, mut start, mut end) = (Vec::with_capacity(index.len() / 2), 0usize, 0);
        for pair in index.chunks_exact(2) {
            let (first, count) = (pair[0], pair[1]);
            if first < end {
                return Err(NotLean("a cross-reference stream names numbers twice"));
            }
            end = first.checked_add(count).ok_or(odd)?;
            runs.push((first, count, start));
            start = count.checked_mul(width).and_then(|size| size.checked_add(start)).ok_or(odd)?;
            if start > MOST_ROWS * width {
                return Err(many);
            }
        }
        let data = &document[data..self.stream_end(&trailer, data)?];
        let rows = self.rows(&trailer, data, width, start)?;
        Ok(Rows { offset: scan::spaces(document, offset), trailer, runs, rows, second, third })
    }

    /// The rows of a cross-reference stream, if its data is nothing but these rows.
    fn rows(&mut self, trailer: &Dictionary, data: &[u8], width: usize, size_bytes: usize) -> Result<Vec<u8>, NotLean> {
        let columns = columns(trailer.get(b"DecodeParms"))?;
        if columns != 0 && columns != width {
            return Err(NotLean("a stream has an odd predictor"));
        }
        let data = self.decoded(trailer.get(b"Filter"), data)?;
        let expected = if columns != 0 { size_bytes + size_bytes / width } else { size_bytes };
        if data.len() != expected {
            return Err(NotLean("a cross-reference stream has another size than it says"));
        }
        if columns == 0 {
            return Ok(data);
        }
        without_predictor(&data, columns)
    }

    // --- objects ------------------------------------------------------------------------------------------------------------

    /// Where the newest object with that number is; none if there is none (which means null).
    pub fn place(&self, number: u64) -> Result<Option<Place>, NotLean> {
        let place = self.newest(number, self.hybrid)?;
        if self.hybrid {
            let old_readers = self.newest(number, false)?;
            if old_readers.is_some() && old_readers != place {
                return Err(NotLean("old and new readers see different objects"));
            }
        }
        Ok(place)
    }

    fn newest(&self, number: u64, hidden: bool) -> Result<Option<Place>, NotLean> {
        for (depth, section) in self.sections.iter().enumerate() {
            let mut place = section.place(self.document, number);
            if let (true, Some(rows), None | Some(Place::Free)) = (hidden, section.hidden(), place) {
                place = rows.place(number).or(place);
            }
            match place {
                None => {}
                Some(Place::Free) => {
                    let older = &self.sections[depth + 1..];
                    if older.iter().any(|each| !matches!(each.place(self.document, number), None | Some(Place::Free))) {
                        return Err(NotLean("an object was freed, which readers take in two ways"));
                    }
                    return Ok(None);
                }
                found => return Ok(found),
            }
        }
        Ok(None)
    }

    fn required(&self, number: u64) -> Result<Place, NotLean> {
        self.place(number)?.ok_or(NotLean("an object is missing"))
    }

    /// A dictionary or stream; none if the object is missing or free.
    pub fn dictionary(&mut self, number: u64, generation: u64) -> Result<Option<Found<'a>>, NotLean> {
        let Some(place) = self.place(number)? else { return Ok(None) };
        if let Place::Packed(stream, index) = place {
            return self.packed_dictionary(stream, index, number, generation).map(Some);
        }
        let none = NotLean("there is no dictionary where one should be");
        let document = self.document;
        let Place::Plain(offset, own_generation) = place else { return Err(none) };
        let (found, found_generation, behind) = scan::object_head(document, offset).ok_or(none)?;
        let begin = scan::spaces(document, behind);
        scan::word(document, begin, b"<<").ok_or(none)?;
        if offset == 0 || found != number || found_generation != generation || generation != own_generation {
            return Err(NotLean("another object is where one should be"));
        }
        let (entries, end) = Dictionary::read(document, begin, begin + 2 + LARGEST_OBJECT_BYTES)?;
        match scan::close(document, end).and_then(|close| scan::following(document, close)) {
            Some(Following::End(behind)) => {
                self.spend(behind - offset)?;
                Ok(Some(Found { entries, data_offset: None }))
            }
            Some(Following::Stream(data)) => {
                self.spend(data - offset)?;
                Ok(Some(Found { entries, data_offset: Some(data) }))
            }
            None => {
                self.spend(LARGEST_SLOW_BYTES)?;
                slowly(document, begin, true).map(Some)
            }
        }
    }

    fn packed_dictionary(&mut self, stream: u64, index: usize, number: u64, generation: u64) -> Result<Found<'a>, NotLean> {
        let (data, position) = self.packed_at(stream, index, number, generation)?;
        if scan::word(&data, position, b"<<").is_some() {
            let (entries, end) = Dictionary::read(&data, position, position + LARGEST_OBJECT_BYTES)?;
            if scan::close(&data, end).is_some() {
                self.spend(end + 2 - position)?;
                return Ok(Found { entries: entries.into_owned(), data_offset: None });
            }
        }
        self.spend(LARGEST_SLOW_BYTES)?;
        slowly(&data, position, false)
    }

    /// The text of an array.
    pub fn array(&mut self, number: u64, generation: u64) -> Result<Vec<u8>, NotLean> {
        let none = NotLean("an object is no array");
        let place = self.required(number)?;
        if let Place::Packed(stream, index) = place {
            let (data, position) = self.packed_at(stream, index, number, generation)?;
            let window = &data[..data.len().min(position + LARGEST_OBJECT_BYTES)];
            let end = scan::array(window, position).ok_or(none)?;
            self.spend(end - position)?;
            return Ok(data[position..end].to_vec());
        }
        let (offset, start) = self.plain(place, number, generation)?;
        let window = &self.document[..self.document.len().min(offset + LARGEST_OBJECT_BYTES)];
        let end = scan::array(window, start).ok_or(none)?;
        if !matches!(scan::following(self.document, end), Some(Following::End(_))) {
            return Err(none);
        }
        self.spend(end - offset)?;
        Ok(self.document[start..end].to_vec())
    }

    /// The entries of a direct or indirect dictionary; none if it is missing or null.
    pub fn entries(&mut self, value: Option<&[u8]>) -> Result<Option<Dictionary<'a>>, NotLean> {
        let Some(value) = value.filter(|value| *value != b"null") else { return Ok(None) };
        if value.starts_with(b"<<") {
            self.spend(value.len())?;
            return Ok(Some(direct(value)?.into_owned()));
        }
        let (number, generation) = reference(value)?;
        Ok(self.dictionary(number, generation)?.map(|found| found.entries))
    }

    /// The elements of a direct or indirect array; empty if it is missing or null.
    pub fn elements(&mut self, value: Option<&[u8]>) -> Result<Vec<Vec<u8>>, NotLean> {
        let Some(value) = value.filter(|value| *value != b"null") else { return Ok(Vec::new()) };
        let owned = |text: &[u8]| items(text).map(|each| each.into_iter().map(<[u8]>::to_vec).collect());
        if is_reference(value) {
            let (number, generation) = reference(value)?;
            return owned(&self.array(number, generation)?);
        }
        if !value.starts_with(b"[") {
            return Err(NotLean("there is no array where one should be"));
        }
        self.spend(value.len())?;
        owned(value)
    }

    /// The text that contains an object, and where its value begins; none if the object is missing.
    pub fn position(&mut self, number: u64, generation: u64) -> Result<Option<Position>, NotLean> {
        let Some(place) = self.place(number)? else { return Ok(None) };
        if let Place::Packed(stream, index) = place {
            let (data, position) = self.packed_at(stream, index, number, generation)?;
            return Ok(Some(Position::Packed(data, position)));
        }
        let (_, start) = self.plain(place, number, generation)?;
        Ok(Some(Position::Document(start)))
    }

    /// Whether a reference leads to an array.
    pub fn leads_to_array(&mut self, value: &[u8]) -> Result<bool, NotLean> {
        let (number, generation) = reference(value)?;
        let begins = |text: &[u8], start: usize| text.get(start) == Some(&b'[');
        Ok(match self.position(number, generation)? {
            Some(Position::Document(start)) => begins(self.document, start),
            Some(Position::Packed(data, start)) => begins(&data, scan::spaces(&data, start)),
            None => false,
        })
    }

    /// The decoded data of a stream.
    pub fn data(&mut self, found: &Found) -> Result<Vec<u8>, NotLean> {
        let plain = found.entries.get(b"DecodeParms").is_none_or(|value| value == b"null");
        let offset = found.data_offset.filter(|_| plain).ok_or(NotLean("there is no plain stream where one should be"))?;
        let end = self.stream_end(&found.entries, offset)?;
        self.decoded(found.entries.get(b"Filter"), &self.document[offset..end])
    }

    /// Where the encoded data of a stream ends, given that it begins at `offset`.
    pub fn stream_end(&mut self, entries: &Dictionary, offset: usize) -> Result<usize, NotLean> {
        self.data_end(entries.get(b"Length").unwrap_or(b"?"), offset)
    }

    /// The same from the raw value of /Length.
    pub fn data_end(&mut self, length: &[u8], offset: usize) -> Result<usize, NotLean> {
        let size = if is_reference(length) { self.length(length)? } else { integer(Some(length))? };
        let end = offset.saturating_add(size);
        let behind = scan::spaces(&self.document[..self.document.len().min(end.saturating_add(2))], end);
        let whole = scan::word(self.document, behind, b"endstream")
            .and_then(|end| scan::some_spaces(self.document, end))
            .and_then(|end| scan::word(self.document, end, b"endobj"));
        if whole.is_none() {
            return Err(NotLean("a stream does not end where its length says"));
        }
        Ok(end)
    }

    fn length(&mut self, value: &[u8]) -> Result<usize, NotLean> {
        let none = NotLean("an object cannot be read where it should be");
        let (number, generation) = reference(value)?;
        let place = self.required(number)?;
        let (_, start) = self.plain(place, number, generation)?;
        let end = scan::digits(self.document, start, 15).ok_or(none)?;
        if !matches!(scan::following(self.document, end), Some(Following::End(_))) {
            return Err(none);
        }
        integer(Some(&self.document[start..end]))
    }

    /// All object streams, decoded.
    pub fn object_streams(&mut self) -> Result<Vec<Rc<Vec<u8>>>, NotLean> {
        let mut numbers = BTreeSet::new();
        if self.in_streams || self.hybrid {
            self.sections.iter().for_each(|section| section.packed_in(&mut numbers));
        }
        numbers.into_iter().map(|number| self.stream_of(number).map(|packed| packed.data)).collect()
    }

    /// Where an object begins that stands in no stream, and where its value does.
    fn plain(&mut self, place: Place, number: u64, generation: u64) -> Result<(usize, usize), NotLean> {
        let another = NotLean("another object is where one should be");
        let Place::Plain(offset, own_generation) = place else { return Err(another) };
        let head = scan::object_head(self.document, offset).ok_or(NotLean("an object cannot be read where it should be"))?;
        if offset == 0 || head.0 != number || generation != own_generation || head.1 != generation {
            return Err(another);
        }
        let start = scan::spaces(self.document, head.2);
        self.spend(start - offset)?;
        Ok((offset, start))
    }

    fn packed_at(&mut self, stream: u64, index: usize, number: u64, generation: u64) -> Result<(Rc<Vec<u8>>, usize), NotLean> {
        let packed = self.stream_of(stream)?;
        match packed.head.get(index) {
            Some(&(own, offset)) if own == number && generation == 0 => Ok((packed.data, packed.first + offset)),
            _ => Err(NotLean("an object is not in its stream where it should be")),
        }
    }

    fn stream_of(&mut self, number: u64) -> Result<Packed, NotLean> {
        if let Some(packed) = self.packed.get(&number) {
            return Ok(packed.clone());
        }
        if matches!(self.required(number)?, Place::Packed(..)) {
            return Err(NotLean("an object stream is packed in a stream"));
        }
        let found = self
            .dictionary(number, 0)?
            .filter(|found| found.entries.get(b"Type") == Some(b"/ObjStm"))
            .ok_or(NotLean("there is no object stream where one should be"))?;
        let data = self.data(&found)?;
        let first = integer(found.entries.get(b"First"))?;
        let head = head_of(&data, first, integer(found.entries.get(b"N"))?)?;
        let packed = Packed { data: Rc::new(data), first, head: Rc::new(head) };
        self.packed.insert(number, packed.clone());
        Ok(packed)
    }

    /// Decodes data that is coded by Flate, or not coded at all.
    fn decoded(&mut self, filter: Option<&[u8]>, data: &[u8]) -> Result<Vec<u8>, NotLean> {
        let room = MOST_DECODED_BYTES - self.decoded_bytes;
        let data = match filter {
            None if data.len() <= room => data.to_vec(),
            None => return Err(NotLean("streams are too large")),
            Some(b"/FlateDecode" | b"[/FlateDecode]" | b"[ /FlateDecode ]") => inflated(data, room)?,
            Some(_) => return Err(NotLean("a stream is coded in another way")),
        };
        self.decoded_bytes += data.len();
        Ok(data)
    }
}

fn has_header(document: &[u8]) -> bool {
    match document.get(..8) {
        Some(head) => head.starts_with(b"%PDF-") && matches!(head[5], b'1' | b'2') && head[6] == b'.' && head[7].is_ascii_digit(),
        None => false,
    }
}

/// What Flate data decode to, if that is at most `room` bytes.
fn inflated(data: &[u8], room: usize) -> Result<Vec<u8>, NotLean> {
    let cut = NotLean("a stream is cut off or too large");
    let mut inflater = Decompress::new(true);
    let mut plain = Vec::with_capacity((4 * data.len()).max(256).min(room + 1));
    loop {
        let (before_in, before_out) = (inflater.total_in(), plain.len());
        let rest = &data[inflater.total_in() as usize..];
        let status = inflater.decompress_vec(rest, &mut plain, FlushDecompress::None).map_err(|_| cut)?;
        if plain.len() > room {
            return Err(cut);
        }
        if status == Status::StreamEnd {
            return Ok(plain);
        }
        if plain.len() == plain.capacity() {
            plain.reserve(plain.len().max(256));
        } else if inflater.total_in() == before_in && plain.len() == before_out {
            return Err(cut);
        }
    }
}

/// Numbers and offsets of the objects in a stream; no number may occur twice.
fn head_of(data: &[u8], first: usize, count: usize) -> Result<Vec<(u64, usize)>, NotLean> {
    let odd = NotLean("an object stream has an odd head");
    if first > data.len() || first > 2 * 20 * MOST_PACKED {
        return Err(NotLean("an object stream has a very long head"));
    }
    let text = scan::uncommented_numbers(&data[..first]);
    let mut numbers = Vec::with_capacity(2 * count.min(MOST_PACKED));
    let mut at = scan::spaces(&text, 0);
    while at < text.len() {
        let end = scan::digits(&text, at, 18).ok_or(odd)?;
        numbers.push(scan::number(&text[at..end]).ok_or(odd)?);
        if end < text.len() && !scan::is_space(text[end]) {
            return Err(odd);
        }
        at = scan::spaces(&text, end);
    }
    if count == 0 || count > MOST_PACKED || numbers.len() != 2 * count {
        return Err(odd);
    }
    let head: Vec<(u64, usize)> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1] as usize)).collect();
    if head.iter().any(|&(_, offset)| offset > data.len()) {
        return Err(odd);
    }
    let distinct: BTreeSet<u64> = head.iter().map(|each| each.0).collect();
    if distinct.len() != count {
        return Err(odd);
    }
    Ok(head)
}

/// What `startxref` says at the end of the file.
fn tail(document: &[u8]) -> Option<usize> {
    let from = document.len().saturating_sub(TAIL_BYTES);
    let start = from + memchr::memmem::rfind(&document[from..], b"startxref")?;
    if start == 0 || !matches!(document[start - 1], b'\r' | b'\n' | b' ') {
        return None;
    }
    let first_blank = blanks(document, start + 9);
    let number = line_ends(document, first_blank);
    let first = blanks(document, number);
    let end = scan::digits(document, first, 12)?;
    let second_blank = blanks(document, end);
    let mark = line_ends(document, second_blank);
    if number == first_blank || mark == second_blank {
        return None;
    }
    let behind = scan::word(document, mark, b"%%EOF")?;
    if scan::spaces(document, behind) != document.len() {
        return None;
    }
    scan::number(&document[first..end]).map(|offset| offset as usize)
}

fn line_ends(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b'\r' | b'\n')) {
        at += 1;
    }
    at
}

fn line_end(text: &[u8], at: usize) -> Option<usize> {
    match (text.get(at)?, text.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r' | b'\n', _) => Some(at + 1),
        _ => None,
    }
}

fn blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// First number, count, and where the rows of a run begin.
fn run_head(text: &[u8], at: usize) -> Option<Run> {
    let first_end = scan::digits(text, at, 10)?;
    let second = scan::word(text, first_end, b" ")?;
    let second_end = scan::digits(text, second, 10)?;
    let start = line_end(text, blanks(text, second_end))?;
    Some((scan::number(&text[at..first_end])? as usize, scan::number(&text[second..second_end])? as usize, start))
}

/// Where the word `xref` stands, and the first run of its table.
fn table_head(text: &[u8], offset: usize) -> Option<(usize, Run)> {
    let word = scan::spaces(text, offset);
    let behind = line_end(text, blanks(text, scan::word(text, word, b"xref")?))?;
    Some((word, run_head(text, behind)?))
}

fn rows_are_plain(rows: &[u8]) -> bool {
    let ending = rows.get(18..20).unwrap_or_default();
    let plain = |row: &[u8]| {
        row[..10].iter().all(u8::is_ascii_digit)
            && row[10] == b' '
            && row[11..16].iter().all(u8::is_ascii_digit)
            && row[16] == b' '
            && matches!(row[17], b'n' | b'f')
            && &row[18..] == ending
    };
    rows.is_empty() || matches!(ending, b" \n" | b"\r\n" | b" \r") && rows.chunks_exact(ROW_BYTES).all(plain)
}

fn trailer_ends(text: &[u8], at: usize) -> bool {
    let Some(end) = scan::close(text, at) else { return false };
    match scan::word(text, scan::spaces(text, end), b"startxref") {
        Some(end) => text.get(end).is_some_and(|&byte| scan::is_space(byte)),
        None => false,
    }
}

/// The widths of the second and third field, if the first has one byte.
fn widths(value: &[u8]) -> Option<(usize, usize)> {
    let each = items(value).ok()?;
    match each[..] {
        [b"1", [second @ b'1'..=b'8'], [third @ b'0'..=b'8']] => Some((usize::from(second - b'0'), usize::from(third - b'0'))),
        _ => None,
    }
}

/// Bytes per row of a PNG predictor; 0 if there is none.
fn columns(parameters: Option<&[u8]>) -> Result<usize, NotLean> {
    let odd = NotLean("a stream has an odd predictor");
    let Some(parameters) = parameters.filter(|value| *value != b"null") else { return Ok(0) };
    if !parameters.starts_with(b"<<") {
        return Err(odd);
    }
    let told = direct(parameters)?;
    let number = |key: &[u8], default: &'static [u8]| integer(Some(told.get(key).unwrap_or(default)));
    let predictor = number(b"Predictor", b"1")?;
    if predictor == 1 {
        return Ok(0);
    }
    if predictor < 10 || number(b"Colors", b"1")? != 1 || number(b"BitsPerComponent", b"8")? != 8 {
        return Err(odd);
    }
    number(b"Columns", b"1")
}

/// PDFium checks the first object of the oldest table; if it is not where the table says, PDFium searches the whole file for objects.
fn check_first_object(document: &[u8], oldest: &Table) -> Result<(), NotLean> {
    for &(first, count, start) in &oldest.runs {
        let rows = &document[start..start + ROW_BYTES * count];
        let Some(used) = rows.chunks_exact(ROW_BYTES).position(|row| row[17] == b'n') else { continue };
        let offset = scan::number(&rows[ROW_BYTES * used..][..10]).unwrap_or(0) as usize;
        let at = scan::spaces(document, offset);
        let own = scan::digits(document, at, 10)
            .filter(|&end| document.get(end).is_some_and(|&byte| scan::is_space(byte)))
            .and_then(|end| scan::number(&document[at..end]));
        if own != Some((first + used) as u64) {
            return Err(NotLean("the first object is not where the table says"));
        }
        break;
    }
    Ok(())
}

/// A dictionary with comments or deep nesting; `whole`: together with what ends an object in the file itself.
fn slowly(text: &[u8], position: usize, whole: bool) -> Result<Found<'static>, NotLean> {
    let window = scan::uncommented(&text[position.min(text.len())..text.len().min(position + LARGEST_SLOW_BYTES)]);
    let (entries, end) = deep_dictionary(&window)?;
    if !whole {
        return Ok(Found { entries, data_offset: None });
    }
    let data_offset = match scan::following(&window, end).ok_or(NotLean("an object ends oddly"))? {
        Following::End(_) => None,
        Following::Stream(data) => Some(position + data),
    };
    Ok(Found { entries, data_offset })
}
