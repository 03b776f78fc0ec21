//! Limits for hostile or mistaken scripts. Rhai's own operation counter starts again in every closure a host
//! calls, so operations are counted here for the whole run, and those that take long count for more than one: an array
//! that grows is counted through by Rhai at every change. Sizes and depths of single values are set where Rhai is
//! configured; what many values take together is seen here, as the growth of the process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a run may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations of the whole run: an expression or statement is about one, and for each [`OPERATION`] of processor time
    /// that the script takes by itself, one is counted at least.
    pub operations: u64,
    /// Bytes of resident memory by which the process may grow while the run is under way.
    pub memory: u64,
    /// Wall time when the header names none.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations: 500_000_000, memory: 2 << 30, time: Duration::from_secs(24 * 3600) }
    }
}

/// Operations used so far, over all threads of a run.
#[derive(Debug, Default)]
pub(crate) struct Operations(AtomicU64);

/// Memory of the process when the run began, and how much it may grow.
#[derive(Debug)]
pub(crate) struct Memory {
    most: Option<u64>,
}

impl Memory {
    /// Growth is counted from now on. Where the system does not tell, nothing is limited.
    pub(crate) fn from_here(allowed: u64) -> Self {
        Self { most: resident().map(|now| now.saturating_add(allowed)) }
    }

    /// True when the process has grown by more than that.
    pub(crate) fn is_used_up(&self) -> bool {
        self.most.zip(resident()).is_some_and(|(most, now)| now > most)
    }
}

fn resident() -> Option<u64> {
    memory_stats::memory_stats().and_then(|stats| u64::try_from(stats.physical_mem).ok())
}

/// Processor time that an operation may take before it counts for several: simple ones take a fifth of it.
pub const OPERATION: Duration = Duration::from_nanos(50);

/// How often the shared counter is touched.
const BATCH: u64 = 1024;

impl Operations {
    /// Counts from nothing again: taking back is not refused for what the script used up.
    pub(crate) fn start_over(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Counts one operation of the calling thread; true when the run has used up its allowance.
    pub(crate) fn spend(&self, allowed: u64) -> bool {
        LOCAL.with(|local| {
            let mine = local.get() + 1;
            if mine < BATCH {
                local.set(mine);
                return false;
            }
            local.set(0);
            let spent = mine.max(lasted());
            self.0.fetch_add(spent, Ordering::Relaxed) + spent > allowed
        })
    }
}

/// How many operations the time makes that this thread has computed since it was asked last, without what it was
/// [`outside`].
fn lasted() -> u64 {
    let now = processor_time();
    let since = BATCH_BEGAN.with(|began| began.replace(Some(now)));
    let took = since.map_or(0, |since| now.saturating_sub(since).as_nanos() / OPERATION.as_nanos());
    u64::try_from(took).unwrap_or(u64::MAX)
}

/// Does what the script does not do by itself: a call to the outside, writing to the journal. The time for it is not the
/// script's own.
pub(crate) fn outside<T>(work: impl FnOnce() -> T) -> T {
    let left = processor_time();
    let done = work();
    let away = processor_time().saturating_sub(left);
    BATCH_BEGAN.with(|began| began.set(began.get().map(|at| at + away)));
    done
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

thread_local! {
    static LOCAL: Cell<u64> = const { Cell::new(0) };
    static BATCH_BEGAN: Cell<Option<Duration>> = const { Cell::new(None) };
    static STEP_DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// True when the time of the innermost step on this thread is up. Looks at the clock once per batch.
pub(crate) fn step_time_is_up() -> bool {
    LOCAL.with(Cell::get) == 0 && STEP_DEADLINE.with(Cell::get).is_some_and(|at| Instant::now() >= at)
}

/// Sets the deadline of this thread until dropped.
pub(crate) fn step_clock(deadline: Option<Instant>) -> StepClock {
    StepClock(STEP_DEADLINE.with(|cell| cell.replace(deadline)))
}

/// Puts the deadline of the step outside back.
pub(crate) struct StepClock(Option<Instant>);

impl Drop for StepClock {
    fn drop(&mut self) {
        STEP_DEADLINE.with(|cell| cell.set(self.0));
    }
}
