//! Appearances of marks that were judged in full before, recognised byte for byte although their objects have other numbers this time.

use std::collections::HashMap;

use crate::syntax::{require, Cursor, Found, Otherwise};

const MOST_KNOWN: usize = 1024;
const MOST_PICTURES: usize = 64;

/// What an appearance depends on: the picture, the mark's width and height in millipoints, the slice, how many there are, the page's turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// SHA-256 of the registered picture.
    pub picture: [u8; 32],
    /// In millipoints.
    pub width: i64,
    /// In millipoints.
    pub height: i64,
    /// The slice, from 0.
    pub slice: u32,
    /// How many slices there are.
    pub slices: u32,
    /// Clockwise turn of the page in degrees.
    pub rotation: u16,
    /// Whether it was judged as one that may be laid on opaque, which only some documents allow.
    pub opaque: bool,
}

/// A piece of an object's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes as they stand.
    Bytes(Vec<u8>),
    /// A reference to the n-th object after the picture's first.
    Object(u64),
}

/// What was judged. An appearance that is not recognised is judged in full again, so forgetting one costs only time.
#[derive(Default)]
pub struct Looks {
    around: HashMap<Look, (Vec<u8>, Vec<u8>)>, // an appearance's body before and behind the picture's number
    pictures: HashMap<([u8; 32], bool), Vec<Vec<Piece>>>,
}

impl Looks {
    /// Keeps an appearance that was judged in full: its body around the number of the picture's last object, and the bodies of the
    /// picture's objects.
    pub fn learn(&mut self, look: Look, before: Vec<u8>, behind: Vec<u8>, picture: Vec<Vec<Piece>>) {
        if self.around.len() >= MOST_KNOWN || self.pictures.len() >= MOST_PICTURES {
            self.around.clear();
            self.pictures.clear();
        }
        self.pictures.insert((look.picture, look.opaque), picture);
        self.around.insert(look, (before, behind));
    }

    /// The numbers of the picture's objects, if the appearance is one that was judged; `body_of` gives an object of the update.
    pub fn recognised<'s>(&self, look: &Look, body: &[u8], body_of: impl Fn(u64) -> Found<&'s [u8]>) -> Found<Vec<u64>> {
        let (before, behind) = self.around.get(look).ok_or(Otherwise)?;
        let picture = self.pictures.get(&(look.picture, look.opaque)).ok_or(Otherwise)?;
        let inner = body.strip_prefix(before.as_slice()).and_then(|rest| rest.strip_suffix(behind.as_slice())).ok_or(Otherwise)?;
        let mut cursor = Cursor::new(inner, 0);
        let last = cursor.number(10)?;
        require(cursor.ended() && !inner.starts_with(b"0"))?;
        let first = (last + 1).checked_sub(picture.len() as u64).ok_or(Otherwise)?;
        let numbers: Vec<u64> = (first..=last).collect();
        for (pieces, &number) in picture.iter().zip(&numbers) {
            require(spells(pieces, first, body_of(number)?))?;
        }
        Ok(numbers)
    }
}

/// Whether the body is these pieces, with references to objects from `first` on.
fn spells(pieces: &[Piece], first: u64, body: &[u8]) -> bool {
    let mut rest = body;
    for piece in pieces {
        let left = match piece {
            Piece::Bytes(bytes) => rest.strip_prefix(bytes.as_slice()),
            Piece::Object(index) => rest.strip_prefix(format!("{} 0 R", first + index).as_bytes()),
        };
        match left {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}
