//! A document with intact cross-references; finds objects by number, each where the newest section says (ISO 32000-2 §7.5).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use flate2::{Decompress, FlushDecompress, Status};

use crate::syntax::{
    closed, integer, reference, require, without_blanks, without_comments, without_line_comments, Cursor, Entries, Found, Otherwise,
};

const MOST_SECTIONS: usize = 64;
const MOST_ROWS_BYTES: usize = 1024 * 1024; // of a cross-reference stream
const MOST_DECODED_BYTES: usize = 4 * 1024 * 1024; // of the object streams
const MOST_PACKED: usize = 100_000; // objects in one stream
const MOST_CLEANED: usize = 256; // dictionaries with comments
const TAIL_BYTES: usize = 1024;
const ROW_BYTES: usize = 20;

/// Type of the entry (table 18), then offset and generation, or object stream and index.
type Place = (u8, u64, u64);

/// First number, count, and where its rows begin: an offset, or how many rows are before.
type Run = (u64, u64, usize);

/// A trailer's text: in the document, or without its comments.
enum Text {
    Whole(usize, usize),
    Clean(Vec<u8>),
}

impl Text {
    fn entries<'t>(&'t self, bytes: &'t [u8]) -> Found<Entries<'t>> {
        Entries::within(match self {
            Self::Whole(start, end) => &bytes[*start..*end],
            Self::Clean(text) => text,
        })
    }
}

struct Rows {
    runs: Vec<Run>,
    rows: Vec<u8>,
    second: usize,
    third: usize,
    trailer: Text,
}

struct Table {
    runs: Vec<Run>,
    trailer: Text,
    hidden: Option<Rows>,
}

enum Section {
    Table(Table),
    Rows(Rows),
}

/// An object stream: its data, where its first object begins, and the number and offset of each object.
struct Packed {
    number: u64,
    data: Vec<u8>,
    first: usize,
    head: Vec<(u64, usize)>,
}

/// An opened document.
pub struct Document<'d> {
    bytes: &'d [u8],
    /// Where the newest section is.
    pub newest_at: u64,
    /// The highest number that a section speaks of.
    pub highest: u64,
    sections: Vec<Section>,
    streams: Vec<Packed>,
    cleaned: OnceCell<Vec<OnceCell<Vec<u8>>>>, // texts without their comments, for as long as the document is looked at
}

impl<'d> Document<'d> {
    /// Reads all sections and decodes all object streams: every place that may contain a reference.
    pub fn open(bytes: &'d [u8]) -> Found<Self> {
        let newest_at = behind_blanks(bytes, tail(bytes)?)?;
        let mut opened =
            Self { bytes, newest_at, highest: 0, sections: Vec::with_capacity(2), streams: Vec::new(), cleaned: OnceCell::new() };
        let mut next = Some(newest_at);
        while let Some(offset) = next {
            require(opened.sections.len() < MOST_SECTIONS)?;
            let section = Section::read(bytes, offset)?;
            let trailer = section.trailer(bytes)?;
            require(!trailer.has(b"Encrypt"))?;
            next = trailer.get(b"Prev").map(|value| integer(value, 15)).transpose()?;
            opened.highest = opened.highest.max(section.highest());
            opened.sections.push(section);
        }
        opened.unpack()?;
        Ok(opened)
    }

    fn unpack(&mut self) -> Found<()> {
        let mut numbers = BTreeSet::new();
        self.sections.iter().for_each(|section| section.packed_in(&mut numbers));
        let mut left = MOST_DECODED_BYTES;
        for number in numbers {
            let packed = self.object_stream(number, left)?;
            left -= packed.data.len();
            self.streams.push(packed);
        }
        Ok(())
    }

    fn object_stream(&self, number: u64, most_bytes: usize) -> Found<Packed> {
        let (kind, offset, _) = self.place(number)?;
        require(kind == 1)?;
        let StreamFound { number: own, entries, data, .. } = stream_at(self.bytes, offset, |value| self.length(value))?;
        require(own == number && entries.get(b"Type") == Some(b"/ObjStm") && !entries.has(b"DecodeParms"))?;
        let data = inflated(entries.get(b"Filter"), data, most_bytes)?;
        let first = integer(entries.required(b"First")?, 9)? as usize;
        let count = integer(entries.required(b"N")?, 9)? as usize;
        require(count <= MOST_PACKED)?;
        let mut text = Cow::Borrowed(data.get(..first).ok_or(Otherwise)?);
        if memchr::memchr(b'%', &text).is_some() {
            text = Cow::Owned(without_line_comments(&text));
        }
        let mut cursor = Cursor::new(&text, 0);
        let mut head = Vec::with_capacity(count);
        cursor.blanks();
        while !cursor.ended() {
            let number = cursor.number(10)?;
            cursor.some_blanks()?;
            let offset = cursor.number(10)? as usize;
            require(first + offset <= data.len())?;
            let behind = cursor.at();
            cursor.blanks();
            require(cursor.at() > behind || cursor.ended())?;
            head.push((number, offset));
        }
        require(head.len() == count)?;
        drop(text);
        Ok(Packed { number, data, first, head })
    }

