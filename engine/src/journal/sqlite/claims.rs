//! The right to execute a run on one machine: a lock on a file of its own, which the system gives back when the process
//! ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::journal::{Claim, Fence, StoreError};

/// A list of runs holds a claim for a moment while it looks whether somebody has it, so a claim is tried for
/// a few moments.
const LOOKS: u32 = 5;
const A_LOOK: Duration = Duration::from_millis(10);

/// The folder of claims in a state directory.
const FOLDER: &str = "claims";

/// Makes the state directory, with room for claims.
pub(super) fn prepare(directory: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(directory.join(FOLDER)).map_err(|error| StoreError::of_file(directory, &error))
}

/// Takes the claim of a run; `None` while another process has it.
#[expect(clippy::disallowed_methods, reason = "a claim is taken before a run has anything to be cancelled")]
pub(super) fn claim(directory: &Path, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
    let path = directory.join(FOLDER).join(run);
    let unusable = |error| StoreError::of_file(directory, &error);
    let file = File::options().create(true).append(true).open(path).map_err(unusable)?;
    for _ in 0..LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Box::new(FileClaim(file)))),
            Err(TryLockError::WouldBlock) => std::thread::sleep(A_LOOK),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
    }
    Ok(None)
}

/// Whether a process has the claim of a run in a state directory: nobody else can share its lock.
#[must_use]
pub fn is_claimed(directory: &Path, run: &str) -> bool {
    let claim = File::open(directory.join(FOLDER).join(run));
    claim.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What needs no claim: a store that nobody else can open.
pub(super) struct Unclaimed;

impl Claim for Unclaimed {
    fn fence(&self) -> Fence {
        Fence::for_good()
    }
}

#[expect(dead_code, reason = "the open file is the lock; closing it gives it back")]
struct FileClaim(File);

impl Claim for FileClaim {
    fn fence(&self) -> Fence {
        Fence::for_good()
    }
}
