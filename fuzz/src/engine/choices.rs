//! Bytes as choices: once the bytes run out, each choice is the first one.

/// What is left of the bytes.
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// A number below `count`; 0 if that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        let number = usize::from(self.byte());
        // One byte is enough for most lists, and every byte that is not needed is one less to be
        // guessed.
        let number = if count > 256 {
            number << 8 | usize::from(self.byte())
        } else {
            number
        };
        number.checked_rem(count).unwrap_or(0)
    }

    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        let index = self.below(list.len());
        list.get(index)
    }

    pub fn number(&mut self) -> u64 {
        (0..4).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// Some of the bytes; how many is the first of them.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.rest.len());
        let (some, rest) = self.rest.split_at(len);
        self.rest = rest;
        some
    }

    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// All that is left.
    pub fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }
}
