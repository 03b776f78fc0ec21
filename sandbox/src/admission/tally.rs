//! Which webhooks were called, which were taken to say yes, and how often: a rehearsal that leans on an answer nobody gave
//! has to say so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Counts of one cluster since its server started; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

/// How many requests, by webhook (`validatingwebhookconfigurations/NAME/WEBHOOK`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// It was asked.
    pub called: BTreeMap<String, u64>,
    /// It was taken to say yes, because nothing runs behind its Service.
    pub assumed: BTreeMap<String, u64>,
}

impl Tally {
    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_called(&self, place: &str) {
        self.add(place, |counts| &mut counts.called);
    }

    pub(super) fn add_assumed(&self, place: &str) {
        self.add(place, |counts| &mut counts.assumed);
    }

    fn add(&self, place: &str, which: fn(&mut Counts) -> &mut BTreeMap<String, u64>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *which(&mut counts).entry(place.to_owned()).or_default() += 1;
    }
}
