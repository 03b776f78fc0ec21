//! Everything the cluster knows, in memory: objects by place, one version, and the recent events.
//!
//! Objects read from a snapshot stay text until somebody asks for them, so that a large cluster
//! starts as fast as a small one; what is not fresh any more goes back to text, so that it stays small.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{Event, EventKind, Item, Key, Object, Resource, Slot, TooOld};

/// No more events than this are kept for one resource; a watch that falls further behind must list again.
pub(super) const HISTORY: usize = 8192;
/// This many are kept however old they are.
pub(super) const KEPT: usize = 256;
/// This many are held as trees, for those who follow.
pub(super) const FRESH: usize = 512;
/// Older ones go, as in a real cluster: the API server's default `--etcd-compaction-interval`.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_secs(300);

/// Namespace and name.
type Place = (Arc<str>, Arc<str>);

fn item(((namespace, name), slot): (&Place, &Arc<Slot>)) -> Item {
    Item { namespace: namespace.clone(), name: name.clone(), slot: slot.clone() }
}

/// The recent events of one resource, or of all.
struct Feed {
    events: VecDeque<(Timestamp, Arc<Event>)>,
    /// Every event after this version is in `events`.
    floor: u64,
    newest: watch::Sender<u64>,
}

impl Feed {
    fn new(floor: u64) -> Self {
        Self { events: VecDeque::new(), floor, newest: watch::Sender::new(floor) }
    }

    fn push(&mut self, now: Timestamp, event: Arc<Event>) {
        while self.has_too_many(now)
            && let Some((_, evicted)) = self.events.pop_front()
        {
            self.floor = evicted.version;
        }
        self.newest.send_replace(event.version);
        self.events.push_back((now, event));
        // Whoever keeps up has read it by now.
        if let Some((_, event)) =
            self.events.len().checked_sub(FRESH).and_then(|index| self.events.get(index))
        {
            event.cool();
        }
    }

    fn has_too_many(&self, now: Timestamp) -> bool {
        let is_old = |(at, _): &(Timestamp, Arc<Event>)| now.duration_since(*at) > LIFETIME;
        self.events.len() >= HISTORY || self.events.len() >= KEPT && self.events.front().is_some_and(is_old)
    }

    fn after(&self, version: u64, most: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        if version < self.floor {
            return Err(TooOld { requested: version, oldest: self.floor });
        }
        let start = self.events.partition_point(|(_, event)| event.version <= version);
        Ok(self.events.range(start..).take(most).map(|(_, event)| event.clone()).collect())
    }
}

/// The objects, the version and the events.
#[derive(Default)]
pub(super) struct State {
    pub(super) version: u64,
    /// Events up to here are not known (they are in the snapshot).
    base: u64,
    shelves: HashMap<Resource, BTreeMap<Place, Arc<Slot>>>,
    feeds: HashMap<Option<Resource>, Feed>,
}

impl State {
    /// An empty state whose version and event history begin at `version`.
    pub(super) fn starting_at(version: u64) -> Self {
        Self { version, base: version, ..Self::default() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Object> {
        let place = (key.namespace.clone(), key.name.clone());
        self.shelves.get(&key.resource)?.get(&place).map(|slot| slot.object())
    }

    pub(super) fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Item> {
        let Some(shelf) = self.shelves.get(resource) else {
            return Vec::new();
        };
        match namespace {
            None => shelf.iter().map(item).collect(),
            Some(namespace) => shelf
                .range((Bound::Included((namespace.into(), "".into())), Bound::<Place>::Unbounded))
                .take_while(|((there, _), _)| &**there == namespace)
                .map(item)
                .collect(),
        }
    }

    /// Goes back from the present by undoing the events since.
    pub(super) fn list_at(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Item>, TooOld> {
        let since = self.events_after(&Some(resource.clone()), version, usize::MAX)?;
        let mut slots: BTreeMap<Place, Arc<Slot>> = self
            .list(resource, namespace)
            .into_iter()
            .map(|item| ((item.namespace, item.name), item.slot))
            .collect();
        for event in
            since.iter().rev().filter(|event| namespace.is_none_or(|name| &*event.key.namespace == name))
        {
            let place = (event.key.namespace.clone(), event.key.name.clone());
            match &event.previous {
                Some(previous) => slots.insert(place, previous.clone()),
                None => slots.remove(&place),
            };
        }
        Ok(slots.iter().map(item).collect())
    }

    /// How many objects of a resource there are, without reading them.
    pub(super) fn count(&self, resource: &Resource) -> usize {
        self.shelves.get(resource).map_or(0, BTreeMap::len)
    }

    /// Puts, replaces or (with none) removes an object.
    pub(super) fn set(&mut self, key: &Key, slot: Option<Arc<Slot>>) {
        let place = (key.namespace.clone(), key.name.clone());
        let shelf = self.shelves.entry(key.resource.clone()).or_default();
        match slot {
            Some(slot) => shelf.insert(place, slot),
            None => shelf.remove(&place),
        };
    }

    /// Undoes an event that was applied with [`State::set`] but never published.
    pub(super) fn revert(&mut self, event: &Event) {
        self.set(&event.key, event.previous.clone());
    }

    /// Lets watches see an event.
    pub(super) fn publish(&mut self, now: Timestamp, event: Arc<Event>) {
        self.feed(Some(event.key.resource.clone())).push(now, event.clone());
        self.feed(None).push(now, event);
    }

    pub(super) fn events_after(
        &self,
        resource: &Option<Resource>,
        version: u64,
        most: usize,
    ) -> Result<Vec<Arc<Event>>, TooOld> {
        match self.feeds.get(resource) {
            Some(feed) => feed.after(version, most),
            None => Feed::new(self.base).after(version, most),
        }
    }

    pub(super) fn wake(&mut self, resource: &Option<Resource>) -> watch::Receiver<u64> {
        self.feed(resource.clone()).newest.subscribe()
    }

    fn feed(&mut self, resource: Option<Resource>) -> &mut Feed {
        let base = self.base;
        self.feeds.entry(resource).or_insert_with(|| Feed::new(base))
    }

    /// Every object with its place, for a snapshot.
    pub(super) fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        self.shelves
            .iter()
            .flat_map(|(resource, shelf)| shelf.iter().map(move |(place, slot)| (resource, place, slot)))
            .map(|(resource, (namespace, name), slot)| {
                let key =
                    Key { resource: resource.clone(), namespace: namespace.clone(), name: name.clone() };
                (key, slot.clone())
            })
            .collect()
    }

    /// The slot of an object.
    pub(super) fn slot(&self, key: &Key) -> Option<Arc<Slot>> {
        let place = (key.namespace.clone(), key.name.clone());
        self.shelves.get(&key.resource)?.get(&place).cloned()
    }

    /// Applies a change read from the log, and remembers it as an event of `now`.
    pub(super) fn replay(&mut self, now: Timestamp, version: u64, key: Key, object: Option<Arc<Slot>>) {
        let previous = self.slot(&key);
        let kind = match (&previous, &object) {
            (None, _) => EventKind::Added,
            (Some(_), Some(_)) => EventKind::Modified,
            (Some(_), None) => EventKind::Deleted,
        };
        self.set(&key, object.clone());
        self.version = version;
        let gone = || {
            previous.as_ref().map(|last| Arc::new(Slot::new(super::with_version(&last.object(), version))))
        };
        if let Some(object) = object.or_else(gone) {
            self.publish(now, Arc::new(Event { version, key, kind, object, previous }));
        }
    }
}