    /// The entries of all trailers, each from the newest one that has it.
    pub fn trailers(&self) -> Found<Entries<'_>> {
        let mut sections = self.sections.iter().rev();
        let mut entries = sections.next().ok_or(Otherwise)?.trailer(self.bytes)?;
        for section in sections {
            entries.override_with(&section.trailer(self.bytes)?)?;
        }
        Ok(entries)
    }

    /// The entries of an object that is a dictionary (not a stream), and its text without the closing brackets.
    pub fn dictionary(&self, (number, generation): (u64, u64)) -> Found<(Entries<'_>, &[u8])> {
        let place = self.place(number)?;
        if place.0 == 2 {
            let text = self.packed(number, generation, place)?;
            if let Ok(entries) = Entries::of(text) {
                return Ok((entries, &text[..text.len() - 2]));
            }
            return self.whole(without_comments(&[text, b"\nendobj"].concat(), 0, b"endobj")?);
        }
        let start = self.own(number, generation, place)?;
        require(Cursor::new(self.bytes, start).sees(b"<<"))?;
        if let Ok((body, _)) = closed(self.bytes, start + 2, b"endobj") {
            if let Ok(entries) = Entries::within(body) {
                return Ok((entries, &self.bytes[start..start + 2 + body.len()]));
            }
        }
        self.whole(without_comments(self.bytes, start, b"endobj")?)
    }

    /// The same for a text without its comments, which is kept.
    fn whole(&self, clean: Vec<u8>) -> Found<(Entries<'_>, &[u8])> {
        let cells = self.cleaned.get_or_init(|| (0..MOST_CLEANED).map(|_| OnceCell::new()).collect());
        let cell = cells.iter().find(|cell| cell.get().is_none()).ok_or(Otherwise)?;
        let text = without_blanks(cell.get_or_init(|| clean));
        Ok((Entries::of(text)?, &text[..text.len() - 2]))
    }

    /// The text of a direct or indirect array; of an empty one if there is none.
    pub fn array<'v>(&'v self, value: Option<&'v [u8]>) -> Found<&'v [u8]> {
        let Some(value) = value else { return Ok(b"[]") };
        if value.starts_with(b"[") {
            return Ok(value);
        }
        let (number, generation) = reference(Some(value))?;
        let place = self.place(number)?;
        let array = if place.0 == 2 {
            let text = self.packed(number, generation, place)?;
            let mut cursor = Cursor::new(text, 0);
            let array = cursor.value(1)?;
            require(cursor.ended())?;
            array
        } else {
            let mut cursor = Cursor::new(self.bytes, self.own(number, generation, place)?);
            let array = cursor.value(1)?;
            cursor.blanks();
            cursor.expect(b"endobj")?;
            array
        };
        require(array.starts_with(b"["))?;
        Ok(array)
    }

    /// The decoded data of a stream that is coded by Flate, or not at all.
    pub fn stream(&self, (number, generation): (u64, u64)) -> Found<Vec<u8>> {
        let (kind, offset, own_generation) = self.place(number)?;
        require(kind == 1 && own_generation == generation)?;
        let found = stream_at(self.bytes, offset, |value| self.length(value))?;
        require((found.number, found.generation) == (number, generation) && !found.entries.has(b"DecodeParms"))?;
        inflated(found.entries.get(b"Filter"), found.data, MOST_DECODED_BYTES)
    }

    /// The length of a stream, from a number or a reference to one.
    fn length(&self, value: &[u8]) -> Found<usize> {
        let Ok((number, generation)) = reference(Some(value)) else { return direct_length(value) };
        let place = self.place(number)?;
        require(place.0 == 1)?;
        let mut cursor = Cursor::new(self.bytes, self.own(number, generation, place)?);
        let length = cursor.number(12)?;
        cursor.blanks();
        cursor.expect(b"endobj")?;
        usize::try_from(length).map_err(|_| Otherwise)
    }

    /// The document and all its object streams, decoded.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.bytes).chain(self.streams.iter().map(|packed| packed.data.as_slice()))
    }

    /// In a hybrid file (§7.5.8.4), old and new readers must find the same object.
    fn place(&self, number: u64) -> Found<Place> {
        let mut plain = None;
        for section in &self.sections {
            let mut place = section.place(self.bytes, number)?;
            if let (Some(hidden), None | Some((0, ..))) = (section.hidden(), place) {
                plain = plain.or(place);
                place = hidden.place(number).or(place);
            }
            if let Some(place) = place {
                require(matches!(place.0, 1 | 2) && plain.is_none_or(|each: Place| each.0 == 0))?;
                return Ok(place);
            }
        }
        Err(Otherwise)
    }

    /// Where the value of an object begins that stands in no stream.
    fn own(&self, number: u64, generation: u64, (_, offset, own_generation): Place) -> Found<usize> {
        let mut cursor = Cursor::new(self.bytes, behind_blanks(self.bytes, offset)? as usize);
        require(cursor.object_head()? == (number, generation) && own_generation == generation)?;
        Ok(cursor.at())
    }

    /// The text of an object in an object stream, up to where the next one begins.
    fn packed(&self, number: u64, generation: u64, (_, stream, index): Place) -> Found<&[u8]> {
        let packed = self.streams.iter().find(|packed| packed.number == stream).ok_or(Otherwise)?;
        let index = index as usize;
        let &(own, offset) = packed.head.get(index).ok_or(Otherwise)?;
        require(generation == 0 && own == number && packed.head.iter().filter(|each| each.0 == number).count() == 1)?;
        let end = packed.head.get(index + 1).map_or(packed.data.len(), |next| packed.first + next.1);
        Ok(without_blanks(packed.data.get(packed.first + offset..end).ok_or(Otherwise)?))
    }
}

