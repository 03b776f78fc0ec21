//! The seam to whatever executes runs. The scheduler only ever asks how a run stands; that is in the journal.

use aegis_engine::error::CallError;
use aegis_engine::journal::{StoreError, Verdict};

use crate::keeper::Launch;

/// Starts runs and knows how they stand, wherever they execute: here, in another engine, in a Job.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a run under its id, or takes it up if it has begun; `left` is called when this process leaves it.
    ///
    /// # Errors
    /// When it can be neither.
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError>;

    /// How a run stands.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn look(&self, run: &str) -> Result<Look, StoreError>;

    /// The runs whose journals say something new since the last time, whoever wrote it; the first time none.
    ///
    /// # Errors
    /// When the journals cannot be read.
    fn changed(&self) -> Result<Vec<String>, StoreError>;

    /// Whether a person let a run go past windows and freezes.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn is_glass_broken(&self, run: &str) -> Result<bool, StoreError>;

    /// Cancels a run, wherever it executes: what can be undone is undone.
    fn cancel(&self, run: &str, note: &str);

    /// Leaves a run where it stands, and says in its journal why; without a reason nothing is said, because the process
    /// ends.
    fn leave(&self, run: &str, note: &str);

    /// The process will end: runs that go on without it are let go of.
    fn stopping(&self) {}

    /// Why effects are halted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn halted(&self) -> Result<Option<String>, StoreError>;
}

/// Called once when the process leaves a run.
pub type Left = Box<dyn FnOnce(Option<Verdict>) + Send>;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It never began.
    Missing,
    /// Some process executes it.
    Executed,
    /// It is in a Job, which somebody has to watch.
    Placed,
    /// Its Job was given up: it goes on when a person has decided so, as one that waits does.
    GivenUp,
    /// Nobody executes it; it can be resumed.
    Interrupted,
    /// It waits for people; true when they have decided something since.
    Waiting(bool),
    /// It has ended.
    Ended(Verdict),
}
