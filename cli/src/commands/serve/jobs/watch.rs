//! One run and its Job, from the moment an engine has taken the run until somebody else has to look at it.
//!
//! What keeps the Job from executing the run is recorded as soon as it is seen, once, in the run's journal and in the
//! record of its instant. It may pass by itself (an image that is still being pushed, a full cluster that grows), so the
//! Job is given up only when it has lasted for the executor's patience.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::journal::{Body, Entry, Location, Placement, StoreError, Verdict};
use aegis_engine::run::{Undo, stored};
use aegis_scheduler::keeper::Launch;
use aegis_stdlib::k8s::{JobBell, Seen, Work, job_name};
use aegis_stdlib::target::ExecutorTarget;
use jiff::Timestamp;

use super::super::runs::quiet;
use super::{Door, Jobs, Shared};
use crate::view::say;

/// How often it looks while no pod executes the run.
const SOON: Duration = Duration::from_secs(2);

/// How often it looks, called by nothing, while a pod does.
const NOW_AND_AGAIN: Duration = Duration::from_secs(20);

/// A cluster that cannot be looked at for so long is told of.
const BLIND: Duration = Duration::from_secs(60);

/// One run and its Job.
pub(super) struct Watch {
    jobs: Arc<Jobs>,
    run: String,
    target: String,
    schedule: String,
    instant: Timestamp,
    executor: ExecutorTarget,
    door: Arc<Door>,
    /// Rings when something changes where the Job is.
    bell: Option<JobBell>,
    /// The Job, once it is certainly there.
    location: Option<Location>,
    /// Since when something keeps it from executing the run.
    hindered: Option<Instant>,
    /// Since when a pod is awaited that nothing is known to keep.
    coming: Option<Instant>,
    /// What was said about that last.
    said: String,
    /// When the journal was read last.
    read: Option<Instant>,
}

/// What follows from a look.
enum Next {
    Wait(Duration),
    Over(Option<Verdict>),
}

impl Watch {
    pub(super) fn new(
        jobs: &Arc<Jobs>,
        launch: &Launch,
        target: &str,
        executor: ExecutorTarget,
        door: &Arc<Door>,
    ) -> Self {
        Self {
            jobs: Arc::clone(jobs),
            run: launch.run.clone(),
            target: target.to_owned(),
            schedule: launch.schedule.name.to_string(),
            instant: launch.instant,
            executor,
            door: Arc::clone(door),
            bell: None,
            location: None,
            hindered: None,
            coming: None,
            said: String::new(),
            read: None,
        }
    }

    /// Watches until the run has ended (how), or this engine has nothing to do with its Job any more.
    pub(super) fn over(mut self) -> Option<Verdict> {
        loop {
            if self.door.let_go.load(Ordering::Acquire) {
                return None;
            }
            let next = match self.jobs.executor(&self.target, &self.executor) {
                Ok(shared) => {
                    // Before the look, so that nothing is missed after it.
                    self.bell.get_or_insert_with(|| shared.executor.bell());
                    self.look(&shared)
                }
                Err(error) => self.hindered(None, &error.message),
            };
            match next {
                Ok(Next::Over(verdict)) => return verdict,
                Ok(Next::Wait(longest)) => self.wait(longest),
                // The store: nothing can be decided without it.
                Err(_) => self.wait(SOON),
            }
        }
    }

