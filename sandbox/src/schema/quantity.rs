//! Resource quantities: reading, comparing, and the canonical text the server answers.
//!
//! A quantity is held in billionths of its unit, the finest step the format knows; `2048Mi` is answered
//! as `2Gi`, `0.5` as `500m`, `100000` as `100k`.

use serde_json::Value;

const NANO: i128 = 1_000_000_000;

/// An exact quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
    style: Style,
}

/// The family of suffixes a quantity was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Style {
    Decimal,
    Binary,
    Exponent,
}

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, style: Style::Decimal };

    /// Reads a quantity from text; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end =
            text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (multiplier, divisor, style) = scale(suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty()
            || fraction.contains(['+', '-'])
        {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let below = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let scaled = digits.checked_mul(multiplier)?.checked_mul(NANO)?;
        let divisor = divisor.checked_mul(below)?;
        let nanos = scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) != 0);
        Some(Self { nanos, style })
    }

    /// Reads a quantity from JSON text or a JSON number.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// A whole number.
    #[must_use]
    pub fn of(count: i64) -> Self {
        Self { nanos: i128::from(count) * NANO, style: Style::Decimal }
    }

    /// In billionths of the unit; for comparing and arithmetic.
    #[must_use]
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// In thousandths, rounded up.
    #[must_use]
    pub fn milli(self) -> i128 {
        let step = NANO / 1000;
        self.nanos.div_euclid(step) + i128::from(self.nanos.rem_euclid(step) != 0)
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// The sum, in the suffixes of this quantity unless it is zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let style = if self.nanos == 0 { other.style } else { self.style };
        Self { nanos: self.nanos.saturating_add(other.nanos), style }
    }

    /// The difference, in the suffixes of this quantity.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), style: self.style }
    }

    /// Compares by amount alone.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        self.nanos > other.nanos
    }
}

/// A suffix as multiplier, divisor and family.
fn scale(suffix: &str) -> Option<(i128, i128, Style)> {
    if let Some(at) = BINARY.iter().position(|name| *name == suffix) {
        return Some((1i128 << (10 * (at + 1)), 1, Style::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        let (multiplier, divisor) = power_of_ten(*power)?;
        return Some((multiplier, divisor, Style::Decimal));
    }
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let (multiplier, divisor) = power_of_ten(power)?;
    Some((multiplier, divisor, Style::Exponent))
}

fn power_of_ten(power: i32) -> Option<(i128, i128)> {
    let ten = 10i128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (1, ten) } else { (ten, 1) })
}

impl std::fmt::Display for Quantity {
    /// The canonical form: the largest suffix without a fraction.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let small = self.nanos.abs() < 1024 * NANO;
        match self.style {
            Style::Binary if self.is_whole() && !small => binary(self.nanos / NANO, f),
            Style::Exponent => decimal(self.nanos, true, f),
            _ => decimal(self.nanos, false, f),
        }
    }
}

fn binary(mut number: i128, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut suffix = "";
    for name in BINARY {
        if number % 1024 != 0 {
            break;
        }
        number /= 1024;
        suffix = name;
    }
    write!(f, "{number}{suffix}")
}

fn decimal(mut number: i128, exponent: bool, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    if number == 0 {
        return f.write_str("0");
    }
    let mut step = 0;
    while number % 1000 == 0 && step + 1 < DECIMAL.len() {
        number /= 1000;
        step += 1;
    }
    let (suffix, power) = DECIMAL[step];
    match (exponent, power) {
        (true, 0) | (false, _) => write!(f, "{number}{suffix}"),
        (true, power) => write!(f, "{number}e{power}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_answered_in_canonical_form() {
        let cases = [
            ("2048Mi", "2Gi"),
            ("1500m", "1500m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("100000", "100k"),
            ("1e3", "1e3"),
            ("1Gi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("0", "0"),
            ("1000Mi", "1000Mi"),
            ("1023Ki", "1023Ki"),
            ("100Ki", "100Ki"),
            ("+1", "1"),
            ("-2", "-2"),
            (".5", "500m"),
        ];
        for (text, wanted) in cases {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", "abc", "1GB", "1..2", "Mi", "1 Gi", "--1", "."] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