impl Section {
    fn read(bytes: &[u8], offset: u64) -> Found<Self> {
        let offset = behind_blanks(bytes, offset)?;
        let mut cursor = Cursor::new(bytes, offset as usize);
        if !cursor.passes(b"xref") {
            return Ok(Self::Rows(Rows::read(bytes, offset)?));
        }
        cursor.passes(b" ");
        cursor.line_end()?;
        Ok(Self::Table(Table::read(bytes, cursor)?))
    }

    fn trailer<'t>(&'t self, bytes: &'t [u8]) -> Found<Entries<'t>> {
        match self {
            Self::Table(table) => table.trailer.entries(bytes),
            Self::Rows(rows) => rows.trailer.entries(bytes),
        }
    }

    fn hidden(&self) -> Option<&Rows> {
        match self {
            Self::Table(table) => table.hidden.as_ref(),
            Self::Rows(_) => None,
        }
    }

    fn highest(&self) -> u64 {
        let own = match self {
            Self::Table(table) => &table.runs,
            Self::Rows(rows) => &rows.runs,
        };
        let hidden = self.hidden().map_or(&[][..], |rows| &rows.runs);
        own.iter().chain(hidden).filter(|run| run.1 > 0).map(|run| run.0 + run.1 - 1).max().unwrap_or(0)
    }

    fn place(&self, bytes: &[u8], number: u64) -> Found<Option<Place>> {
        match self {
            Self::Table(table) => table.place(bytes, number),
            Self::Rows(rows) => Ok(rows.place(number)),
        }
    }

    fn packed_in(&self, numbers: &mut BTreeSet<u64>) {
        let rows = match self {
            Self::Table(table) => table.hidden.as_ref(),
            Self::Rows(rows) => Some(rows),
        };
        if let Some(rows) = rows {
            let mut newest = None;
            for row in rows.rows.chunks_exact(rows.width()).filter(|row| row[0] == 2) {
                let stream = big_endian(&row[1..1 + rows.second]);
                if newest != Some(stream) {
                    numbers.insert(stream);
                    newest = Some(stream);
                }
            }
        }
    }
}

fn run_of(runs: &[Run], number: u64) -> Option<&Run> {
    let index = runs.partition_point(|run| run.0 <= number);
    runs[..index].last().filter(|run| number - run.0 < run.1)
}

