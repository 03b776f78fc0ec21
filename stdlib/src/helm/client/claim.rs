//! The exclusive right, on this machine, to change a release: a locked file under the state directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::function::Context;

use super::Helm;
use super::files::{file_word, unusable};
use crate::helm::command::Place;

/// How often a lock is tried that a helm process of an earlier aegis still holds.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// The exclusive right, on this machine, to change a release. The lock belongs to the open file, which the helm
/// process gets as its standard input: when aegis is killed, the lock is free only once that helm has ended. The
/// file's content says that work is under way; found by the next claim, it tells of a crash.
#[derive(Debug)]
pub(in crate::helm) struct Claim {
    file: File,
    path: PathBuf,
    /// The last process that held the claim did not get to its end.
    pub(in crate::helm) left_behind: bool,
}

impl Claim {
    /// Notes that work begins.
    pub(in crate::helm) fn begin(&mut self, run: &str) -> Result<(), CallError> {
        self.note(run)
    }

    /// Notes that the work came to an end, good or bad, that helm itself recorded.
    pub(in crate::helm) fn end(mut self) -> Result<(), CallError> {
        self.note("")
    }

    fn note(&mut self, text: &str) -> Result<(), CallError> {
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        let written =
            written.and_then(|()| self.file.write_all(text.as_bytes())).and_then(|()| self.file.sync_data());
        written.map_err(|error| unusable(&self.path, &error))
    }

    pub(super) fn share(&self) -> Result<File, CallError> {
        self.file.try_clone().map_err(|error| unusable(&self.path, &error))
    }
}

impl Helm {
    /// Takes the lock of a release, waiting for a helm process that an aegis killed in the middle left behind.
    pub(in crate::helm) async fn claim(&self, context: &Context, place: &Place) -> Result<Claim, CallError> {
        let folder = self.folder("locks")?;
        let path = folder.join(format!("{}.{}.{}", file_word(&context.target), place.namespace, place.name));
        let open =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(|error| unusable(&path, &error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if !told => {
                    context.progress(format!("waiting for another helm process on {place}"));
                    told = true;
                }
                Err(TryLockError::WouldBlock) => context.pause(LOCK_POLL).await,
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
            }
        }
        let mut left = String::new();
        file.read_to_string(&mut left).map_err(|error| unusable(&path, &error))?;
        Ok(Claim { file, path, left_behind: !left.trim().is_empty() })
    }
}
