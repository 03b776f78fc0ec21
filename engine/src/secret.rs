//! Secrets: a type that cannot print itself, and the redactor that keeps every transform of a secret out of
//! logs, journals, events and reports.
//!
//! In JSON a secret is a placeholder (`{"$secret": "<fingerprint>"}`); the vault of the run opens it right
//! before a host function deserializes its arguments.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What stands where a secret was.
pub const MASK: &str = "***";

/// The key of a placeholder in JSON.
const PLACEHOLDER: &str = "$secret";

/// A piece of a secret this long is still secret: shorter ones occur in ordinary text.
const WINDOW: usize = 8;

/// A text shorter than this is kept as a placeholder but not masked elsewhere: it occurs everywhere, and
/// masking it would blank ordinary text.
const SHORTEST: usize = 4;

/// A secret text. Prints as `***`; only host functions open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a plain text.
    #[must_use]
    pub fn new(plain: impl AsRef<str>) -> Self {
        Self(Arc::from(plain.as_ref()))
    }

    /// The plain text, for the moment it leaves the process.
    #[must_use]
    pub fn open(&self) -> &str {
        &self.0
    }

    /// Tells two secrets apart without telling them: 16 hex digits of a salted hash.
    #[must_use]
    pub fn fingerprint(&self, salt: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(salt.as_bytes());
        hash.update([0]);
        hash.update(self.0.as_bytes());
        hex::encode(&hash.finalize()[..8])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// True for the JSON that stands for a secret.
#[must_use]
pub(crate) fn is_placeholder(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PLACEHOLDER))
}

/// The same JSON as people are shown it: the mask where placeholders are.
pub(crate) fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(_) if is_placeholder(&value) => Value::String(MASK.to_owned()),
        Value::Object(map) => map.into_iter().map(|(key, inner)| (key, without_secrets(inner))).collect(),
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        other => other,
    }
}

/// The secrets of one run: makes placeholders, opens them, and masks what would tell them.
#[derive(Clone, Default)]
pub struct Vault {
    salt: String,
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    by_fingerprint: BTreeMap<String, Secret>,
    matcher: Option<AhoCorasick>,
}

impl Vault {
    /// An empty vault; the salt (the run id) makes fingerprints useless elsewhere.
    #[must_use]
    pub fn new(salt: impl Into<String>) -> Self {
        Self { salt: salt.into(), inner: Arc::default() }
    }

    /// True while no secret has been sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).by_fingerprint.is_empty()
    }

    /// Remembers a secret and answers its placeholder.
    #[must_use]
    pub fn seal(&self, secret: &Secret) -> Value {
        let fingerprint = secret.fingerprint(&self.salt);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.by_fingerprint.insert(fingerprint.clone(), secret.clone()).is_none() {
            inner.matcher = matcher(inner.by_fingerprint.values());
        }
        json!({ PLACEHOLDER: fingerprint })
    }

    /// As [`Vault::seal`], for a text that was put together from secrets and other text: those are masked already, and
    /// the rest of it is no secret.
    #[must_use]
    fn seal_composed(&self, secret: &Secret) -> Value {
        let fingerprint = secret.fingerprint(&self.salt);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.by_fingerprint.entry(fingerprint.clone()).or_insert_with(|| secret.clone());
        json!({ PLACEHOLDER: fingerprint })
    }

    /// The same JSON with placeholders where a whole text is a secret: it can be stored and opened again.
    #[must_use]
    pub(crate) fn closed(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let fingerprint = Secret::new(text).fingerprint(&self.salt);
                let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
                match inner.by_fingerprint.contains_key(&fingerprint) {
                    true => json!({ PLACEHOLDER: fingerprint }),
                    false => value.clone(),
                }
            }
            Value::Object(_) if is_placeholder(value) => value.clone(),
            Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), self.closed(v))).collect(),
            Value::Array(items) => items.iter().map(|item| self.closed(item)).collect(),
            other => other.clone(),
        }
    }

    /// False where something stands in for a secret that this vault does not have.
    #[must_use]
    pub(crate) fn has_all(&self, value: &Value) -> bool {
        match value {
            Value::Object(_) if is_placeholder(value) => self.secret(value).is_some(),
            Value::Object(map) => map.iter().all(|(key, inner)| !key.contains(MASK) && self.has_all(inner)),
            Value::Array(items) => items.iter().all(|item| self.has_all(item)),
            Value::String(text) => !text.contains(MASK),
            _ => true,
        }
    }

    /// True when a placeholder stands anywhere in the value.
    #[must_use]
    pub fn holds(value: &Value) -> bool {
        match value {
            Value::Object(map) => is_placeholder(value) || map.values().any(Self::holds),
            Value::Array(items) => items.iter().any(Self::holds),
            _ => false,
        }
    }

    /// The same shape with every text, and every number long enough to tell something, made a secret: the
    /// answer of a pure function that was given a secret.
    #[must_use]
    pub fn sealed(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.seal(&Secret::new(text)),
            Value::Number(number) if number.to_string().len() >= SHORTEST => {
                self.seal(&Secret::new(number.to_string()))
            }
            Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), self.sealed(v))).collect(),
            Value::Array(items) => items.iter().map(|item| self.sealed(item)).collect(),
            other => other.clone(),
        }
    }

    /// The secret behind a placeholder.
    #[must_use]
    pub fn secret(&self, placeholder: &Value) -> Option<Secret> {
        let fingerprint = placeholder.as_object()?.get(PLACEHOLDER)?.as_str()?;
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.by_fingerprint.get(fingerprint).cloned()
    }

    /// What a secret turns into inside a script's string: a marker that survives joining, splitting and
    /// replacing, tells nothing, and becomes a secret again where the string is handed to a host function.
    #[must_use]
    pub(crate) fn marker(&self, secret: &Secret) -> String {
        let placeholder = self.seal(secret);
        let fingerprint = placeholder.get(PLACEHOLDER).and_then(Value::as_str).unwrap_or_default();
        format!("{OPEN}{fingerprint}{CLOSE}")
    }

    /// The placeholder of a whole string, when it carries markers. What stands beside the secrets in it is not masked
    /// elsewhere, unless one of them is so short that nothing else would cover it.
    #[must_use]
    pub(crate) fn composed(&self, text: &str) -> Option<Value> {
        if !text.contains(OPEN) {
            return None;
        }
        let covered = Cell::new(true);
        let plain = replace_markers(text, |fingerprint| {
            let secret = self.secret(&json!({ PLACEHOLDER: fingerprint }))?;
            covered.set(covered.get() && secret.open().len() >= SHORTEST);
            Some(secret.open().to_owned())
        });
        let secret = Secret::new(plain);
        Some(if covered.get() { self.seal_composed(&secret) } else { self.seal(&secret) })
    }

    /// The same JSON with every placeholder opened. For host functions only.
    #[must_use]
    pub(crate) fn opened(&self, value: &Value) -> Value {
        match value {
            Value::Object(_) if is_placeholder(value) => {
                self.secret(value).map_or(Value::Null, |secret| Value::String(secret.open().to_owned()))
            }
            Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), self.opened(v))).collect(),
            Value::Array(items) => items.iter().map(|item| self.opened(item)).collect(),
            other => other.clone(),
        }
    }

    /// The text with every trace of a secret masked.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        mask(inner.matcher.as_ref(), text)
    }

    /// The JSON with every trace of a secret masked, in keys and values.
    #[must_use]
    pub fn masked_value(&self, value: &Value) -> Value {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        mask_value(inner.matcher.as_ref(), value)
    }
}

