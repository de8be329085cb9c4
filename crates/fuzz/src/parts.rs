//! Inputs that consist of several parts.

/// Takes an input apart: each part has its length before it, in four bytes, and the last one is the rest.
pub struct Parts<'d>(&'d [u8]);

impl<'d> Parts<'d> {
    /// Of a whole input.
    pub fn of(data: &'d [u8]) -> Self {
        Self(data)
    }

    /// One byte.
    pub fn one(&mut self) -> Option<&'d u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next part; cut short where the input ends before it.
    pub fn next(&mut self) -> Option<&'d [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = (u32::from_be_bytes(*length) as usize).min(rest.len());
        let (part, rest) = rest.split_at(length);
        self.0 = rest;
        Some(part)
    }

    /// What is left.
    pub fn rest(self) -> &'d [u8] {
        self.0
    }
}

/// An input of a byte, a part and a rest.
pub fn joined(first: u8, part: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[first], &(part.len() as u32).to_be_bytes()[..], part, rest].concat()
}