    fn wait(&mut self, longest: Duration) {
        let (bell, door) = (&mut self.bell, &self.door);
        self.jobs.context.runtime.block_on(async {
            let changed = async {
                match bell {
                    Some(bell) => bell.rings(longest).await,
                    None => tokio::time::sleep(longest).await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = door.told.notified() => {}
            }
        });
    }

    fn look(&mut self, shared: &Shared) -> Result<Next, StoreError> {
        if self.door.leave.load(Ordering::Acquire) {
            return self.leave(shared);
        }
        let Some(location) = self.location.clone() else { return self.place(shared) };
        let seen = self.jobs.context.runtime.block_on(shared.executor.seen(&location.job));
        if matches!(seen, Seen::Running(_)) {
            self.runs_again();
            if self.read.is_some_and(|at| at.elapsed() < NOW_AND_AGAIN) {
                return Ok(Next::Wait(NOW_AND_AGAIN));
            }
        }
        self.read = Some(Instant::now());
        let entries = self.jobs.store.entries(&self.run, 0)?;
        if let Some(verdict) = stored::verdict(&entries) {
            // A pod that comes yet finds that it is not needed; one that cannot come would be tried for ever.
            if matches!(seen, Seen::Coming(Some(_))) {
                self.remove(shared, &location.job);
            }
            return Ok(Next::Over(Some(verdict)));
        }
        match seen {
            Seen::Running(_) => Ok(Next::Wait(NOW_AND_AGAIN)),
            Seen::Unknown(why) => self.blind(&location, &why),
            // What it came to is in the journal: it waits for people, or goes on in another Job.
            Seen::Complete => Ok(Next::Over(None)),
            Seen::Coming(_) | Seen::Nothing | Seen::Failed(_) if stored::is_cancelled(&entries) => {
                self.cancelled(shared, &location.job)
            }
            Seen::Coming(None) => self.coming(shared, &location),
            Seen::Coming(Some(why)) => self.hindered(Some(&location), &why),
            Seen::Failed(why) => self.give_up(Some(shared), &location, &why),
            Seen::Nothing => self.gone(shared, &location),
        }
    }

    /// The run stops where it stands, and goes on in another Job when it may.
    fn leave(&mut self, shared: &Shared) -> Result<Next, StoreError> {
        let entries = self.jobs.store.entries(&self.run, 0)?;
        if let Some(verdict) = stored::verdict(&entries) {
            return Ok(Next::Over(Some(verdict)));
        }
        if let Some(placed) = stored::placed(&entries).filter(|placed| placed.placement.is_expected()) {
            self.say(&placed.location, Placement::Left, "its maintenance window closed")?;
            self.remove(shared, &placed.location.job);
        }
        Ok(Next::Over(None))
    }

    /// Whether the run executes nobody can tell: said when that lasts, and no reason to give anything up.
    fn blind(&mut self, location: &Location, why: &str) -> Result<Next, StoreError> {
        let since = *self.hindered.get_or_insert_with(Instant::now);
        let why = format!("nobody can see its job: {why}");
        if since.elapsed() >= BLIND && gist(&self.said) != gist(&why) {
            self.say(location, Placement::Hindered, &why)?;
        }
        Ok(Next::Wait(SOON))
    }

    /// Journals where the run will execute, then makes the Job; both may have been done by an engine before.
    fn place(&mut self, shared: &Shared) -> Result<Next, StoreError> {
        let entries = self.jobs.store.entries(&self.run, 0)?;
        if let Some(verdict) = stored::verdict(&entries) {
            return Ok(Next::Over(Some(verdict)));
        }
        if stored::is_given_up(&entries) {
            return Ok(Next::Over(None));
        }
        let known: BTreeSet<&str> = entries.iter().filter_map(job_of).collect();
        let last = stored::placed(&entries)
            .filter(|placed| placed.placement.is_expected() && !placed.location.job.is_empty());
        let over = |job: &str| self.jobs.context.runtime.block_on(shared.executor.is_over(job));
        let location = match last {
            Some(last) => match over(&last.location.job) {
                Ok(Some(true)) => self.next(shared, known.len() + 1),
                // There, or not made yet by whoever said that it would be.
                Ok(_) => Location { pod: String::new(), node: String::new(), ..last.location },
                Err(error) => return self.hindered(Some(&last.location), &error.message),
            },
            None => self.next(shared, known.len() + 1),
        };
        if !known.contains(location.job.as_str()) {
            self.say(&location, Placement::Expected, "")?;
        }
        let work = Work { run: self.run.clone(), target: self.target.clone(), location: location.clone() };
        match self.jobs.context.runtime.block_on(shared.executor.make(&work)) {
            Ok(()) => {
                self.location = Some(location);
                Ok(Next::Wait(SOON))
            }
            Err(_) if stored::is_cancelled(&entries) => self.cancelled(shared, &location.job),
            Err(error) => self.hindered(Some(&location), &error.message),
        }
    }

    fn next(&self, shared: &Shared, number: usize) -> Location {
        let cluster = self.executor.cluster.clone().unwrap_or_else(|| self.target.clone());
        let namespace = shared.executor.namespace().to_owned();
        Location { cluster, namespace, job: job_name(&self.run, number), ..Location::default() }
    }

    /// Pods need a moment; one that has not begun after the patience for trouble will not by itself.
    fn coming(&mut self, shared: &Shared, location: &Location) -> Result<Next, StoreError> {
        let since = *self.coming.get_or_insert_with(Instant::now);
        if since.elapsed() < self.executor.patience() {
            return Ok(Next::Wait(SOON));
        }
        self.give_up(Some(shared), location, "no pod of its job has begun, and the cluster does not say why")
    }

    /// Something keeps the run from executing: said once, and endured for a while.
    fn hindered(&mut self, location: Option<&Location>, why: &str) -> Result<Next, StoreError> {
        let since = *self.hindered.get_or_insert_with(Instant::now);
        let location = location.cloned().unwrap_or_else(|| Location {
            cluster: self.executor.cluster.clone().unwrap_or_else(|| self.target.clone()),
            namespace: self.executor.namespace.clone().unwrap_or_default(),
            ..Location::default()
        });
        if since.elapsed() >= self.executor.patience() {
            let shared = self.jobs.executor(&self.target, &self.executor).ok();
            return self.give_up(shared.as_deref(), &location, why);
        }
        self.endured(&location, why)
    }

    fn endured(&mut self, location: &Location, why: &str) -> Result<Next, StoreError> {
        if gist(&self.said) != gist(why) {
            self.say(location, Placement::Hindered, why)?;
        }
        Ok(Next::Wait(SOON))
    }

    fn runs_again(&mut self) {
        self.coming = None;
        if self.hindered.take().is_some()
            && let Some(location) = &self.location
        {
            self.said.clear();
            self.note(&location.to_string());
        }
    }

    /// People have to look. Decided under the run's claim, so that what is said is what happens: nobody executes the run
    /// now, and a pod that begins late, or an engine that watched as well, finds the decision before it does anything.
    fn give_up(
        &mut self,
        shared: Option<&Shared>,
        location: &Location,
        why: &str,
    ) -> Result<Next, StoreError> {
        let Some(claim) = self.jobs.store.claim(&self.run)? else {
            // A pod still has it, or died with it a moment ago.
            return self.endured(location, why);
        };
        let entries = self.jobs.store.entries(&self.run, 0)?;
        if let Some(verdict) = stored::verdict(&entries) {
            return Ok(Next::Over(Some(verdict)));
        }
        let is_of = |placed: &stored::Placed| {
            let is_it = location.job.is_empty() || placed.location.job == location.job;
            placed.placement.is_expected() && is_it
        };
        if stored::placed(&entries).as_ref().is_none_or(is_of) {
            self.say(location, Placement::GivenUp, why)?;
        }
        drop(claim);
        if let Some(shared) = shared {
            self.remove(shared, &location.job);
        }
        Ok(Next::Over(None))
    }

    /// The last look did not see the Job: it may be newer than that.
    fn gone(&mut self, shared: &Shared, location: &Location) -> Result<Next, StoreError> {
        match self.jobs.context.runtime.block_on(shared.executor.is_over(&location.job)) {
            Ok(None | Some(true)) => self.give_up(Some(shared), location, "somebody took its job away"),
            Ok(Some(false)) | Err(_) => Ok(Next::Wait(SOON)),
        }
    }

    /// Somebody cancelled the run and no process hears of it: what can be undone is undone here, and the Job goes.
    fn cancelled(&self, shared: &Shared, job: &str) -> Result<Next, StoreError> {
        let undone = quiet(&self.jobs.context, &self.target, None, &self.schedule).and_then(
            |(execution, _sandbox)| {
                let note = "no pod executed it";
                self.jobs.engine.undo(Undo::of(&self.run, note), execution).map_err(super::super::runs::told)
            },
        );
        Ok(match undone {
            Ok(conclusion) => {
                self.remove(shared, job);
                Next::Over(conclusion.verdict)
            }
            // A pod was quicker, and hears of it.
            Err(_) => Next::Wait(SOON),
        })
    }

    /// What cannot be taken away finds that its run does not need it.
    fn remove(&self, shared: &Shared, job: &str) {
        if job.is_empty() {
            return;
        }
        if let Err(error) = self.jobs.context.runtime.block_on(shared.executor.remove(job)) {
            say(&format!("trouble: the job `{job}` cannot be taken away: {}", error.message));
        }
    }

    /// Says how it stands, in the journal and in the record.
    fn say(&mut self, location: &Location, placement: Placement, why: &str) -> Result<(), StoreError> {
        let (at, note) = (location.clone(), why.to_owned());
        let body = Body::Placed { location: at, placement, note, break_glass: None };
        self.jobs.store.append(&self.run, &[(SystemClock.now(), body)])?;
        self.jobs.metrics.placed(placement);
        why.clone_into(&mut self.said);
        let place = if location.job.is_empty() { "no job".to_owned() } else { location.to_string() };
        self.note(&match placement {
            Placement::Expected => place,
            Placement::Hindered => format!("{place}: {why}"),
            Placement::Left | Placement::GivenUp | Placement::Wanted => {
                format!("{}: {why} ({place})", placement.word())
            }
        });
        Ok(())
    }

    /// Lists of instants show where a run is.
    fn note(&self, text: &str) {
        if let Err(error) = self.jobs.records.note((&self.schedule, self.instant), text) {
            say(&format!(
                "trouble: the record of `{}` misses a note that its journal has: {error}",
                self.run
            ));
        }
    }
}

fn job_of(entry: &Entry) -> Option<&str> {
    match &entry.body {
        Body::Placed { location, .. } => Some(location.job.as_str()).filter(|job| !job.is_empty()),
        _ => None,
    }
}

/// What a sentence is about: kubelets word the rest of it anew with each attempt.
fn gist(sentence: &str) -> &str {
    sentence.split(": ").next().unwrap_or_default()
}
