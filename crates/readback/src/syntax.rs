//! A strict subset of PDF's syntax (ISO 32000-2 §7.2, §7.3): one spelling for each thing.
//!
//! Whatever is spelled differently is [`Otherwise`] and left to the general account.

use std::borrow::Cow;

/// Spelled in a way that only the general account understands, or not what was planned: that account tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Otherwise;

/// What most functions here give.
pub type Found<T> = Result<T, Otherwise>;

/// Deepest nesting of values.
pub const DEEPEST: u32 = 32;
/// Entries of one dictionary, which are compared with each other.
const MOST_ENTRIES: usize = 1_000;
const LONGEST_DICTIONARY_BYTES: usize = 256 * 1024;
const MOST_COMMENTED_BYTES: usize = 32 * 1024; // of a text with comments

/// Goes on only where this holds.
pub fn require(holds: bool) -> Found<()> {
    if holds {
        Ok(())
    } else {
        Err(Otherwise)
    }
}

/// White space as the standard has it, NUL included.
pub fn is_white(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// A place in a text that moves on as things are read.
#[derive(Clone, Copy)]
pub struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Cursor<'t> {
    /// At an offset, which may lie behind the end.
    pub fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, at: at.min(text.len()) }
    }

    /// Where it is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub fn ended(&self) -> bool {
        self.at == self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        &self.text[self.at..]
    }

    /// Whether these bytes stand here.
    pub fn sees(&self, expected: &[u8]) -> bool {
        self.rest().starts_with(expected)
    }

    /// Passes these bytes, which must stand here.
    pub fn expect(&mut self, expected: &[u8]) -> Found<()> {
        require(self.sees(expected))?;
        self.at += expected.len();
        Ok(())
    }

    /// Passes these bytes if they stand here.
    pub fn passes(&mut self, expected: &[u8]) -> bool {
        self.expect(expected).is_ok()
    }

    /// Passes all bytes of a kind; what they are.
    pub fn take_while(&mut self, kind: impl Fn(u8) -> bool) -> &'t [u8] {
        let start = self.at;
        while self.peek().is_some_and(&kind) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Passes white space.
    pub fn blanks(&mut self) {
        self.take_while(is_white);
    }

    /// Passes white space, of which there must be some.
    pub fn some_blanks(&mut self) -> Found<()> {
        require(!self.take_while(is_white).is_empty())
    }

    /// Passes one byte of white space that all readers take for that.
    fn one_blank(&mut self) -> Found<()> {
        require(matches!(self.peek(), Some(b'\t' | b'\n' | b'\r' | b' ')))?;
        self.at += 1;
        Ok(())
    }

    /// Passes one line ending.
    pub fn line_end(&mut self) -> Found<()> {
        require(self.passes(b"\r\n") || self.passes(b"\n") || self.passes(b"\r"))
    }

    /// Passes a number of at most so many digits, all of them.
    pub fn number(&mut self, most_digits: usize) -> Found<u64> {
        integer(self.take_while(|byte| byte.is_ascii_digit()), most_digits)
    }

    /// Passes exactly so many digits.
    pub fn digits(&mut self, count: usize) -> Found<u64> {
        let text = self.rest().get(..count).ok_or(Otherwise)?;
        self.at += count;
        integer(text, count)
    }

    /// Passes a value that nests no deeper than that; its text.
    pub fn value(&mut self, depth: u32) -> Found<&'t [u8]> {
        let start = self.at;
        match self.peek().ok_or(Otherwise)? {
            b'/' => {
                self.at += 1;
                self.escaped_name()?;
            }
            b'[' => {
                self.at += 1;
                self.elements(depth)?;
            }
            b'<' if self.sees(b"<<") => {
                self.at += 2;
                self.pairs(depth)?;
            }
            b'<' => self.hexadecimal()?,
            b'(' => self.literal()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.reference_or_number()?,
        }
        Ok(&self.text[start..self.at])
    }

    fn elements(&mut self, depth: u32) -> Found<()> {
        require(depth > 0)?;
        loop {
            self.blanks();
            if self.passes(b"]") {
                return Ok(());
            }
            self.value(depth - 1)?;
        }
    }

    /// Readers do not agree which of two entries with one key counts, so none occurs twice.
    fn pairs(&mut self, depth: u32) -> Found<()> {
        require(depth > 0)?;
        let mut keys: Vec<Cow<[u8]>> = Vec::new();
        loop {
            self.blanks();
            if self.passes(b">>") {
                keys.sort_unstable();
                return require(keys.windows(2).all(|pair| pair[0] != pair[1]));
            }
            self.expect(b"/")?;
            keys.push(expanded(self.escaped_name()?));
            self.blanks();
            self.value(depth - 1)?;
        }
    }

    /// Passes a key behind its slash, without escapes: one key has one spelling here.
    fn name(&mut self) -> Found<&'t [u8]> {
        let name = self.escaped_name()?;
        require(memchr::memchr(b'#', name).is_none())?;
        Ok(name)
    }

    /// Passes a name behind its slash. Values with escapes are compared as they are spelled.
    fn escaped_name(&mut self) -> Found<&'t [u8]> {
        let name =
            self.take_while(|byte| !is_white(byte) && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%'));
        require(!name.is_empty())?;
        Ok(name)
    }

    fn hexadecimal(&mut self) -> Found<()> {
        self.expect(b"<")?;
        self.take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'\t' | b'\n' | b'\r' | b' '));
        self.expect(b">")
    }

    fn literal(&mut self) -> Found<()> {
        self.expect(b"(")?;
        loop {
            match self.peek().ok_or(Otherwise)? {
                b')' => {
                    self.at += 1;
                    return Ok(());
                }
                b'(' => return Err(Otherwise),
                b'\\' if self.at + 1 < self.text.len() => self.at += 2,
                b'\\' => return Err(Otherwise),
                _ => self.at += 1,
            }
        }
    }

    fn word(&mut self, expected: &[u8]) -> Found<()> {
        self.expect(expected)?;
        require(!self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()))
    }

    fn reference_or_number(&mut self) -> Found<()> {
        let start = self.at;
        let referred = self.referred();
        if referred.is_ok() {
            return Ok(());
        }
        self.at = start + usize::from(matches!(self.peek(), Some(b'+' | b'-')));
        let whole = self.take_while(|byte| byte.is_ascii_digit()).len();
        let fraction = if self.passes(b".") { self.take_while(|byte| byte.is_ascii_digit()).len() } else { 0 };
        require(whole + fraction > 0)
    }

    fn referred(&mut self) -> Found<(u64, u64)> {
        let number = self.number(10)?;
        self.some_blanks()?;
        let generation = self.number(5)?;
        self.some_blanks()?;
        self.word(b"R")?;
        Ok((number, generation))
    }

    /// Passes `N G obj` and the white space behind it; both numbers.
    pub fn object_head(&mut self) -> Found<(u64, u64)> {
        let number = self.number(10)?;
        self.one_blank()?;
        let generation = self.number(5)?;
        self.one_blank()?;
        self.expect(b"obj")?;
        self.blanks();
        Ok((number, generation))
    }
}

