//! Recorded values and what they are here: what the server chose at random or counted up.
//!
//! A value is learnt when an answer shows it for the first time, put into later requests, and must be
//! the same one ever after: two recorded uids never become one.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

#[expect(clippy::unwrap_used, reason = "the patterns are literals")]
static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap());
#[expect(clippy::unwrap_used, reason = "the patterns are literals")]
static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("@jwt:.*|[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*").unwrap());
/// Names that end in what the server drew: `web-6d5f-x7x2k` (no vowels, no `0`, `1`, `3`), the minute of a
/// CronJob's run, the hash of an Event, that of a server's host.
#[expect(clippy::unwrap_used, reason = "the patterns are literals")]
static DRAWN: LazyLock<Regex> = LazyLock::new(|| {
    let drawn = "[bcdfghjklmnpqrstvwxz2456789]";
    Regex::new(&format!(
        "(?:-[0-9]{{8}})?(?:-{drawn}{{5,10}}){{0,2}}(?:\\.[0-9a-f]{{16}})?$|^{drawn}{{8,10}}$|-[a-z2-7]{{26}}$"
    ))
    .unwrap()
});

/// What has been learnt so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learnt {
    /// Uids, generated names, tokens: recorded -> here.
    words: HashMap<String, String>,
    /// The way back.
    taken: HashMap<String, String>,
    /// Versions of objects and lists, in recorded order.
    versions: BTreeMap<u64, String>,
    /// Continue tokens and entity tags.
    opaque: HashMap<String, String>,
}

impl Learnt {
    /// Whether two words stand for the same thing; learns it when neither has been seen.
    pub(crate) fn same(&mut self, recorded: &str, here: &str) -> bool {
        if let Some(known) = self.words.get(recorded) {
            return known == here;
        }
        if recorded == here {
            return true;
        }
        if self.taken.contains_key(here) || !alike(recorded, here) {
            return false;
        }
        self.words.insert(recorded.to_owned(), here.to_owned());
        self.taken.insert(here.to_owned(), recorded.to_owned());
        true
    }

    /// Whether two words are known to stand for the same thing.
    pub(crate) fn is_known(&self, recorded: &str, here: &str) -> bool {
        self.words.get(recorded).map_or(recorded == here, |known| known == here)
    }

    /// Remembers a version; later answers overrule earlier ones.
    pub(crate) fn version(&mut self, recorded: &str, here: &str) {
        if let Ok(number) = recorded.parse() {
            self.versions.insert(number, here.to_owned());
        }
    }

    /// Remembers a value that only the server can read.
    pub(crate) fn opaque(&mut self, recorded: &str, here: &str) {
        self.opaque.insert(recorded.to_owned(), here.to_owned());
    }

    /// What a value that only the server can read is here.
    pub(crate) fn opaque_here(&self, recorded: &str) -> Option<&str> {
        self.opaque.get(recorded).map(String::as_str)
    }

    /// What a version is here. One between two that were learnt is the earlier of them; one before or
    /// after all of them was made up by the client and stays.
    pub(crate) fn version_here(&self, recorded: &str) -> String {
        let between = |number: u64| {
            let before = self.versions.range(..=number).next_back()?;
            (*before.0 == number || self.versions.range(number..).next().is_some()).then_some(before.1)
        };
        recorded.parse().ok().and_then(between).map_or(recorded, String::as_str).to_owned()
    }

    /// A value with every learnt word in it replaced; of names that were drawn for an owner and are not known yet, the
    /// owner's.
    pub(crate) fn guessed_here(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.guessed_text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.guessed_here(item)).collect(),
            Value::Object(members) => Value::Object(
                members.iter().map(|(key, value)| (self.text_here(key), self.guessed_here(value))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn guessed_text(&self, text: &str) -> String {
        let word = |found: &Captures<'_>| {
            let word = &found[0];
            match (self.words.get(word), word.rsplit_once('-')) {
                (Some(here), _) => here.clone(),
                (None, Some((owner, drawn))) if is_drawn(word) => {
                    format!("{}-{drawn}", self.words.get(owner).map_or(owner, String::as_str))
                }
                _ => self.uids_here(word),
            }
        };
        WORD.replace_all(text, word).into_owned()
    }

    /// A text with every learnt word in it replaced.
    pub(crate) fn text_here(&self, text: &str) -> String {
        let word = |found: &Captures<'_>| match self.words.get(&found[0]) {
            Some(here) => here.clone(),
            None => self.uids_here(&found[0]),
        };
        WORD.replace_all(text, word).into_owned()
    }

