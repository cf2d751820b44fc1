//! Settings that are drawn from the first bytes of a target's input; what is left of them is its
//! data.

/// The bytes that nobody has drawn yet. Where there are none left, everything is 0.
pub(super) struct Drawn<'a>(pub &'a [u8]);

impl<'a> Drawn<'a> {
    /// Up to so many bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        first
    }

    /// A number of one byte.
    pub fn small(&mut self) -> usize {
        self.number(1) as usize
    }

    /// A number of two bytes.
    pub fn medium(&mut self) -> usize {
        self.number(2) as usize
    }

    /// A number of eight bytes.
    pub fn large(&mut self) -> u64 {
        self.number(8)
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.bytes(bytes).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Bytes of the length that comes first.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = self.small();
        self.bytes(length)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