/// A name with its escapes expanded (§7.3.5).
fn expanded(name: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'#', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'#', Some(high), Some(low)) => {
                plain.push((16 * high + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    Cow::Owned(plain)
}

/// A whole number of at most so many digits.
pub fn integer(text: &[u8], most_digits: usize) -> Found<u64> {
    require(!text.is_empty() && text.len() <= most_digits && most_digits <= 18)?;
    text.iter().try_fold(0, |value, byte| {
        require(byte.is_ascii_digit())?;
        Ok(10 * value + u64::from(byte - b'0'))
    })
}

/// The text without the white space at its end.
pub fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|&&byte| is_white(byte)).count();
    &text[..text.len() - blanks]
}

/// A dictionary: raw values by name, without the slash, in their order.
#[derive(Clone, Debug, Default)]
pub struct Entries<'t>(Vec<(&'t [u8], &'t [u8])>);

impl<'t> Entries<'t> {
    /// From the text between the brackets. A key may occur once.
    pub fn within(text: &'t [u8]) -> Found<Self> {
        let mut cursor = Cursor::new(text, 0);
        let mut entries = Self(Vec::with_capacity(10));
        loop {
            cursor.blanks();
            if cursor.ended() {
                return Ok(entries);
            }
            cursor.expect(b"/")?;
            let key = cursor.name()?;
            cursor.blanks();
            let value = cursor.value(DEEPEST)?;
            require(entries.len() < MOST_ENTRIES && !entries.has(key))?;
            entries.0.push((key, value));
        }
    }

    /// From a text that is one whole dictionary.
    pub fn of(text: &'t [u8]) -> Found<Self> {
        Self::within(text.strip_prefix(b"<<").and_then(|text| text.strip_suffix(b">>")).ok_or(Otherwise)?)
    }

