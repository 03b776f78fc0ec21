//! Checking what is kept of a run, offline: the chain of its records, which a run is read by, and every part by itself,
//! for whoever wants to know all that is damaged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::entry::chained;
use super::stored::StoredEntry;
use super::{Body, RunRecord, Started, Status, StoreError};

/// What a look at everything that is kept of a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Records that are there.
    pub entries: usize,
    /// The hash of the last one.
    pub head: String,
    /// How the run stands by its records.
    #[serde(skip)]
    pub status: Status,
    /// How the list of runs should have it, by its first record and its status; `None` where that record is damaged.
    #[serde(skip)]
    pub listed: Option<RunRecord>,
    /// All that is not as it was written.
    pub damages: Vec<Damage>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// What.
    #[serde(flatten)]
    pub part: Part,
    /// What is wrong with it.
    pub why: String,
}

/// A part of what is kept of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "part")]
pub enum Part {
    /// A record.
    Record {
        /// Its position.
        seq: u64,
    },
    /// The text of a script.
    Text {
        /// Its name in the run.
        name: String,
        /// Its content hash.
        hash: String,
    },
    /// What the list of runs says of it.
    Listed {
        /// About what: `target`, `person`.
        about: &'static str,
    },
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record { seq } => write!(f, "record {seq}"),
            Self::Text { name, hash } => write!(f, "the text {hash:.8} of `{name}`"),
            Self::Listed { about } => write!(f, "the {about} in the list of runs"),
        }
    }
}

/// A link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The record.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
}

/// All records of a run and all texts that they name, looked at one by one.
pub(super) fn examined(
    run: &str,
    stored: &[StoredEntry],
    text: impl Fn(&str) -> Result<String, StoreError>,
) -> Result<Examined, StoreError> {
    let records = broken(stored).into_iter();
    let mut damages: Vec<Damage> =
        records.map(|broken| Damage { part: Part::Record { seq: broken.seq }, why: broken.why }).collect();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut status = Status::Running;
    let mut listed = None;
    for entry in stored.iter().filter_map(|entry| entry.parsed(run).ok()) {
        status = Status::after(&entry.body).unwrap_or(status);
        if let (Body::Started(started), false) = (&entry.body, is_damaged(&damages, entry.seq)) {
            listed = Some(record(run, entry.at, started));
        }
        if let Body::Started(Started { sources, .. }) | Body::Resumed { sources: Some(sources), .. } =
            entry.body
        {
            texts.extend(sources.into_iter().map(|(name, hash)| (hash, name)));
        }
    }
    for (hash, name) in texts {
        let why = match text(&hash) {
            Ok(_) => continue,
            Err(StoreError::NoText(_)) => "it is missing",
            Err(StoreError::OtherText(_)) => "it is not what it was",
            Err(error) => return Err(error),
        };
        damages.push(Damage { part: Part::Text { name, hash }, why: why.to_owned() });
    }
    let head = stored.last().map(|entry| entry.hash.clone()).unwrap_or_default();
    let listed = listed.map(|listed| RunRecord { status, ..listed });
    Ok(Examined { entries: stored.len(), head, status, listed, damages })
}

fn is_damaged(damages: &[Damage], record: u64) -> bool {
    damages.iter().any(|damage| damage.part == Part::Record { seq: record })
}

/// A run as it is listed when it begins.
fn record(run: &str, at: Timestamp, started: &Started) -> RunRecord {
    RunRecord {
        id: run.to_owned(),
        title: started.title.clone(),
        runbook: started.runbook.clone(),
        target: started.target.clone(),
        person: started.person.clone(),
        status: Status::Running,
        started: at,
        updated: at,
    }
}

