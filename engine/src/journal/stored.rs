//! Entries as a store keeps them, and from there back to entries: the same for every store.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::entry::chained;
use super::{Body, Entry, Standing, Status, StoreError, recovery};

/// From this many entries on, several threads read a run.
const WORTH_SHARING: usize = 1000;
/// More than these wait for the disk and for each other.
const MOST_READERS: usize = 4;

/// How an entry that tells a decision begins: the kind is the first key of every stored body.
pub(super) const DECIDED: &str = "{\"kind\":\"decided\"%";

/// The same of one that tells that a run began to wait.
pub(super) const WAITING: &str = "{\"kind\":\"waiting\"%";

/// An entry as it is kept: the hash is over these very texts.
pub(super) struct StoredEntry {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) body: String,
    pub(super) hash: String,
}

impl StoredEntry {
    pub(super) fn parsed(&self, run: &str) -> Result<Entry, StoreError> {
        let damaged = |why: String| StoreError::Damaged { run: run.to_owned(), seq: self.seq, why };
        let at = self.at.parse().map_err(|error| damaged(format!("{error}")))?;
        let body = serde_json::from_str(&self.body).map_err(|error| damaged(format!("{error}")))?;
        Ok(Entry { seq: self.seq, at, body, hash: self.hash.clone() })
    }
}

/// Entries to be appended, as texts.
pub(super) fn texts(bodies: &[(Timestamp, Body)]) -> Vec<(String, String)> {
    let text =
        |(at, body): &(Timestamp, Body)| (at.to_string(), serde_json::to_string(body).unwrap_or_default());
    bodies.iter().map(text).collect()
}

/// The entries that texts become behind a position of the chain.
pub(super) fn linked(mut seq: u64, mut head: String, texts: &[(String, String)]) -> Vec<StoredEntry> {
    let link = |(at, body): &(String, String)| {
        seq += 1;
        head = chained(&head, seq, at, body);
        StoredEntry { seq, at: at.clone(), body: body.clone(), hash: head.clone() }
    };
    texts.iter().map(link).collect()
}

/// A run begins with its start, and only with that.
pub(super) fn begins_once(run: &str, last: u64, bodies: &[(Timestamp, Body)]) -> Result<(), StoreError> {
    let starts = matches!(bodies.first(), Some((_, Body::Started(_))));
    match (last, starts) {
        (0, false) => Err(StoreError::NoRun(run.to_owned())),
        (1.., true) => Err(StoreError::Begun(run.to_owned())),
        _ => Ok(()),
    }
}

/// What was appended, as entries.
pub(super) fn appended(bodies: &[(Timestamp, Body)], links: Vec<(u64, String)>) -> Vec<Entry> {
    let entries = bodies.iter().zip(links);
    entries.map(|((at, body), (seq, hash))| Entry { seq, at: *at, body: body.clone(), hash }).collect()
}

/// The entries of a run behind a position whose hash is `previous`; `None`: the run has no such position.
pub(super) fn checked(
    run: &str,
    after: u64,
    previous: Option<String>,
    stored: &[StoredEntry],
) -> Result<Vec<Entry>, StoreError> {
    if stored.is_empty() && (after == 0 || previous.is_none()) {
        return Err(StoreError::NoRun(run.to_owned()));
    }
    let verified = || {
        let links = stored.iter().map(|e| (e.seq, e.at.as_str(), e.body.as_str(), e.hash.as_str()));
        recovery::verify(previous.unwrap_or_default(), after + 1, links)
            .map_err(|broken| StoreError::Damaged { run: run.to_owned(), seq: broken.seq, why: broken.why })
    };
    parsed(run, stored, verified)
}

/// Parses entries beside their verification. A long run is resumed in the time of one share of it: each of a few
/// threads takes one.
fn parsed(
    run: &str,
    stored: &[StoredEntry],
    verified: impl FnOnce() -> Result<String, StoreError>,
) -> Result<Vec<Entry>, StoreError> {
    let share =
        |part: &[StoredEntry]| part.iter().map(|entry| entry.parsed(run)).collect::<Result<Vec<_>, _>>();
    if stored.len() < WORTH_SHARING {
        verified()?;
        return share(stored);
    }
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_READERS));
    std::thread::scope(|scope| {
        let parts: Vec<_> = stored
            .chunks(stored.len().div_ceil(threads))
            .map(|part| scope.spawn(move || share(part)))
            .collect();
        verified()?;
        let mut entries = Vec::with_capacity(stored.len());
        for part in parts {
            let part = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            entries.extend(part);
        }
        Ok(entries)
    })
}

/// A text as it is kept, if it is what its hash says.
pub(super) fn text(hash: &str, kept: Option<String>) -> Result<String, StoreError> {
    let kept = kept.ok_or_else(|| StoreError::NoText(hash.to_owned()))?;
    if content_hash(&kept) == hash { Ok(kept) } else { Err(StoreError::OtherText(hash.to_owned())) }
}

/// How a run stands, by what was recorded since it last began to wait.
pub(super) fn standing(
    run: &str,
    status: Status,
    executed: bool,
    since: &[StoredEntry],
) -> Result<Standing, StoreError> {
    let since = since.iter().map(|entry| entry.parsed(run)).collect::<Result<Vec<_>, _>>()?;
    let wait = since.first().and_then(|entry| match &entry.body {
        Body::Waiting { wait, .. } => Some(wait.clone()),
        _ => None,
    });
    let newest = since.iter().rev().find(|entry| {
        matches!(entry.body, Body::Decided { .. } | Body::Waiting { .. } | Body::Resumed { .. })
    });
    let decided = newest.is_some_and(|entry| matches!(entry.body, Body::Decided { .. }));
    Ok(Standing { status, executed, wait, decided })
}

/// The name of a text among texts.
pub(super) fn content_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
