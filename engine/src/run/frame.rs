//! Where a call stands in the run: its path of step names, occurrence and item index. The path never
//! depends on thread order or on a closure's generated name, so every process finds the same places again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rhai::{Dynamic, NativeCallContext};

use super::interrupt::Interrupt;
use super::recorded::Recorded;
use super::session::Session;
use crate::journal::Place;

/// The root, a step's attempt, a branch of a parallel block, or a function that takes something back.
pub(crate) struct Frame {
    pub(crate) session: Arc<Session>,
    /// What was done in it before.
    pub(crate) recorded: Arc<Recorded>,
    /// Path from the root; empty for the root.
    pub(crate) key: String,
    /// When the nearest step's time is up.
    pub(crate) deadline: Option<Instant>,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    next: u32,
    occurrences: BTreeMap<String, u32>,
}

/// A place for one call or step in a frame.
pub(crate) struct Slot {
    /// Its place in the run.
    pub(crate) key: String,
    /// Which child of the frame it is.
    pub(crate) ordinal: u32,
}

impl Frame {
    pub(crate) fn root(session: Arc<Session>) -> Arc<Self> {
        let (recorded, deadline) = (Arc::clone(&session.recorded), session.time_left());
        Arc::new(Self { session, recorded, key: String::new(), deadline, counters: Mutex::default() })
    }

    /// The frame of a function that takes something back; `recorded` is what earlier tries did.
    pub(crate) fn inverse(session: Arc<Session>, key: &str, recorded: Recorded) -> Arc<Self> {
        let (key, recorded, deadline) = (key.to_owned(), Arc::new(recorded), session.time_left());
        Arc::new(Self { session, recorded, key, deadline, counters: Mutex::default() })
    }

    /// A frame below this one: `suffix` is the attempt (`@2`) or the item (`[3]`).
    pub(crate) fn child(&self, step: &str, suffix: &str, deadline: Option<Instant>) -> Arc<Self> {
        let deadline = [self.deadline, deadline].into_iter().flatten().min();
        let key = format!("{step}{suffix}");
        let (session, recorded) = (Arc::clone(&self.session), Arc::clone(&self.recorded));
        Arc::new(Self { session, recorded, key, deadline, counters: Mutex::default() })
    }

    /// The next place in this frame; refuses one where the journal has something else.
    pub(crate) fn next(&self, label: &str, place: &Place) -> Result<Slot, Interrupt> {
        let label = self.session.vault.masked(label).replace('/', "∕");
        let slot = {
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            let ordinal = counters.next;
            counters.next += 1;
            let occurrence = counters.occurrences.entry(label.clone()).or_default();
            let key = format!("{}/{label}#{occurrence}", self.key);
            *occurrence += 1;
            Slot { key, ordinal }
        };
        self.recorded.check_order(&self.key, slot.ordinal, &slot.key, place)?;
        Ok(slot)
    }

    /// Calls a closure inside this frame, on the thread it is called on.
    pub(crate) fn enter(
        self: &Arc<Self>,
        context: &NativeCallContext<'_>,
        body: &rhai::FnPtr,
        arguments: &mut [Dynamic],
    ) -> Result<Dynamic, Box<rhai::EvalAltResult>> {
        let _clock = super::limits::step_clock(self.deadline);
        let _here = Here::set(self);
        snapshot(body).call_raw(context, None, arguments)
    }
}

/// A closure whose captured variables are copies: what the body assigns to them is not seen outside, in the
/// first run as in a resumed one where the body is skipped.
fn snapshot(body: &rhai::FnPtr) -> rhai::FnPtr {
    let mut copy = body.clone();
    let captured: Vec<Dynamic> = body.curry().iter().map(Dynamic::flatten_clone).collect();
    copy.set_curry(captured);
    copy
}

/// The place of a call in the script.
pub(crate) fn place(context: &NativeCallContext<'_>) -> Place {
    let position = context.call_position();
    Place {
        source: context.call_source().unwrap_or_default().to_owned(),
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(0),
    }
}

thread_local! {
    static HERE: RefCell<Option<Arc<Frame>>> = const { RefCell::new(None) };
}

/// The frame that native functions are called in, by thread: a branch has its own thread, and a step's body
/// runs on the thread of its step. Set until dropped.
pub(crate) struct Here(Option<Arc<Frame>>);

impl Here {
    pub(crate) fn set(frame: &Arc<Frame>) -> Self {
        Self(HERE.with(|here| here.replace(Some(Arc::clone(frame)))))
    }

    pub(crate) fn get() -> Option<Arc<Frame>> {
        HERE.with(|here| here.borrow().clone())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.with(|here| here.replace(self.0.take()));
    }
}
