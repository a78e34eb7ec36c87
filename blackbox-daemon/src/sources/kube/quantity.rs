//! Amounts as Kubernetes writes them (`500m`, `1.5`, `64Mi`, `1e3`) into whole thousandths and whole units, rounded
//! up as Kubernetes does (apimachinery `resource.Quantity`). Text that is none is nothing.

/// Thousandths: of processors.
pub(super) fn millis(text: &str) -> Option<u64> {
    scaled(text, 1000)
}

/// Whole units: bytes.
pub(super) fn units(text: &str) -> Option<u64> {
    scaled(text, 1)
}

fn scaled(text: &str, by: u128) -> Option<u64> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // More digits than any sane amount has; what is left cannot overflow below.
    if number.is_empty() || number == "." || whole.len() > 19 || fraction.len() > 9 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let decimals = u32::try_from(fraction.len()).ok()?;
    let (multiplier, divisor) = factor(suffix)?;
    let value = digits.checked_mul(multiplier)?.checked_mul(by)?;
    let divisor = divisor.checked_mul(10u128.checked_pow(decimals)?)?;
    u64::try_from(value.div_ceil(divisor)).ok()
}

/// What a suffix multiplies by, and divides by.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let ten = 10u128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1, ten) } else { (ten, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_specs_write_them() {
        for (text, expected) in [
            ("32Mi", Some(32 << 20)),
            ("1Gi", Some(1 << 30)),
            ("1.5Gi", Some(3 << 29)),
            ("128974848", Some(128_974_848)),
            ("129M", Some(129_000_000)),
            ("129e6", Some(129_000_000)),
            ("128974848000m", Some(128_974_848)),
            ("0", Some(0)),
            ("1m", Some(1)),
            ("", None),
            (".", None),
            ("Mi", None),
            ("-1", None),
            ("12XB", None),
            ("99999999999999999999", None),
            ("9E99", None),
            ("1e999", None),
        ] {
            assert_eq!(units(text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("500m", 500),
            ("2", 2000),
            ("0.1", 100),
            ("1.5", 1500),
            ("100u", 1),
            (".5", 500),
        ] {
            assert_eq!(millis(text), Some(expected), "{text:?}");
        }
    }
}
