//! Numbers of payment cards: a known brand's beginning, its length and grouping, and the check digit of ISO/IEC 7812
//! (Luhn). Nanoseconds since 1970 begin with 1, and no card does.

use regex::bytes::Regex;

use super::{Kind, Span, rules};

/// Finds them.
#[derive(Clone, Debug)]
pub(super) struct Cards {
    candidate: Regex,
}

impl Cards {
    pub(super) fn new() -> Self {
        let candidate = r"[2-6][0-9]{3}(?:[0-9]{9,15}|[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7}|[ -][0-9]{6}[ -][0-9]{4,5})";
        Self {
            candidate: rules::constant(candidate),
        }
    }

    pub(super) fn find(&self, text: &str, found: &mut Vec<Span>) {
        let bytes = text.as_bytes();
        let mut from = 0;
        while let Some(at) = self.candidate.find_at(bytes, from) {
            if stands_alone(bytes, at.start(), at.end()) && is_card(&text[at.range()]) {
                found.push(Span {
                    range: at.range(),
                    kind: Kind::Card,
                });
                from = at.end();
            } else {
                // On behind this run of digits.
                let run = bytes[at.start()..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit());
                from = at.start() + run.count();
            }
        }
    }
}

fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let joins = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let escaped =
        start >= 2 && bytes[start - 2] == b'\\' && matches!(bytes[start - 1], b'n' | b'r' | b't');
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let after = bytes.get(end);
    let fraction = after == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    let dashed = after == Some(&b'-') && bytes.get(end + 1).is_some_and(joins);
    (escaped || !before.is_some_and(|b| joins(&b) || matches!(b, b'.' | b'-' | b'/')))
        && !after.is_some_and(joins)
        && !fraction
        && !dashed
}

/// Whether the digits are those of a card.
pub(super) fn is_card(text: &str) -> bool {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|b| b - b'0')
        .collect();
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let first = |count: usize| {
        digits[..count]
            .iter()
            .fold(0_u32, |sum, d| sum * 10 + u32::from(*d))
    };
    let length = digits.len();
    // Issuer identification numbers, by brand.
    let brand = match (first(2), first(4)) {
        (40..=49, _) => matches!(length, 13 | 16 | 19),
        (51..=55, _) | (_, 2221..=2720 | 3528..=3589) => length == 16,
        (34 | 37, _) => length == 15,
        (36 | 38 | 39, _) | (_, 3000..=3059) => length == 14,
        (65, _) | (_, 6011 | 6440..=6499) => (16..=19).contains(&length),
        (62, _) => (16..=19).contains(&length),
        (_, 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763) => length == 16,
        _ => false,
    };
    let same = digits.iter().all(|digit| *digit == digits[0]);
    brand && !same && luhn(&digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => u32::from(*digit),
            (_, double) => u32::from(double / 10 + double % 10),
        })
        .sum();
    sum.is_multiple_of(10)
}
