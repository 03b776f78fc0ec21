//! Where journals live. One trait, the same tests for every store.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fence::{Claim, Fence};
use super::format::NewerFormat;
use super::recovery::Examined;
use super::{Body, Entry, Person, Placement, Wait};

/// Runs, their entries, the texts they ran, and what runs share: leases and the halt switch.
pub trait Store: Send + Sync + 'static {
    /// Appends to a run's chain what somebody decided from outside, and makes it durable before it returns. The first
    /// entry of a run is [`Body::Started`] and creates it.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing of it was stored.
    fn append(&self, run: &str, bodies: &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError>;

    /// Appends what the process that has the run's claim did. Where a claim can be lost, one that was taken over is
    /// refused in the transaction that would have stored the entries.
    ///
    /// # Errors
    /// As [`Store::append`], and [`StoreError::ClaimLost`].
    fn write(
        &self,
        run: &str,
        bodies: &[(Timestamp, Body)],
        _fence: &Fence,
    ) -> Result<Vec<Entry>, StoreError> {
        self.append(run, bodies)
    }

    /// The entries of a run after a position, in order, with the chain checked from there on.
    ///
    /// # Errors
    /// When there is no such run or a record is damaged.
    fn entries(&self, run: &str, after: u64) -> Result<Vec<Entry>, StoreError>;

    /// Looks at every record of a run, and at every text that it names, whatever is wrong with the one before.
    ///
    /// # Errors
    /// When the store cannot be read. What is damaged is no error.
    fn examine(&self, run: &str) -> Result<Examined, StoreError>;

    /// Runs that have records and are not in the list of runs: somebody took them out.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unlisted(&self) -> Result<Vec<String>, StoreError>;

    /// What people decided about a run after a position, and up to which one was looked: it is looked often while a run
    /// is under way, and never at the same entries twice.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn decisions(&self, run: &str, after: u64) -> Result<(Vec<Entry>, u64), StoreError>;

    /// How a run stands, without reading what it did. `None`: there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn standing(&self, run: &str) -> Result<Option<Standing>, StoreError>;

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn runs(&self) -> Result<Vec<RunRecord>, StoreError>;

    /// Runs that began, ended, were taken up, began to wait or were decided about since the last time, and what to ask
    /// with the next time; the first time none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn changed(&self, since: Option<u64>) -> Result<(Vec<String>, u64), StoreError>;

    /// Keeps texts under their content hash and answers the hashes.
    ///
    /// # Errors
    /// When they could not be made durable.
    fn keep_texts(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StoreError>;

    /// The text of a content hash.
    ///
    /// # Errors
    /// When there is none, or it is not what the hash says.
    fn text(&self, hash: &str) -> Result<String, StoreError>;

    /// Takes the right to execute a run, until dropped. `None`: another process has it.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn claim(&self, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError>;

    /// Whether some process executes a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn executed(&self, run: &str) -> Result<bool, StoreError>;

    /// The halt switch.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn halt(&self) -> Result<Option<Halt>, StoreError>;

    /// Sets or lifts the halt.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn set_halt(&self, halt: Option<&Halt>) -> Result<(), StoreError>;

    /// Takes or renews a lease; a run keeps its token as long as nobody else had the lease. `Err(holder)` inside:
    /// somebody else has it. A store that several machines share goes by its own clock instead of `now`, and refuses a
    /// run whose claim was taken over: its next process has its leases.
    ///
    /// # Errors
    /// When the store cannot be written, or the claim is lost.
    fn acquire(
        &self,
        name: &str,
        run: &str,
        now: Timestamp,
        time_to_live: Duration,
        fence: Option<&Fence>,
    ) -> Result<Result<Lease, Lease>, StoreError>;

    /// Gives a lease back, if the run still has it.
    ///
    /// # Errors
    /// As [`Store::acquire`].
    fn release(&self, name: &str, run: &str, fence: Option<&Fence>) -> Result<(), StoreError>;
}

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// Title of the runbook.
    pub title: String,
    /// Name of the runbook.
    pub runbook: String,
    /// Name of the target.
    pub target: String,
    /// Who started it.
    pub person: Person,
    /// How it stands.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// When something was last recorded.
    pub updated: Timestamp,
}

/// How a run stands, for whoever has to know whether it needs somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// As it is stored: never [`Status::Interrupted`].
    pub status: Status,
    /// Some process executes it.
    pub executed: bool,
    /// What it waits for, as long as it does.
    pub wait: Option<Wait>,
    /// People have decided something since it began to wait.
    pub decided: bool,
}

/// How a run stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A process executes it.
    Running,
    /// No process executes it: it was left, or its process died, or it could not write its journal. It can be
    /// resumed. Never stored: a store finds it out by looking whether somebody has the claim.
    Interrupted,
    /// It waits for a person.
    Waiting,
    /// It reached its end.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// The word as it stands in lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stored word as a status.
    #[must_use]
    pub fn of(word: &str) -> Self {
        [Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|known| known.word() == word)
            .unwrap_or(Self::Running)
    }

    /// Whether an entry is news for those who do not execute the run.
    #[must_use]
    pub fn is_news(body: &Body) -> bool {
        let wanted = matches!(body, Body::Placed { placement: Placement::Wanted, .. });
        wanted || matches!(body, Body::Decided { .. }) || Self::after(body).is_some()
    }

    /// The status after an entry; `None`: it stays as it was.
    #[must_use]
    pub fn after(body: &Body) -> Option<Self> {
        match body {
            Body::Started(_) | Body::Resumed { .. } => Some(Self::Running),
            Body::Waiting { .. } => Some(Self::Waiting),
            Body::Ended { verdict, .. } => Some(match verdict {
                super::Verdict::Succeeded => Self::Succeeded,
                super::Verdict::Failed => Self::Failed,
                super::Verdict::Cancelled => Self::Cancelled,
            }),
            _ => None,
        }
    }
}

