//! String formats an OpenAPI schema may ask for; unknown ones are not checked, as in the real server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `text` has the format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(ip, bits)| is_network(ip, bits)),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => uuid::Uuid::try_parse(text).is_ok(),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
        "hostname" => !text.is_empty() && text.split('.').all(is_host_part),
        "byte" => is_base64(text),
        _ => true,
    }
}

fn is_network(ip: &str, bits: &str) -> bool {
    let width = match ip.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u32>().is_ok_and(|bits| bits <= width)
}

fn is_host_part(part: &str) -> bool {
    let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (1..=63).contains(&part.len()) && plain && !part.starts_with('-') && !part.ends_with('-')
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// Go durations (`1h30m`, `500ms`) and ISO 8601 ones.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" || text.parse::<jiff::Span>().is_ok() {
        return true;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| digits + at);
        if digits == 0 || !UNITS.contains(&&rest[digits..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    !text.is_empty()
}
