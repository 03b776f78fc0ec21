//! The locks a run holds: kept alive while a process executes it, taken back by the next process when one died, and
//! given back at its end. A run that finds somebody else behind one of its locks stops: what it was to protect may
//! have changed under its hands.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::interrupt::Stop;
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

/// The locks of a run, by name.
#[derive(Default)]
pub(crate) struct Leases(Mutex<BTreeMap<String, Held>>);

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
        let renewed = Instant::now();
        let answer = self.store.acquire(name, &self.run, self.clock.now(), time_to_live)?;
        if let Ok(lease) = &answer {
            let held = Held { token: lease.token, time_to_live, renewed };
            self.lock(&self.leases.0).insert(name.to_owned(), held);
        }
        Ok(answer)
    }

    /// Gives a lease back.
    pub(super) fn release(&self, name: &str) -> Result<(), StoreError> {
        self.lock(&self.leases.0).remove(name);
        self.store.release(name, &self.run)
    }

    /// Gives every lease back.
    pub(super) fn release_leases(&self) {
        let held: Vec<String> = self.lock(&self.leases.0).keys().cloned().collect();
        for name in held {
            // A lease that cannot be given back runs out by itself.
            let _ = self.release(&name);
        }
    }

    /// Renews what has used up a third of its time.
    pub(super) fn renew_leases(&self) -> Result<(), Stop> {
        let due: Vec<(String, Held)> = {
            let held = self.lock(&self.leases.0);
            let due = held.iter().filter(|(_, held)| held.renewed.elapsed() * 3 >= held.time_to_live);
            due.map(|(name, held)| (name.clone(), held.clone())).collect()
        };
        for (name, before) in due {
            // It may have been given back meanwhile.
            if !self.lock(&self.leases.0).contains_key(&name) {
                continue;
            }
            match self.hold(&name, before.time_to_live) {
                Ok(Ok(lease)) if lease.token == before.token => {}
                Ok(Ok(lease) | Err(lease)) => return Err(lost(&name, &lease, &self.run)),
                // Without its store the run stops by itself at the next effect.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Takes back what an earlier process of the run held: its calls are not made again.
    pub(super) fn take_leases_back(&self) -> Result<(), CallError> {
        for (name, token, time_to_live) in held(&self.recorded) {
            match self.hold(&name, time_to_live) {
                Ok(Ok(lease)) if lease.token == token => {}
                Ok(Ok(lease) | Err(lease)) => {
                    self.stop(lost(&name, &lease, &self.run));
                }
                Err(error) => return Err(Stop::Store(error).error()),
            }
        }
        Ok(())
    }
}

/// Locks that were taken and neither given back nor undone: name, token, time to live.
fn held(recorded: &Recorded) -> Vec<(String, i64, Duration)> {
    let mut calls: Vec<(&String, &RecordedCall)> = recorded
        .calls
        .iter()
        .filter(|(key, call)| {
            [HOLD, RELEASE].contains(&call.function.as_str()) && !recorded.undone.contains(*key)
        })
        .collect();
    calls.sort_by_key(|(_, call)| call.happened);
    let mut held = BTreeMap::new();
    for (_, call) in calls {
        let (Some(Outcome::Ok(answer)), Some(name)) = (&call.outcome, call.arguments["name"].as_str()) else {
            continue;
        };
        if call.function == HOLD {
            let given: Option<Period> = serde_json::from_value(call.arguments["time_to_live"].clone()).ok();
            held.insert(name, (token(answer), given.unwrap_or(TIME_TO_LIVE).0));
        } else {
            held.remove(name);
        }
    }
    held.into_iter().map(|(name, (token, length))| (name.to_owned(), token, length)).collect()
}

fn token(answer: &Value) -> i64 {
    answer["token"].as_i64().unwrap_or_default()
}

fn lost(name: &str, lease: &Lease, run: &str) -> Stop {
    let who = if lease.run == run { "another run".to_owned() } else { format!("run `{}`", lease.run) };
    let error = CallError::new(codes::LOCK, format!("the lock `{name}` was lost to {who}"))
        .hint("see what that run did, then `aegis fork --from STEP` goes on from before the lock was taken");
    Stop::Refused(error)
}