impl Table {
    fn read<'b>(bytes: &'b [u8], mut cursor: Cursor<'b>) -> Found<Self> {
        let mut runs: Vec<Run> = Vec::with_capacity(2);
        let mut next = 0; // the lowest number that a further run may begin with
        loop {
            let mut head = cursor;
            let Ok((first, count)) = run_head(&mut head) else { break };
            if count > 0 {
                require(first >= next)?;
                runs.push((first, count, head.at()));
                next = first + count;
            }
            let rows = usize::try_from(count).ok().and_then(|count| count.checked_mul(ROW_BYTES)).ok_or(Otherwise)?;
            require(rows <= bytes.len() - head.at())?;
            cursor = Cursor::new(bytes, head.at() + rows);
        }
        cursor.blanks();
        cursor.expect(b"trailer")?;
        cursor.blanks();
        cursor.expect(b"<<")?;
        let start = cursor.at();
        let trailer = match closed(bytes, start, b"startxref") {
            Ok((body, _)) if Entries::within(body).is_ok() => Text::Whole(start, start + body.len()),
            _ => {
                // Some PDF producers put comments into the trailer.
                let clean = without_comments(bytes, start, b"startxref")?;
                Text::Clean(without_blanks(&clean).strip_suffix(b">>").ok_or(Otherwise)?.to_vec())
            }
        };
        let hidden = match trailer.entries(bytes)?.get(b"XRefStm") {
            Some(value) => Some(Rows::read(bytes, integer(value, 15)?)?),
            None => None,
        };
        Ok(Self { runs, trailer, hidden })
    }

    fn place(&self, bytes: &[u8], number: u64) -> Found<Option<Place>> {
        let Some(&(first, _, start)) = run_of(&self.runs, number) else { return Ok(None) };
        let mut cursor = Cursor::new(bytes, start + ROW_BYTES * (number - first) as usize);
        let offset = cursor.digits(10)?;
        cursor.expect(b" ")?;
        let generation = cursor.digits(5)?;
        let kind = if cursor.passes(b" n") {
            1
        } else {
            cursor.expect(b" f")?;
            0
        };
        require(cursor.passes(b" \r") || cursor.passes(b" \n") || cursor.passes(b"\r\n"))?;
        Ok(Some((kind, offset, generation)))
    }
}

fn run_head(cursor: &mut Cursor) -> Found<(u64, u64)> {
    let first = cursor.number(10)?;
    cursor.expect(b" ")?;
    let count = cursor.number(10)?;
    cursor.passes(b" ");
    cursor.line_end()?;
    Ok((first, count))
}

impl Rows {
    fn read(bytes: &[u8], offset: u64) -> Found<Self> {
        let stream = stream_at(bytes, offset, direct_length)?;
        let entries = stream.entries;
        let [1, second, third] = integers(entries.required(b"W")?)?[..] else { return Err(Otherwise) };
        require((1..=8).contains(&second) && third <= 8 && entries.get(b"Type") == Some(b"/XRef"))?;
        let size = integer(entries.required(b"Size")?, 10)?;
        let index = entries.get(b"Index").map_or(Ok(vec![0, size]), integers)?;
        require(index.len() % 2 == 0)?;
        let width = 1 + second as usize + third as usize;
        let (mut runs, mut before, mut next) = (Vec::new(), 0usize, 0);
        for pair in index.chunks_exact(2) {
            if pair[1] > 0 {
                require(pair[0] >= next)?;
                runs.push((pair[0], pair[1], before));
                next = pair[0] + pair[1];
            }
            before = before.checked_add(usize::try_from(pair[1]).map_err(|_| Otherwise)?).ok_or(Otherwise)?;
            require(before <= MOST_ROWS_BYTES)?;
        }
        let data = inflated(entries.get(b"Filter"), stream.data, MOST_ROWS_BYTES)?;
        let rows = unpredicted(entries.get(b"DecodeParms"), data, width)?;
        require(rows.len() == before * width)?;
        let trailer = Text::Whole(stream.body.0, stream.body.1);
        Ok(Self { runs, rows, second: second as usize, third: third as usize, trailer })
    }

    fn width(&self) -> usize {
        1 + self.second + self.third
    }

