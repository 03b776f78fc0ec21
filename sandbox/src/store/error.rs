//! Why a store operation was refused.

use super::Key;

/// A refused or failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("`{0}` is not found")]
    NotFound(Key),
    /// There is such an object already; it may be terminating.
    #[error("`{key}` exists already")]
    AlreadyExists {
        /// Which object.
        key: Key,
        /// Whether its deletion has begun.
        terminating: bool,
    },
    /// The caller's resourceVersion is not the stored one.
    #[error("`{0}` has been modified since it was read")]
    Conflict(Key),
    /// A deletion's precondition does not hold.
    #[error("a precondition of deleting `{key}` does not hold: `{field}` is `{actual}`, not `{expected}`")]
    Precondition {
        /// Which object.
        key: Key,
        /// `UID` or `ResourceVersion`.
        field: &'static str,
        /// What the caller expected.
        expected: String,
        /// What is stored.
        actual: String,
    },
    /// The log could not be written; nothing changed.
    #[error("the cluster's log cannot be written")]
    Log(#[source] std::io::Error),
}

/// The events after a version are no longer all there; list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct TooOld {
    /// The version asked for.
    pub requested: u64,
    /// The oldest version a watch can start from.
    pub oldest: u64,
}

/// Why a state directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A record in the middle of a file does not parse.
    #[error("record {line} of `{path}` is damaged: {problem}")]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The file was written by a newer aegis.
    #[error("`{path}` has format {found}, this version reads up to {supported}")]
    Newer {
        /// The file.
        path: std::path::PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this code reads.
        supported: u32,
    },
}