    /// The raw value under a key.
    pub fn get(&self, key: &[u8]) -> Option<&'t [u8]> {
        self.0.iter().find(|entry| entry.0 == key).map(|entry| entry.1)
    }

    /// The raw value under a key that must be there.
    pub fn required(&self, key: &[u8]) -> Found<&'t [u8]> {
        self.get(key).ok_or(Otherwise)
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'t [u8], &'t [u8])> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes over the entries of a newer section's trailer; keys keep their places.
    pub fn override_with(&mut self, newer: &Self) -> Found<()> {
        for (key, value) in newer.iter() {
            match self.0.iter_mut().find(|entry| entry.0 == key) {
                Some(entry) => entry.1 = value,
                None => {
                    require(self.len() < MOST_ENTRIES)?;
                    self.0.push((key, value));
                }
            }
        }
        Ok(())
    }

    /// Requires that the other has the same entries, but for those under some keys.
    pub fn require_same(&self, other: &Self, but: &[&[u8]]) -> Found<()> {
        let counted = |entries: &Self| entries.iter().filter(|(key, _)| !but.contains(key)).count();
        require(counted(self) == counted(other))?;
        require(self.iter().filter(|(key, _)| !but.contains(key)).all(|(key, value)| other.get(key) == Some(value)))
    }
}

/// The text from `start` up to the `>>` before a keyword, and where the keyword begins.
///
/// If a string contains the keyword, the text ends within that string. Then it does not read as entries, and is left to the general account.
pub fn closed<'t>(text: &'t [u8], start: usize, keyword: &[u8]) -> Found<(&'t [u8], usize)> {
    let window = text.get(start..text.len().min(start.saturating_add(LONGEST_DICTIONARY_BYTES))).ok_or(Otherwise)?;
    let end = memchr::memmem::find(window, keyword).ok_or(Otherwise)?;
    let body = without_blanks(&window[..end]).strip_suffix(b">>").ok_or(Otherwise)?;
    Ok((body, start + end))
}

/// NUL and form feed are white space that readers do not agree on; within strings in parentheses they are what they are.
pub fn require_usual_blanks(text: &[u8]) -> Found<()> {
    if memchr::memchr2(0, 0x0c, text).is_none() {
        return Ok(());
    }
    let mut cursor = Cursor::new(text, 0);
    while let Some(byte) = cursor.peek() {
        match byte {
            b'(' => cursor.literal()?,
            0 | 0x0c => return Err(Otherwise),
            _ => cursor.at += 1,
        }
    }
    Ok(())
}

/// Number and generation of the object that a value refers to.
pub fn reference(value: Option<&[u8]>) -> Found<(u64, u64)> {
    let mut cursor = Cursor::new(value.ok_or(Otherwise)?, 0);
    let found = cursor.referred()?;
    require(cursor.ended() && found.0 > 0)?;
    Ok(found)
}

/// The same for an array of references.
pub fn references(array: &[u8]) -> Found<Vec<(u64, u64)>> {
    let mut cursor = Cursor::new(array, 0);
    cursor.expect(b"[")?;
    let mut found = Vec::new();
    loop {
        cursor.blanks();
        if cursor.passes(b"]") {
            require(cursor.ended())?;
            return Ok(found);
        }
        let each = cursor.referred()?;
        require(each.0 > 0)?;
        found.push(each);
    }
}

/// The text from `start` up to a keyword that stands in no string and no comment, with comments replaced by blanks (ISO 32000-2 §7.2.4).
pub fn without_comments(text: &[u8], start: usize, keyword: &[u8]) -> Found<Vec<u8>> {
    let window = &text[start.min(text.len())..text.len().min(start.saturating_add(MOST_COMMENTED_BYTES))];
    let mut clean = Vec::with_capacity(1024);
    let mut cursor = Cursor::new(window, 0);
    while !cursor.sees(keyword) {
        let at = cursor.at();
        match cursor.peek().ok_or(Otherwise)? {
            b'(' => {
                cursor.literal()?;
                clean.extend_from_slice(&window[at..cursor.at()]);
            }
            b'<' if !cursor.sees(b"<<") => {
                cursor.hexadecimal()?;
                clean.extend_from_slice(&window[at..cursor.at()]);
            }
            b'<' => {
                clean.extend_from_slice(b"<<");
                cursor.at += 2;
            }
            b'%' => {
                let comment = cursor.take_while(|byte| !matches!(byte, b'\r' | b'\n'));
                // Not all readers look for comments within a reference, or between numbers that may be one.
                let behind = window[cursor.at()..].iter().find(|&&byte| !is_white(byte));
                let number = without_blanks(&clean).last().is_some_and(u8::is_ascii_digit);
                require(!number || !behind.is_some_and(|&byte| byte == b'R' || byte.is_ascii_digit()))?;
                clean.resize(clean.len() + comment.len(), b' ');
            }
            byte => {
                clean.push(byte);
                cursor.at += 1;
            }
        }
    }
    Ok(clean)
}

/// The same for a text that has nothing but numbers and comments.
pub fn without_line_comments(text: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        match memchr::memchr(b'%', line) {
            Some(at) => {
                clean.extend_from_slice(&line[..at]);
                clean.push(b'\n');
            }
            None => clean.extend_from_slice(line),
        }
    }
    clean
}
