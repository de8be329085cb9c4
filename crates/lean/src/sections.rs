//! Cross-reference sections: tables are looked into by offset arithmetic, streams by the width of their rows (ISO 32000-2 §7.5.4, §7.5.8).

use std::collections::BTreeSet;

use crate::dictionary::Dictionary;
use crate::scan;
use crate::NotLean;

/// Bytes of a row of a table.
pub const ROW_BYTES: usize = 20;

/// Where an object is (table 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The number belongs to no object.
    Free,
    /// Offset and generation.
    Plain(usize, u64),
    /// Number of the object stream, index in it.
    Packed(u64, usize),
    /// An entry of another type.
    Unknown,
}

/// First number, count, and where its rows begin.
pub type Run = (usize, usize, usize);

/// A cross-reference table. In a hybrid file, `hidden` is the stream beside it, which readers of PDF 1.5 and later use (§7.5.8.4).
#[derive(Debug)]
pub struct Table<'a> {
    /// Of the word `xref`.
    pub offset: usize,
    /// Its trailer.
    pub trailer: Dictionary<'a>,
    /// In ascending order.
    pub runs: Vec<Run>,
    /// The stream of a hybrid file.
    pub hidden: Option<Rows<'a>>,
}

/// A cross-reference stream: decoded rows of one byte, `second` and `third` bytes.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Of the stream's object.
    pub offset: usize,
    /// Its dictionary.
    pub trailer: Dictionary<'a>,
    /// In ascending order.
    pub runs: Vec<Run>,
    /// Without predictor.
    pub rows: Vec<u8>,
    /// Bytes of the second field.
    pub second: usize,
    /// Bytes of the third field.
    pub third: usize,
}

/// One cross-reference section.
#[derive(Debug)]
pub enum Section<'a> {
    /// In a table.
    Table(Table<'a>),
    /// In a stream.
    Rows(Rows<'a>),
}

impl<'a> Section<'a> {
    /// Its trailer, or its stream's dictionary.
    pub fn trailer(&self) -> &Dictionary<'a> {
        match self {
            Section::Table(table) => &table.trailer,
            Section::Rows(rows) => &rows.trailer,
        }
    }

    /// What `startxref` and /Prev say of it.
    pub fn offset(&self) -> usize {
        match self {
            Section::Table(table) => table.offset,
            Section::Rows(rows) => rows.offset,
        }
    }

    /// The runs of object numbers that it lists.
    pub fn runs(&self) -> &[Run] {
        match self {
            Section::Table(table) => &table.runs,
            Section::Rows(rows) => &rows.runs,
        }
    }

    /// The stream beside a table.
    pub fn hidden(&self) -> Option<&Rows<'a>> {
        match self {
            Section::Table(table) => table.hidden.as_ref(),
            Section::Rows(_) => None,
        }
    }

    /// The entry of an object; none if this section does not list it.
    pub fn place(&self, document: &[u8], number: u64) -> Option<Place> {
        match self {
            Section::Table(table) => table.place(document, number),
            Section::Rows(rows) => rows.place(number),
        }
    }

    /// Adds the numbers of all object streams that contain its objects.
    pub fn packed_in(&self, streams: &mut BTreeSet<u64>) {
        match self {
            Section::Table(table) => {
                if let Some(hidden) = &table.hidden {
                    hidden.packed_in(streams);
                }
            }
            Section::Rows(rows) => rows.packed_in(streams),
        }
    }
}

fn row_of(runs: &[Run], number: u64, width: usize) -> Option<usize> {
    let number = usize::try_from(number).ok()?;
    let index = runs.partition_point(|run| run.0 <= number);
    let (first, count, start) = runs[index.checked_sub(1)?];
    (number < first + count).then(|| start + width * (number - first))
}

impl Table<'_> {
    fn place(&self, document: &[u8], number: u64) -> Option<Place> {
        let start = row_of(&self.runs, number, ROW_BYTES)?;
        let row = &document[start..start + ROW_BYTES];
        Some(if row[17] == b'n' { Place::Plain(scan::number(&row[..10])? as usize, scan::number(&row[11..16])?) } else { Place::Free })
    }
}

impl Rows<'_> {
    fn width(&self) -> usize {
        1 + self.second + self.third
    }

    /// See [`Section::place`].
    pub fn place(&self, number: u64) -> Option<Place> {
        let start = row_of(&self.runs, number, self.width())?;
        Some(self.entry(&self.rows[start..start + self.width()]))
    }

    fn entry(&self, row: &[u8]) -> Place {
        let middle = big_endian(&row[1..1 + self.second]);
        let last = big_endian(&row[1 + self.second..]);
        match row[0] {
            0 => Place::Free,
            1 => Place::Plain(middle as usize, last),
            2 => Place::Packed(middle, last as usize),
            _ => Place::Unknown,
        }
    }

    fn packed_in(&self, streams: &mut BTreeSet<u64>) {
        let mut newest = None; // neighbours mostly lie in one stream
        for row in self.rows.chunks_exact(self.width()) {
            if let Place::Packed(stream, _) = self.entry(row) {
                if newest != Some(stream) {
                    streams.insert(stream);
                    newest = Some(stream);
                }
            }
        }
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Undoes the PNG predictor of rows of one byte for its kind and `columns` bytes of data (PNG specification §9, ISO 32000-2 §7.4.4.4).
pub fn without_predictor(data: &[u8], columns: usize) -> Result<Vec<u8>, NotLean> {
    let mut plain = Vec::with_capacity(data.len());
    let zeros = vec![0; columns];
    for coded in data.chunks_exact(columns + 1) {
        let at = plain.len();
        plain.extend_from_slice(&coded[1..]);
        let (before, row) = plain.split_at_mut(at);
        let above = if at == 0 { &zeros[..] } else { &before[at - columns..] };
        match coded[0] {
            0 => {}
            1 => {
                for i in 1..columns {
                    row[i] = row[i].wrapping_add(row[i - 1]);
                }
            }
            2 => {
                for (byte, up) in row.iter_mut().zip(above) {
                    *byte = byte.wrapping_add(*up);
                }
            }
            3 => {
                for i in 0..columns {
                    let left = if i > 0 { row[i - 1] } else { 0 };
                    row[i] = row[i].wrapping_add(((u16::from(left) + u16::from(above[i])) / 2) as u8);
                }
            }
            4 => {
                for i in 0..columns {
                    let (left, corner) = if i > 0 { (row[i - 1], above[i - 1]) } else { (0, 0) };
                    row[i] = row[i].wrapping_add(paeth(left, above[i], corner));
                }
            }
            _ => return Err(NotLean("a cross-reference stream has an unknown predictor")),
        }
    }
    Ok(plain)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(up) - i16::from(corner);
    let distance = |byte: u8| (estimate - i16::from(byte)).abs();
    if distance(left) <= distance(up) && distance(left) <= distance(corner) {
        left
    } else if distance(up) <= distance(corner) {
        up
    } else {
        corner
    }
}
