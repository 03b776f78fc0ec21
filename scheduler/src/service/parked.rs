//! Runs that wait for people, or were ended by somebody else. They cost no thread and no reading: the journal tells in
//! one question which runs have news, and only those are looked at.

use std::collections::HashMap;

use super::{Look, Service};
use crate::keeper::Launch;

impl Service {
    /// Once, at the beginning: what happened to runs while nobody here listened.
    pub(super) fn look_at_all(&mut self) {
        let changed = self.launcher.changed();
        self.unless_trouble(changed);
        self.look_at(self.keeper.running().cloned().collect());
    }

    /// Looks at the runs that have news.
    pub(super) fn look_at_changes(&mut self) {
        let changed = self.launcher.changed();
        let changed = self.unless_trouble(changed).unwrap_or_default();
        if changed.is_empty() {
            return;
        }
        let open: HashMap<&str, &Launch> =
            self.keeper.running().map(|launch| (launch.run.as_str(), launch)).collect();
        let elsewhere = |run: &String| {
            open.get(run.as_str()).filter(|launch| !self.executing.contains_key(&launch.run)).copied()
        };
        let news: Vec<Launch> = changed.iter().filter_map(elsewhere).cloned().collect();
        self.look_at(news);
    }

    fn look_at(&mut self, runs: Vec<Launch>) {
        let (mut ended, mut awake) = (Vec::new(), Vec::new());
        for launch in runs {
            match self.launcher.look(&launch.run) {
                Ok(Look::Ended(verdict)) => ended.push((launch, verdict)),
                Ok(Look::Interrupted | Look::Waiting(true)) => awake.push(launch),
                Ok(Look::Missing | Look::Executed | Look::Placed | Look::GivenUp | Look::Waiting(false)) => {}
                Err(error) => self.in_trouble(&error),
            }
        }
        if !awake.is_empty() {
            let keys: Vec<_> = awake.iter().map(Launch::key).collect();
            let woken = self.keeper.store().wake(&keys);
            self.unless_trouble(woken);
            self.hungry = true;
        }
        self.ended(&ended);
    }

    /// Learns whether effects are halted. When they no longer are, runs that waited for that go on.
    pub(super) fn look_at_halt(&mut self) {
        let halted = self.launcher.halted();
        let Some(halted) = self.unless_trouble(halted) else { return };
        let lifted = self.halted && halted.is_none();
        self.halted = halted.is_some();
        self.keeper.set_halted(halted);
        if lifted {
            self.look_at_all();
        }
    }
}