/// Why nothing may be changed right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Who.
    pub person: Person,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// A named lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Who holds it.
    pub run: String,
    /// Grows with every new holder: hand it to what the lock protects, and let that refuse smaller ones.
    pub token: i64,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error("the disk with the state directory `{}` is full", .0.display())]
    Full(PathBuf),
    /// The directory cannot be made, read or written.
    #[error("cannot use the state directory `{}`: {}", .0.display(), .1)]
    Unusable(PathBuf, String),
    /// A write failed that the file system allows: a limit on file sizes, a failing disk.
    #[error("cannot write to the state directory `{}`: {}", .0.display(), .1)]
    Unwritable(PathBuf, String),
    /// A record is not what it was when it was written.
    #[error("record {seq} of run `{run}` is damaged: {why}")]
    Damaged {
        /// The run.
        run: String,
        /// The record.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A newer aegis wrote this.
    #[error("cannot use the state directory `{}`: {}", .0.display(), .1)]
    Newer(PathBuf, NewerFormat),
    /// The database server does not answer.
    #[error("the database `{0}` cannot be reached: {1}")]
    Unreachable(String, String),
    /// The database server answers, and refuses.
    #[error("the database `{server}` refuses: {why}")]
    Refused {
        /// Which, without credentials.
        server: String,
        /// What it says.
        why: String,
        /// The code with the page.
        code: crate::Code,
    },
    /// The tables were made by a newer aegis.
    #[error(
        "the tables of the {tables} in the database `{server}` have version {found}, this aegis knows up to {known}"
    )]
    NewerTables {
        /// Which database.
        server: String,
        /// Whose tables.
        tables: &'static str,
        /// Their version.
        found: i32,
        /// The newest that is known.
        known: i32,
    },
    /// A run has begun under this id already.
    #[error("a run `{0}` has begun already")]
    Begun(String),
    /// Another engine has, or may have, the run.
    #[error("this engine lost its claim on `{0}`: another one goes on with it")]
    ClaimLost(String),
    /// There is no such run.
    #[error("there is no run `{0}`")]
    NoRun(String),
    /// There is no such text.
    #[error("the text of a script is missing: `{0}`")]
    NoText(String),
    /// A text is not what its hash says.
    #[error("the text of a script is not what it was: `{0}`")]
    OtherText(String),
}

impl StoreError {
    /// What the system says about a file of the state directory, in words for people.
    #[must_use]
    pub fn of_file(directory: &Path, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            ErrorKind::StorageFull => return Self::Full(directory.to_owned()),
            ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only".to_owned(),
            ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
            _ => error.to_string(),
        };
        Self::Unusable(directory.to_owned(), why)
    }

    /// The code with the page.
    #[must_use]
    pub const fn code(&self) -> crate::Code {
        use crate::codes;
        match self {
            Self::Full(_) => codes::DISK_FULL,
            Self::Unusable(..) | Self::Unwritable(..) => codes::STATE,
            Self::Damaged { .. } | Self::NoText(_) | Self::OtherText(_) => codes::CORRUPT,
            Self::Newer(..) | Self::NewerTables { .. } => codes::FORMAT,
            Self::Unreachable(..) => codes::UNREACHABLE,
            Self::Refused { code, .. } => *code,
            Self::ClaimLost(_) | Self::Begun(_) => codes::CLAIMED,
            Self::NoRun(_) => codes::NO_RUN,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Full(_) => {
                "free some room, then `aegis resume` the run: nothing recorded is lost".to_owned()
            }
            Self::Unusable(..) => "choose another with `--state-dir` or AEGIS_STATE_DIR".to_owned(),
            Self::Unwritable(..) => {
                "look for a limit on file sizes (`ulimit -f`) or a failing disk (`dmesg`), then \
                                     `aegis resume` the run: nothing recorded is lost"
                    .to_owned()
            }
            Self::Damaged { run, .. } => {
                format!("other runs are not touched; `aegis verify {run}` names every damaged record")
            }
            Self::Newer(..) => "use the aegis that wrote it, or another `--state-dir`".to_owned(),
            Self::Unreachable(..) => {
                "nothing recorded is lost: runs stop before their next effect, and go on with \
                                      `aegis resume` (or by themselves under `aegis serve`) once it is back"
                    .to_owned()
            }
            Self::Refused { code, .. } if *code == crate::codes::UNAUTHENTICATED => {
                "look at user and password of the address; it can be read from a file: `file:PATH`".to_owned()
            }
            Self::Refused { code, .. } if *code == crate::codes::FORBIDDEN => {
                "the user needs the right to make the schema `aegis` there, or to use it".to_owned()
            }
            Self::Refused { .. } => return None,
            Self::NewerTables { .. } => "use the aegis that made them, or another database".to_owned(),
            Self::ClaimLost(run) | Self::Begun(run) => format!("`aegis show {run}` shows how far it is"),
            Self::NoRun(_) => "`aegis runs` lists them".to_owned(),
            Self::NoText(_) | Self::OtherText(_) => {
                "`aegis resume RUN --script current` (`aegis retry` where it has failed) goes on with the files as they \
                 are now; `aegis verify` names \
                 every text that is missing"
                    .to_owned()
            }
        })
    }
}