    fn place(&self, number: u64) -> Option<Place> {
        let &(first, _, before) = run_of(&self.runs, number)?;
        let start = (before + (number - first) as usize) * self.width();
        let row = &self.rows[start..start + self.width()];
        Some((row[0], big_endian(&row[1..1 + self.second]), big_endian(&row[1 + self.second..])))
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Where the white space at an offset ends, which readers pass before a cross-reference section.
fn behind_blanks(bytes: &[u8], offset: u64) -> Found<u64> {
    let mut cursor = Cursor::new(bytes, usize::try_from(offset).map_err(|_| Otherwise)?);
    cursor.blanks();
    Ok(cursor.at() as u64)
}

/// What `startxref` says at the end of the file.
fn tail(bytes: &[u8]) -> Found<u64> {
    let from = bytes.len().saturating_sub(TAIL_BYTES);
    let at = from + memchr::memmem::rfind(&bytes[from..], b"startxref").ok_or(Otherwise)?;
    let mut cursor = Cursor::new(bytes, at);
    cursor.expect(b"startxref")?;
    cursor.some_blanks()?;
    let offset = cursor.number(12)?;
    cursor.some_blanks()?;
    cursor.expect(b"%%EOF")?;
    cursor.blanks();
    require(cursor.ended())?;
    Ok(offset)
}

/// A stream: its number, its dictionary, where the text of that stands between the brackets, and its data as they are.
struct StreamFound<'d> {
    number: u64,
    generation: u64,
    entries: Entries<'d>,
    body: (usize, usize),
    data: &'d [u8],
}

/// A stream at an offset; `length_of` tells the length from the raw value of /Length.
fn stream_at(bytes: &[u8], offset: u64, length_of: impl FnOnce(&[u8]) -> Found<usize>) -> Found<StreamFound<'_>> {
    let mut cursor = Cursor::new(bytes, usize::try_from(offset).map_err(|_| Otherwise)?);
    let (number, generation) = cursor.object_head()?;
    cursor.expect(b"<<")?;
    let inside = cursor.at();
    let (body, end) = closed(bytes, inside, b"stream")?;
    let entries = Entries::within(body)?;
    let mut cursor = Cursor::new(bytes, end);
    cursor.expect(b"stream")?;
    require(cursor.passes(b"\r\n") || cursor.passes(b"\n"))?;
    let start = cursor.at();
    let length = length_of(entries.required(b"Length")?)?;
    let data = bytes.get(start..).and_then(|rest| rest.get(..length)).ok_or(Otherwise)?;
    let mut cursor = Cursor::new(bytes, start + length);
    cursor.blanks();
    cursor.expect(b"endstream")?;
    cursor.some_blanks()?;
    cursor.expect(b"endobj")?;
    Ok(StreamFound { number, generation, entries, body: (inside, inside + body.len()), data })
}

fn direct_length(value: &[u8]) -> Found<usize> {
    Ok(integer(value, 12)? as usize)
}

/// What data decode to, if that is at most so much.
fn inflated(filter: Option<&[u8]>, data: &[u8], most_bytes: usize) -> Found<Vec<u8>> {
    match filter {
        None => {
            require(data.len() <= most_bytes)?;
            return Ok(data.to_vec());
        }
        Some(filter) => require(matches!(filter, b"/FlateDecode" | b"[/FlateDecode]" | b"[ /FlateDecode ]"))?,
    }
    let mut inflater = Decompress::new(true);
    let mut plain = Vec::with_capacity((4 * data.len()).max(256).min(most_bytes + 1));
    loop {
        let (taken, given) = (inflater.total_in() as usize, plain.len());
        let status = inflater.decompress_vec(&data[taken..], &mut plain, FlushDecompress::None).map_err(|_| Otherwise)?;
        require(plain.len() <= most_bytes)?;
        if status == Status::StreamEnd {
            return Ok(plain);
        }
        if plain.len() == plain.capacity() {
            plain.reserve(given.max(256));
        } else {
            require(inflater.total_in() as usize > taken || plain.len() > given)?;
        }
    }
}

/// Rows whose bytes were written as differences to the row above (PNG "up"), summed.
fn unpredicted(parameters: Option<&[u8]>, data: Vec<u8>, width: usize) -> Found<Vec<u8>> {
    let Some(parameters) = parameters else { return Ok(data) };
    let entries = Entries::of(parameters)?;
    let predictor = integer(entries.required(b"Predictor")?, 2)?;
    let columns = integer(entries.required(b"Columns")?, 2)?;
    require(entries.len() == 2 && (10..=15).contains(&predictor) && columns as usize == width && data.len() % (width + 1) == 0)?;
    let mut rows = Vec::with_capacity(data.len());
    let mut above = vec![0u8; width];
    for row in data.chunks_exact(width + 1) {
        require(row[0] == 2)?;
        for (sum, byte) in above.iter_mut().zip(&row[1..]) {
            *sum = sum.wrapping_add(*byte);
        }
        rows.extend_from_slice(&above);
    }
    Ok(rows)
}

fn integers(array: &[u8]) -> Found<Vec<u64>> {
    let mut cursor = Cursor::new(array, 0);
    cursor.expect(b"[")?;
    let mut numbers = Vec::new();
    loop {
        cursor.blanks();
        if cursor.passes(b"]") {
            require(cursor.ended())?;
            return Ok(numbers);
        }
        numbers.push(cursor.number(10)?);
    }
}
