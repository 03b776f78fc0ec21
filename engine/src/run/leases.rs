//! The locks a run holds: kept alive while a process executes it, taken back by the next process when one died, and
//! given back at its end. A run that finds somebody else behind one of its locks stops before its next effect: what it
//! was to protect may have changed under its hands.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::interrupt::{Interrupt, Stop};
use super::recorded::{Recorded, RecordedCall};
use super::session::Session;
use crate::codes;
use crate::error::CallError;
use crate::journal::{Lease, Outcome, StoreError};
use crate::units::Period;

const HOLD: &str = "lock::hold";
const RELEASE: &str = "lock::release";

/// How long a lock holds by itself when the call does not say.
pub(crate) const TIME_TO_LIVE: Period = Period::minutes(5);

/// The locks of a run.
#[derive(Default)]
pub(crate) struct Leases {
    /// By name.
    held: Mutex<BTreeMap<String, Held>>,
    /// The first that somebody else has had.
    lost: OnceLock<CallError>,
}

#[derive(Clone)]
struct Held {
    token: i64,
    time_to_live: Duration,
    /// When it was asked for: by elapsed time, since two clocks need not agree.
    renewed: Instant,
}

impl Session {
    /// Takes a lease, or renews it.
    pub(super) fn hold(
        &self,
        name: &str,
        time_to_live: Duration,
    ) -> Result<Result<Lease, Lease>, StoreError> {
        let mut held = self.lock(&self.leases.held);
        self.acquire(&mut held, name, time_to_live)
    }

    /// One after the other: what is being given back is not renewed meanwhile.
    fn acquire(
        &self,
        held: &mut BTreeMap<String, Held>,
        name: &str,
        time_to_live: Duration,
    ) -> Result<Result<Lease, Lease>, StoreError> {
        let (renewed, now) = (Instant::now(), self.clock.now());
        let answer = self.store.acquire(name, &self.run, now, time_to_live, Some(&self.fence))?;
        if let Ok(lease) = &answer {
            held.insert(name.to_owned(), Held { token: lease.token, time_to_live, renewed });
        }
        Ok(answer)
    }

    /// Gives a lease back.
    pub(super) fn release(&self, name: &str) -> Result<(), StoreError> {
        let mut held = self.lock(&self.leases.held);
        held.remove(name);
        self.store.release(name, &self.run, Some(&self.fence))
    }

    /// Gives every lease back.
    pub(super) fn release_leases(&self) {
        let held: Vec<String> = self.lock(&self.leases.held).keys().cloned().collect();
        for name in held {
            // A lease that cannot be given back runs out by itself.
            let _ = self.release(&name);
        }
    }

    /// Refuses an effect when somebody else has, or had, one of the locks.
    pub(crate) fn check_locks(&self) -> Result<(), Interrupt> {
        let lost = self.leases.lost.get().cloned();
        lost.map_or(Ok(()), |error| Err(self.stop(Stop::Refused(error))))
    }

    /// Renews what has used up a third of its time.
    pub(super) fn renew_leases(&self) {
        let mut held = self.lock(&self.leases.held);
        let due = held.iter().filter(|(_, held)| held.renewed.elapsed() * 3 >= held.time_to_live);
        let due: Vec<(String, Held)> = due.map(|(name, held)| (name.clone(), held.clone())).collect();
        for (name, before) in due {
            // Without its store the run stops by itself at the next effect.
            if let Ok(answer) = self.acquire(&mut held, &name, before.time_to_live) {
                self.compare(&name, before.token, answer);
            }
        }
    }

    /// Takes back what an earlier process of the run held: its calls are not made again.
    pub(super) fn take_leases_back(&self) -> Result<(), StoreError> {
        for (name, token, time_to_live) in held(&self.recorded) {
            let answer = self.hold(&name, time_to_live)?;
            self.compare(&name, token, answer);
        }
        Ok(())
    }

    /// Another token, or another holder: the lock was somebody else's in between.
    fn compare(&self, name: &str, token: i64, answer: Result<Lease, Lease>) {
        if let Ok(lease) | Err(lease) = answer
            && (lease.token != token || lease.run != self.run)
        {
            let _ = self.leases.lost.set(lost(name, &lease, &self.run));
        }
    }
}

/// Locks that were taken and neither given back nor undone: name, token, time to live. One that was being given back when
/// the process died is not missed: somebody else may have it already, and the run has no more use for it.
fn held(recorded: &Recorded) -> Vec<(String, i64, Duration)> {
    let mut calls: Vec<(&String, &RecordedCall)> = recorded
        .calls
        .iter()
        .filter(|(key, call)| {
            [HOLD, RELEASE].contains(&call.function.as_str()) && !recorded.undone.contains(*key)
        })
        .collect();
    calls.sort_by_key(|(_, call)| call.happened.max(call.seq));
    let mut held = BTreeMap::new();
    for (_, call) in calls {
        let Some(name) = call.arguments["name"].as_str() else { continue };
        match (&*call.function, &call.outcome) {
            (HOLD, Some(Outcome::Ok(answer))) => {
                let given: Option<Period> =
                    serde_json::from_value(call.arguments["time_to_live"].clone()).ok();
                held.insert(name, (token(answer), given.unwrap_or(TIME_TO_LIVE).0));
            }
            (RELEASE, None | Some(Outcome::Ok(_))) => {
                held.remove(name);
            }
            _ => {}
        }
    }
    held.into_iter().map(|(name, (token, length))| (name.to_owned(), token, length)).collect()
}

fn token(answer: &Value) -> i64 {
    answer["token"].as_i64().unwrap_or_default()
}

fn lost(name: &str, lease: &Lease, run: &str) -> CallError {
    let who = if lease.run == run { "another run".to_owned() } else { format!("run `{}`", lease.run) };
    CallError::new(codes::LOCK, format!("the lock `{name}` was lost to {who}"))
        .hint("see what that run did, then `aegis fork --from STEP` goes on from before the lock was taken")
}
