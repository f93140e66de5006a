//! Bytes of an input as choices.

/// The bytes that are left; at their end, every choice is the first one.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        let index = self.next() % list.len();
        list[index]
    }

    /// Some of the bytes as they are.
    pub(super) fn some(&mut self) -> &'a [u8] {
        let (some, rest) = self.0.split_at(self.next().min(self.0.len()));
        self.0 = rest;
        some
    }

    /// Changes up to three bytes of an archive.
    pub(super) fn damage(&mut self, archive: &mut [u8]) {
        for _ in 0..self.next() % 4 {
            let at = (self.next() << 8 | self.next()) % archive.len().max(1);
            if let Some(byte) = archive.get_mut(at) {
                *byte = u8::try_from(self.next()).unwrap_or(0);
            }
        }
    }
}