/// Opens and closes a marker: private-use characters that no text of the outside carries by chance.
const OPEN: char = '\u{E5EC}';
const CLOSE: char = '\u{E5ED}';

fn replace_markers(text: &str, with: impl Fn(&str) -> Option<String>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        replaced.push_str(&rest[..start]);
        let inside = &rest[start + OPEN.len_utf8()..];
        let Some(end) = inside.find(CLOSE) else {
            return replaced + MASK;
        };
        replaced.push_str(&with(&inside[..end]).unwrap_or_else(|| MASK.to_owned()));
        rest = &inside[end + CLOSE.len_utf8()..];
    }
    replaced + rest
}

/// Covers every stretch where a window of a secret matches; overlapping windows become one mask.
fn mask(matcher: Option<&AhoCorasick>, text: &str) -> String {
    let plain;
    let text = if text.contains(OPEN) {
        plain = replace_markers(text, |_| None);
        plain.as_str()
    } else {
        text
    };
    let Some(matcher) = matcher else { return text.to_owned() };
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for found in matcher.find_overlapping_iter(text) {
        match stretches.last_mut() {
            Some((start, end)) if found.start() <= *end => {
                *end = (*end).max(found.end());
                *start = (*start).min(found.start());
            }
            _ => stretches.push((found.start(), found.end())),
        }
    }
    if stretches.is_empty() {
        return text.to_owned();
    }
    let mut masked = Vec::with_capacity(text.len());
    let mut from = 0;
    for (start, end) in stretches {
        let start = start.max(from);
        masked.extend_from_slice(&text.as_bytes()[from..start]);
        masked.extend_from_slice(MASK.as_bytes());
        from = end.max(from);
    }
    masked.extend_from_slice(&text.as_bytes()[from..]);
    String::from_utf8_lossy(&masked).into_owned()
}

fn mask_value(matcher: Option<&AhoCorasick>, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(matcher, text)),
        Value::Array(items) => items.iter().map(|item| mask_value(matcher, item)).collect(),
        Value::Object(_) if is_placeholder(value) => value.clone(),
        Value::Object(map) => map.iter().map(|(k, v)| (mask(matcher, k), mask_value(matcher, v))).collect(),
        Value::Number(number) if matcher.is_some_and(|matcher| matcher.is_match(&number.to_string())) => {
            Value::String(MASK.to_owned())
        }
        other => other.clone(),
    }
}

