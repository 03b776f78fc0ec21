//! Checking a chain offline.

use super::entry::chained;

/// A link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The record.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
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
