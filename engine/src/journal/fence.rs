//! The right to write a run's journal, and how long it certainly holds. A process can lose a claim without being told
//! (it was stopped, its network was cut), so two things guard a run: the store refuses what is appended under a claim
//! that somebody else has taken over, and the process itself stops before an effect once it cannot be sure any more.
//!
//! Elapsed time decides, never a clock on a wall: two machines need not agree what time it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Held while a process executes a run; dropped, it is given back.
pub trait Claim: Send {
    /// What the run's entries are written under.
    fn fence(&self) -> Fence;
}

/// What entries are written under: the number of the claim, and until when it certainly holds.
#[derive(Debug, Clone)]
pub struct Fence {
    token: i64,
    holds: Arc<Mutex<Holds>>,
}

#[derive(Debug, Clone, Copy)]
enum Holds {
    ForGood,
    Until(Instant),
    NoMore,
}

impl Fence {
    /// Of a claim that cannot be lost while the process lives: a lock of its kernel.
    #[must_use]
    pub fn for_good() -> Self {
        Self { token: 0, holds: Arc::new(Mutex::new(Holds::ForGood)) }
    }

    /// Of a claim that runs out unless it is renewed.
    #[must_use]
    pub fn until(token: i64, at: Instant) -> Self {
        Self { token, holds: Arc::new(Mutex::new(Holds::Until(at))) }
    }

    /// Grows with every claim on the run.
    #[must_use]
    pub const fn token(&self) -> i64 {
        self.token
    }

    /// True as long as nobody else can have the run.
    #[must_use]
    pub fn holds(&self) -> bool {
        match *self.state() {
            Holds::ForGood => true,
            Holds::Until(at) => Instant::now() < at,
            Holds::NoMore => false,
        }
    }

    /// True for a claim that has to be watched.
    #[must_use]
    pub fn can_be_lost(&self) -> bool {
        !matches!(*self.state(), Holds::ForGood)
    }

    /// It was renewed.
    pub fn renew(&self, until: Instant) {
        let mut state = self.state();
        if let Holds::Until(at) = *state {
            *state = Holds::Until(at.max(until));
        }
    }

    /// Somebody else has the run.
    pub fn lose(&self) {
        *self.state() = Holds::NoMore;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
