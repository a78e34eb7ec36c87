//! Random choices from a fixed seed: the same corpus on every machine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `from` to `to - 1`.
    pub(crate) fn number(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.number(0, from.len() as u64) as usize]
    }

    fn of(&mut self, alphabet: &str, length: usize) -> String {
        let one = |_| alphabet.as_bytes()[self.number(0, alphabet.len() as u64) as usize] as char;
        (0..length).map(one).collect()
    }

    /// Letters and digits, some of each.
    pub(crate) fn mixed(&mut self, length: usize) -> String {
        let all = format!("{LOWER}{UPPER}{DIGITS}");
        let rest = self.of(&all, length - 4);
        format!(
            "{}{}{rest}{}{}",
            self.of(LOWER, 1),
            self.of(DIGITS, 1),
            self.of(UPPER, 1),
            self.of(LOWER, 1)
        )
    }

    pub(crate) fn lower(&mut self, length: usize) -> String {
        self.of(LOWER, length)
    }

    pub(crate) fn upper(&mut self, length: usize) -> String {
        let all = format!("{UPPER}{DIGITS}");
        format!("{}{}", self.of(DIGITS, 1), self.of(&all, length - 1))
    }

    pub(crate) fn hex(&mut self, length: usize) -> String {
        self.of("0123456789abcdef", length)
    }

    pub(crate) fn digits(&mut self, length: usize) -> String {
        format!("{}{}", self.number(1, 10), self.of(DIGITS, length - 1))
    }

    pub(crate) fn base64url(&mut self, bytes: usize) -> String {
        let bytes: Vec<u8> = (0..bytes).map(|_| self.next() as u8).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn uuid(&mut self) -> String {
        let part = |dice: &mut Self, length| dice.hex(length);
        format!(
            "{}-{}-4{}-a{}-{}",
            part(self, 8),
            part(self, 4),
            part(self, 3),
            part(self, 3),
            part(self, 12)
        )
    }

    pub(crate) fn ip(&mut self) -> String {
        format!(
            "10.{}.{}.{}",
            self.number(0, 256),
            self.number(0, 256),
            self.number(1, 255)
        )
    }

    /// `2026-03-04T05:01:02.345Z`.
    pub(crate) fn time(&mut self) -> String {
        let (day, hour) = (self.number(1, 29), self.number(0, 24));
        let (minute, second) = (self.number(0, 60), self.number(0, 60));
        format!(
            "2026-03-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            self.number(0, 1000)
        )
    }

    /// Digits whose sum is (or is not) what Luhn asks for.
    pub(crate) fn luhn(&mut self, begins: &str, length: usize, valid: bool) -> String {
        let body = format!("{begins}{}", self.of(DIGITS, length - begins.len() - 1));
        let sum: u32 = body
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, byte)| match (at % 2, u32::from(byte - b'0') * 2) {
                (0, double) => double / 10 + double % 10,
                (_, double) => double / 2,
            })
            .sum();
        let check = (10 - sum % 10) % 10 + u32::from(!valid);
        format!("{body}{}", check % 10)
    }
}
