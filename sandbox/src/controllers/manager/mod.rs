//! The manager: wakes controllers, asks them for plans, carries the plans out.
//!
//! One task, one key at a time, and every plan is made on a picture that holds all writes before it:
//! so two runs of one scenario take the same steps, and no controller needs to guess what its own
//! earlier writes did. A plan that is not carried out to its end earns its key a growing wait, which the
//! plan's own writes do not cut short: what can never succeed costs next to nothing. `carry` carries plans out.

mod carry;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::carry::Versions;
use super::api::Api;
use super::cache::{Cache, Key};
use super::controller::{Again, Change, Controller, Marks, World};
use super::events::Recorder;
use super::fields::{Fields, Object};
use super::queue::Queue;
use super::settings::Settings;
use crate::ambient::Ambient;
use crate::processes::Processes;
use crate::store::{Event, EventKind, Store, Watch};

/// More steps than this without rest means that two controllers undo each other's work.
const RESTLESS: usize = 2_000_000;

/// Runs a list of controllers over one cluster.
pub struct Manager {
    controllers: &'static [Controller],
    queues: Vec<Queue>,
    cache: Cache,
    marks: Marks,
    recorder: Recorder,
    echo: Option<Echo>,
    settings: Settings,
    store: Store,
    watch: Option<Watch>,
    api: Arc<dyn Api>,
    processes: Processes,
}

impl Manager {
    /// A manager that has not looked at the cluster yet.
    pub fn new(
        controllers: &'static [Controller],
        store: Store,
        api: Arc<dyn Api>,
        settings: Settings,
    ) -> Self {
        Self {
            controllers,
            queues: controllers.iter().map(|_| Queue::default()).collect(),
            cache: Cache::default(),
            marks: Marks::default(),
            recorder: Recorder::default(),
            echo: None,
            settings,
            store,
            watch: None,
            api,
            processes: Processes::default(),
        }
    }

    /// Runs the containers that ask for it as processes.
    #[must_use]
    pub fn with_processes(self, processes: Processes) -> Self {
        Self { processes, ..self }
    }

