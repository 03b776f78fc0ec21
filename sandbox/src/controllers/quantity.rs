//! Resource quantities and percentages, read as numbers.
//!
//! A quantity is held in thousandths, the finest step the scheduler and quotas reckon in.

use serde_json::Value;

/// A quantity in thousandths of its unit: `1` is 1000, `100m` is 100, `1Ki` is 1 024 000.
pub fn milli(value: &Value) -> i128 {
    match value {
        Value::Number(number) => number.as_f64().map_or(0, |number| (number * 1000.0) as i128),
        Value::String(text) => parse(text).unwrap_or_default(),
        _ => 0,
    }
}

fn parse(text: &str) -> Option<i128> {
    let end = text
        .char_indices()
        .find(|(index, letter)| {
            !(letter.is_ascii_digit() || *letter == '.' || (*index == 0 && matches!(letter, '+' | '-')))
        })
        .map_or(text.len(), |(index, _)| index);
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let below = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (times, over) = scale(suffix)?;
    // Round up, as the API does: a thousandth is the smallest step.
    let scaled = digits.checked_mul(times)?.checked_mul(1000)?;
    let divisor = below.checked_mul(over)?;
    Some(scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) != 0))
}

/// A suffix as multiplier and divisor.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    const KIBI: i128 = 1024;
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
        "Ki" => (KIBI, 1),
        "Mi" => (KIBI.pow(2), 1),
        "Gi" => (KIBI.pow(3), 1),
        "Ti" => (KIBI.pow(4), 1),
        "Pi" => (KIBI.pow(5), 1),
        "Ei" => (KIBI.pow(6), 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let ten = 10_i128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1, ten) } else { (ten, 1) }
        }
    })
}

/// Prints thousandths as a quantity in the shortest exact form people use.
pub fn print(milli: i128, binary: bool) -> String {
    if milli % 1000 != 0 {
        return format!("{milli}m");
    }
    let whole = milli / 1000;
    let steps: &[(&str, i128)] = match binary {
        true => &[("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)],
        false => &[],
    };
    match steps.iter().find(|(_, size)| whole != 0 && whole % size == 0) {
        Some((suffix, size)) => format!("{}{suffix}", whole / size),
        None => whole.to_string(),
    }
}

/// Which way a share of a number is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// To the next higher whole number.
    Up,
    /// To the next lower whole number.
    Down,
}

/// An `IntOrString`: a number, or a percentage of `total`.
pub fn int_or_percent(value: &Value, total: i64, round: Round) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            let hundredfold = percent * total;
            match round {
                Round::Up => (hundredfold + 99).div_euclid(100),
                Round::Down => hundredfold.div_euclid(100),
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_read_as_the_api_reads_them() {
        let cases = [("1", 1000), ("100m", 100), ("0.5", 500), ("1Ki", 1_024_000), ("1e3", 1_000_000)];
        for (text, wanted) in cases {
            assert_eq!(milli(&json!(text)), wanted, "{text}");
        }
        assert_eq!(milli(&json!(2)), 2000);
    }

    #[test]
    fn quantities_print_in_their_shortest_form() {
        assert_eq!(print(1500, false), "1500m");
        assert_eq!(print(milli(&json!("2Gi")), true), "2Gi");
        assert_eq!(print(milli(&json!("3")), false), "3");
    }

    #[test]
    fn percentages_round_the_way_asked() {
        assert_eq!(int_or_percent(&json!("25%"), 3, Round::Up), 1);
        assert_eq!(int_or_percent(&json!("25%"), 3, Round::Down), 0);
        assert_eq!(int_or_percent(&json!(2), 3, Round::Down), 2);
    }
}