    fn uids_here(&self, text: &str) -> String {
        let uid =
            |found: &Captures<'_>| self.words.get(&found[0]).map_or(&found[0], String::as_str).to_owned();
        UID.replace_all(text, uid).into_owned()
    }

    /// A body with every learnt value in it replaced.
    pub(crate) fn value_here(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text_here(text).into(),
            Value::Array(items) => items.iter().map(|item| self.value_here(item)).collect(),
            Value::Object(members) => {
                let is_version_patch = members
                    .get("path")
                    .and_then(Value::as_str)
                    .is_some_and(|path| path.ends_with("/resourceVersion"));
                let member = |(key, value): (&String, &Value)| {
                    let value = match value.as_str() {
                        Some(text) if key == "resourceVersion" || (key == "value" && is_version_patch) => {
                            self.version_here(text).into()
                        }
                        _ => self.value_here(value),
                    };
                    (self.text_here(key), value)
                };
                Value::Object(members.iter().map(member).collect())
            }
            other => other.clone(),
        }
    }
}

/// The words of a text and what stands between them.
pub(crate) fn words(text: &str) -> (Vec<&str>, Vec<&str>) {
    (WORD.find_iter(text).map(|word| word.as_str()).collect(), WORD.split(text).collect())
}

/// Whether two different words differ only in what a server draws at random.
pub(crate) fn alike(recorded: &str, here: &str) -> bool {
    if recorded.starts_with("@jwt:") {
        return here.split('.').count() == 3;
    }
    let (one, other) = (UID.replace_all(recorded, "UID"), UID.replace_all(here, "UID"));
    one == other || stem(&one).is_some_and(|stem_of_one| Some(stem_of_one) == stem(&other))
}

/// Whether a server drew the end of a name.
pub(crate) fn is_drawn(name: &str) -> bool {
    stem(name).is_some()
}

/// A word without its drawn end, and how many parts were drawn; none when nothing was.
fn stem(word: &str) -> Option<(&str, usize)> {
    let drawn = DRAWN.find(word).filter(|found| !found.is_empty())?;
    Some((&word[..drawn.start()], drawn.as_str().matches('-').count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_name_is_learnt_once_and_put_into_texts() {
        let mut learnt = Learnt::default();
        assert!(learnt.same("web-6d5f4-x7x2k", "web-6d5f4-b2b2b"));
        assert!(!learnt.same("web-6d5f4-x7x2k", "web-6d5f4-c4c4c"));
        assert!(!learnt.same("web-6d5f4-z9z9z", "web-6d5f4-b2b2b"));
        assert_eq!(learnt.text_here("pods \"web-6d5f4-x7x2k\" gone"), "pods \"web-6d5f4-b2b2b\" gone");
    }

    #[test]
    fn names_that_people_chose_are_not_alike() {
        assert!(!alike("worker-1", "worker-2"));
        assert!(!alike("shop", "store"));
        assert!(alike("cj-29384756-x7x2k", "cj-29384799-b2b2b"));
        assert!(alike("web.187f0a3c9d0e1f2a", "web.187f0a3c9d0e1f2b"));
    }

    #[test]
    fn a_version_between_two_learnt_ones_is_the_earlier() {
        let mut learnt = Learnt::default();
        learnt.version("10", "3");
        learnt.version("20", "9");
        assert_eq!(learnt.version_here("15"), "3");
        assert_eq!(learnt.version_here("20"), "9");
        assert_eq!(learnt.version_here("99999999"), "99999999");
        assert_eq!(learnt.version_here("1"), "1");
    }
}
