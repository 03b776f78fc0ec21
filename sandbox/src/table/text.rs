//! Texts that cells share: ages, selectors, lists.

use serde_json::Value;

/// How long ago `time` (RFC 3339) was, as kubectl writes it; `<unknown>` without a time.
pub(super) fn age(time: &Value, now: i64) -> String {
    let parsed = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    parsed.map_or_else(|| "<unknown>".to_owned(), |then| duration(now - then.as_second()))
}

/// Seconds since 1970 of a time.
pub(super) fn seconds(time: &Value) -> Option<i64> {
    time.as_str()?.parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
}

/// A duration with at most two units, the finer the shorter it is.
pub(super) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let years = days / 365;
    let two = |first: i64, unit: &str, second: i64, other: &str| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{other}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn str_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The texts of a field of every item, joined by commas.
pub(super) fn joined(items: &[Value], field: &str) -> String {
    items.iter().map(|item| str_of(item, field)).collect::<Vec<_>>().join(",")
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(pairs.join(","))
}

/// A label selector: labels, then expressions.
pub(super) fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let parts: Vec<String> =
        labels.chain(items(selector, "/matchExpressions").iter().map(expression)).collect();
    or_none(parts.join(","))
}

fn expression(expression: &Value) -> String {
    let key = str_of(expression, "key");
    let values = items(expression, "/values").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    match str_of(expression, "operator") {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}