fn matcher<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Option<AhoCorasick> {
    let told = secrets.filter(|secret| secret.open().len() >= SHORTEST);
    let mut patterns: Vec<Vec<u8>> =
        told.flat_map(|secret| variants(secret.open())).flat_map(windows).collect();
    patterns.sort();
    patterns.dedup();
    patterns.retain(|pattern| !pattern.is_empty());
    if patterns.is_empty() { None } else { AhoCorasick::new(patterns).ok() }
}

/// Every stretch of `WINDOW` bytes; the whole of a shorter text.
fn windows(text: Vec<u8>) -> Vec<Vec<u8>> {
    if text.len() <= WINDOW { vec![text] } else { text.windows(WINDOW).map(<[u8]>::to_vec).collect() }
}

/// The plain text and the shapes it takes on its way out: JSON and URL escapes, hex, base64 at each of the
/// three alignments (the characters that neighbours do not change), in both alphabets.
fn variants(plain: &str) -> Vec<Vec<u8>> {
    let bytes = plain.as_bytes();
    let json = Value::String(plain.to_owned()).to_string();
    let mut shapes = vec![
        bytes.to_vec(),
        json.as_bytes()[1..json.len() - 1].to_vec(),
        percent(bytes, false),
        percent(bytes, true),
        hex::encode(bytes).into_bytes(),
        hex::encode_upper(bytes).into_bytes(),
    ];
    for shift in 0..3 {
        shapes.extend(base64_core(bytes, shift));
    }
    shapes
}

fn base64_core(bytes: &[u8], shift: usize) -> [Vec<u8>; 2] {
    let mut padded = vec![0_u8; shift];
    padded.extend_from_slice(bytes);
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    let cut = |text: String| text.as_bytes().get(first..last).unwrap_or_default().to_vec();
    [cut(STANDARD_NO_PAD.encode(&padded)), cut(URL_SAFE_NO_PAD.encode(&padded))]
}

/// Percent-encoding (RFC 3986 unreserved set), optionally with `+` for a space as forms have it.
fn percent(bytes: &[u8], form: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' if form => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn longest_common(text: &str, secret: &str) -> usize {
        let (text, secret) = (text.as_bytes(), secret.as_bytes());
        (0..text.len())
            .flat_map(|i| (0..secret.len()).map(move |j| (i, j)))
            .map(|(i, j)| text[i..].iter().zip(&secret[j..]).take_while(|(a, b)| a == b).count())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_transform_of_a_secret_gets_through(
            secret in "[a-zA-Z0-9+/ \"\\\\%ä]{9,40}", before in "[ -~]{0,5}", after in "[ -~]{0,5}",
        ) {
            let vault = Vault::new("run");
            let _ = vault.seal(&Secret::new(&secret));
            let surrounded = format!("{before}{secret}{after}");
            let json = Value::String(surrounded.clone()).to_string();
            let url: String = String::from_utf8(percent(surrounded.as_bytes(), false)).unwrap();
            let shapes = [
                (surrounded.clone(), secret.clone()),
                (json, Value::String(secret.clone()).to_string().trim_matches('"').to_owned()),
                (url, String::from_utf8(percent(secret.as_bytes(), false)).unwrap()),
                (hex::encode(&surrounded), hex::encode(&secret)),
            ];
            for (text, told) in shapes {
                let masked = vault.masked(&text);
                prop_assert!(longest_common(&masked, &told) < WINDOW, "{masked:?} tells {told:?}");
            }
            let encoded = STANDARD_NO_PAD.encode(&surrounded);
            let masked = vault.masked(&encoded);
            prop_assert!(longest_common(&masked, &encoded) < encoded.len());
            for shift in 0..3 {
                for core in base64_core(secret.as_bytes(), shift) {
                    let core = String::from_utf8(core).unwrap();
                    prop_assert!(!masked.contains(&core), "{masked:?} tells {core:?}");
                }
            }
        }

        #[test]
        fn text_without_secrets_passes(text in "[ -~]{0,80}") {
            prop_assert_eq!(Vault::new("run").masked(&text), text);
        }
    }

    #[test]
    fn a_placeholder_opens_only_in_its_vault() {
        let vault = Vault::new("run");
        let sealed = vault.seal(&Secret::new("hunter2hunter2"));
        assert!(is_placeholder(&sealed));
        assert_eq!(vault.opened(&json!({ "password": sealed })), json!({ "password": "hunter2hunter2" }));
        assert_eq!(Vault::new("other").opened(&sealed), Value::Null);
        assert_eq!(format!("{} {:?}", Secret::new("x"), Secret::new("x")), "*** ***");
    }

    #[test]
    fn what_is_made_of_a_secret_is_secret_and_short_parts_do_not_blank_ordinary_text() {
        let vault = Vault::new("run");
        let made = json!({ "user": "a", "password": "hunter2", "pin": 48151, "port": 5, "tls": true });
        let sealed = vault.sealed(&made);
        assert!(Vault::holds(&json!([1, { "deep": sealed }])) && !Vault::holds(&made));
        assert_eq!((&sealed["port"], &sealed["tls"]), (&json!(5), &json!(true)));
        assert_eq!(vault.opened(&sealed)["password"], json!("hunter2"));
        assert_eq!(vault.masked("a hunter2 at 48151"), "a *** at ***");
    }
}