/// Every record that is not as it was written, of all records of a run: behind one that is damaged the look goes on.
fn broken(records: &[StoredEntry]) -> Vec<Broken> {
    let mut found = Vec::new();
    if records.is_empty() {
        found.push(Broken { seq: 1, why: "it is missing, and so are all others".to_owned() });
    }
    // What the hash before may be: where it is damaged itself, the next record tells what it was.
    let (mut before, mut expected) = (vec![String::new()], 1);
    for record in records {
        found.extend((expected..record.seq).map(|seq| Broken { seq, why: "it is missing".to_owned() }));
        let known = record.seq == expected;
        let hashes = before.iter().map(|before| chained(before, record.seq, &record.at, &record.body));
        let hashes: Vec<String> = if known { hashes.collect() } else { Vec::new() };
        let why = if known && !hashes.contains(&record.hash) {
            Some("its hash does not fit".to_owned())
        } else {
            record.parsed("").err().map(|error| match error {
                StoreError::Damaged { why, .. } => format!("it cannot be read: {why}"),
                other => other.to_string(),
            })
        };
        found.extend(why.map(|why| Broken { seq: record.seq, why }));
        before = hashes;
        before.push(record.hash.clone());
        expected = record.seq + 1;
    }
    found
}

/// Checks records as they were stored: `(seq, at, body, hash)` in order, from the beginning of a run or,
/// with the hash before it, from any place.
///
/// # Errors
/// The first link that does not hold.
pub fn verify<'a>(
    mut previous: String,
    mut expected: u64,
    records: impl IntoIterator<Item = (u64, &'a str, &'a str, &'a str)>,
) -> Result<String, Broken> {
    for (seq, at, body, hash) in records {
        if seq != expected {
            return Err(Broken { seq: expected, why: format!("it is missing; the next one is {seq}") });
        }
        if chained(&previous, seq, at, body) != hash {
            return Err(Broken { seq, why: "its hash does not fit".to_owned() });
        }
        hash.clone_into(&mut previous);
        expected += 1;
    }
    Ok(previous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::stored::linked;

    fn records() -> Vec<StoredEntry> {
        let body = |n: u32| format!("{{\"kind\":\"undone\",\"call\":\"{n}\",\"outcome\":{{\"ok\":null}}}}");
        let texts: Vec<(String, String)> =
            (0..6).map(|n| (format!("2026-11-23T10:00:0{n}Z"), body(n))).collect();
        linked(0, String::new(), &texts)
    }

    fn found(damage: impl FnOnce(&mut Vec<StoredEntry>)) -> Vec<(u64, String)> {
        let mut records = records();
        damage(&mut records);
        broken(&records).into_iter().map(|broken| (broken.seq, broken.why)).collect()
    }

    #[test]
    fn every_record_that_is_damaged_is_named_and_no_other() {
        let hash = || "its hash does not fit".to_owned();
        let missing = || "it is missing".to_owned();
        assert_eq!(found(|_| {}), []);
        assert_eq!(found(|all| all[1].body.push(' ')), [(2, hash())]);
        assert_eq!(found(|all| all[2].hash = "00".to_owned()), [(3, hash())]);
        assert_eq!(found(|all| all[5].hash = "00".to_owned()), [(6, hash())]);
        assert_eq!(found(|all| drop(all.remove(0))), [(1, missing())]);
        assert_eq!(found(|all| drop(all.drain(2..4))), [(3, missing()), (4, missing())]);
        let several = found(|all| {
            all[0].at.push('0');
            all[1].hash.clear();
            all[4].body = "{".to_owned();
            all.remove(2);
        });
        assert_eq!(several, [(1, hash()), (2, hash()), (3, missing()), (5, hash())]);
        assert_eq!(found(Vec::clear).len(), 1);
    }

    #[test]
    fn a_record_whose_hash_fits_must_be_readable_as_well() {
        let texts = [("2026-11-23T10:00:00Z".to_owned(), "{\"kind\":\"unheard of\"}".to_owned())];
        let told = broken(&linked(0, String::new(), &texts));
        assert!(told[0].why.starts_with("it cannot be read: unknown variant"), "{told:?}");
    }
}