    /// The controllers' picture of the cluster.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Runs for as long as it is polled, in the cluster's time.
    pub async fn run(mut self) {
        loop {
            while self.step().await {
                tokio::task::yield_now().await;
            }
            let wait = self.next(Queue::next).map(|at| self.until(at));
            let ambient = self.ambient().clone();
            let processes = self.processes.clone();
            let Some(watch) = &mut self.watch else { continue };
            let due = async {
                match wait {
                    Some(wait) => ambient.sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let events = tokio::select! {
                events = watch.next() => events,
                () = processes.changed() => continue,
                () = due => continue,
            };
            match events {
                Ok(events) => self.take_in(&events),
                Err(_) => self.watch = None,
            }
        }
    }

    /// Works until nothing is under way, moving a pinned clock over the waits between, but by no more
    /// than `limit`. Upkeep that falls due on the way is done as well. Answers the time that passed.
    pub async fn settle(&mut self, limit: Duration) -> Duration {
        let mut passed = Duration::ZERO;
        for _ in 0..RESTLESS {
            if self.step().await {
                continue;
            }
            let Some(wait) = self.next(Queue::next_work).map(|at| self.until(at)) else { break };
            // Upkeep that comes first is done at its own time.
            let wait = self.next(Queue::next).map_or(wait, |at| self.until(at).min(wait));
            if passed + wait > limit {
                break;
            }
            self.ambient().advance(wait);
            passed += wait;
        }
        passed
    }

    /// Lets `span` of a pinned clock pass, doing everything at the time it is due.
    pub async fn advance(&mut self, span: Duration) {
        let end = self.ambient().now() + SignedDuration::try_from(span).unwrap_or_default();
        for _ in 0..RESTLESS {
            if self.step().await {
                continue;
            }
            match self.next(Queue::next).filter(|at| *at <= end) {
                Some(at) => self.ambient().advance(self.until(at)),
                None => break,
            }
        }
        self.ambient().advance(self.until(end));
        while self.step().await {}
    }

    /// Takes in what changed and reconciles one key that is due; answers whether there was one.
    pub async fn step(&mut self) -> bool {
        self.catch_up();
        let now = self.ambient().now();
        for index in 0..self.controllers.len() {
            if let Some(key) = self.queues[index].take(now) {
                self.reconcile(index, key).await;
                return true;
            }
        }
        false
    }

    async fn reconcile(&mut self, index: usize, key: Key) {
        let world = World {
            cache: &self.cache,
            ambient: self.store.ambient(),
            settings: &self.settings,
            failure: self.queues[index].failure(&key),
            marks: &self.marks,
            kinds: self.store.kinds(),
            processes: &self.processes,
        };
        let plan = (self.controllers[index].reconcile)(&key, &world);
        let again = plan.again;
        let now = self.ambient().now();
        let mut versions = Versions::default();
        if let Err(dropped) = self.carry_out(index, plan, &mut versions).await {
            let name = self.controllers[index].name;
            tracing::debug!(controller = name, ?key, ?dropped, "a plan was not carried out");
            self.queues[index].failed(key.clone(), dropped.message(), now);
            self.echo = Some(Echo { index, key, versions: versions.made });
            return;
        }
        self.queues[index].succeeded(&key);
        let (after, upkeep) = match again {
            None => return,
            Some(Again::Soon(after)) => (after, false),
            Some(Again::Upkeep(after)) => (after, true),
        };
        let at = now + SignedDuration::try_from(after).unwrap_or(SignedDuration::from_hours(24 * 365));
        self.queues[index].add(key, at, upkeep);
    }

    /// Brings the picture up to date; starts over when it fell too far behind.
    fn catch_up(&mut self) {
        loop {
            let Some(watch) = &mut self.watch else {
                self.look_at_everything();
                continue;
            };
            match watch.try_next() {
                Ok(events) => {
                    self.take_in(&events);
                    return self.look_at_ended_processes();
                }
                Err(_) => self.watch = None,
            }
        }
    }

    fn look_at_ended_processes(&mut self) {
        for key in self.processes.take_ended() {
            if let Some(pod) = self.cache.find(&key).cloned() {
                self.wake(&pod, None, false);
            }
        }
    }

    fn take_in(&mut self, events: &[Arc<Event>]) {
        for event in events {
            match event.kind {
                EventKind::Deleted => self.gone(&Key::of(&event.object()), &event.object()),
                EventKind::Added | EventKind::Modified => self.seen(event.outline()),
            }
        }
    }

    /// Reads the whole cluster and follows it from there.
    fn look_at_everything(&mut self) {
        let version = self.store.version();
        let mut known = std::mem::take(&mut self.cache);
        let mut shelves: Vec<_> = self.store.kinds().all().iter().map(|kind| kind.storage.clone()).collect();
        shelves.sort();
        shelves.dedup();
        let items = shelves.iter().flat_map(|shelf| self.store.list(shelf, None).items);
        let everything: Vec<Object> = items.map(|item| item.outline()).collect();
        for object in &everything {
            known.drop(&Key::of(object));
            self.cache.put(object.clone());
        }
        for object in everything {
            self.wake(&object, None, false);
        }
        for object in known.everything() {
            self.wake(&object, None, true);
        }
        self.watch = self.store.watch_all(version).ok();
    }

    fn seen(&mut self, object: Object) {
        let previous = self.cache.put(object.clone());
        self.wake(&object, previous.as_ref(), false);
    }

    fn gone(&mut self, key: &Key, object: &Object) {
        self.cache.drop(key);
        self.marks.forget(object.uid());
        if key.kind == "Pod" {
            self.processes.forget(object.uid());
        }
        if key.kind == "Event" {
            self.recorder.forget(&key.namespace, &key.name);
        }
        self.wake(object, None, true);
    }

    fn wake(&mut self, object: &Object, previous: Option<&Object>, gone: bool) {
        let kind = super::fields::kind_of(object);
        let now = self.store.ambient().now();
        let change = Change { kind: &kind, object, previous, gone };
        let echo = self
            .echo
            .as_ref()
            .filter(|echo| echo.versions.contains(object.text("/metadata/resourceVersion")));
        for (index, controller) in self.controllers.iter().enumerate() {
            for key in (controller.wakes)(&change, &self.cache) {
                if echo.is_none_or(|echo| echo.index != index || echo.key != key) {
                    self.queues[index].add(key, now, false);
                }
            }
        }
    }

    fn next(&self, of: fn(&Queue) -> Option<Timestamp>) -> Option<Timestamp> {
        self.queues.iter().filter_map(of).min()
    }

    fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.ambient().now())).unwrap_or_default()
    }

    fn ambient(&self) -> &Ambient {
        self.store.ambient()
    }
}

/// What the last plan that was not carried out to its end had written by then: no reason to try again.
struct Echo {
    index: usize,
    key: Key,
    versions: HashSet<String>,
}
