//! The work queue of one controller: each key once, ordered by when it is due, then by arrival.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::cache::Key;

/// The first wait after a refused write, doubled by each further one. Both waits are those of client-go's
/// `DefaultTypedControllerRateLimiter`.
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
/// The longest wait after refused writes.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1000);

/// When a key is due, and which came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Timestamp,
    arrival: u64,
}

/// How often a key's plan failed in a row, and what the API said when it last refused one.
#[derive(Debug, Default)]
struct Failures {
    times: u32,
    message: Option<String>,
}

/// The keys a controller has to look at.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeMap<Due, Key>,
    held: HashMap<Key, Due>,
    upkeep: BTreeSet<Key>,
    failures: HashMap<Key, Failures>,
    arrivals: u64,
}

impl Queue {
    /// Makes `key` due at `at`, unless it is due earlier anyway. It counts as work once any caller says so.
    pub fn add(&mut self, key: Key, at: Timestamp, upkeep: bool) {
        let held = self.held.get(&key).copied();
        let upkeep = upkeep && (held.is_none() || self.upkeep.contains(&key));
        match upkeep {
            true => self.upkeep.insert(key.clone()),
            false => self.upkeep.remove(&key),
        };
        match held {
            Some(held) if held.at <= at => {}
            Some(held) => {
                self.due.remove(&held);
                self.place(key, at);
            }
            None => self.place(key, at),
        }
    }

    fn place(&mut self, key: Key, at: Timestamp) {
        self.arrivals += 1;
        let due = Due { at, arrival: self.arrivals };
        self.held.insert(key.clone(), due);
        self.due.insert(due, key);
    }

    /// Takes the next key that is due.
    pub fn take(&mut self, now: Timestamp) -> Option<Key> {
        let (due, _) = self.due.first_key_value().filter(|(due, _)| due.at <= now)?;
        let due = *due;
        let key = self.due.remove(&due)?;
        self.held.remove(&key);
        self.upkeep.remove(&key);
        Some(key)
    }

    /// When the next key is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|due| due.at)
    }

    /// When the next key that counts as work under way is due.
    pub fn next_work(&self) -> Option<Timestamp> {
        self.due.iter().find(|(_, key)| !self.upkeep.contains(key)).map(|(due, _)| due.at)
    }

    /// Notes that a plan for `key` was not carried out to its end, and makes it due after a growing wait.
    /// The `message` is what the API refused with; none when the plan was stale.
    pub fn failed(&mut self, key: Key, message: Option<String>, now: Timestamp) {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = FIRST_BACKOFF.saturating_mul(1 << failures.times.min(20)).min(LONGEST_BACKOFF);
        failures.times += 1;
        failures.message = message.or(failures.message.take());
        // From a second on it is upkeep: the cluster is settled, and something is wrong.
        let upkeep = wait >= Duration::from_secs(1);
        self.add(key, now + SignedDuration::try_from(wait).unwrap_or_default(), upkeep);
    }

    /// Notes that a plan for `key` was carried out.
    pub fn succeeded(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// What the API said when the last plan for `key` was refused.
    pub fn failure(&self, key: &Key) -> Option<&str> {
        self.failures.get(key)?.message.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("Pod", "shop", name)
    }

    #[test]
    fn a_key_is_held_once_at_its_earliest_time() {
        let start = Timestamp::UNIX_EPOCH;
        let later = start + SignedDuration::from_secs(5);
        let mut queue = Queue::default();
        queue.add(key("a"), later, false);
        queue.add(key("a"), start, false);
        queue.add(key("b"), start, false);
        assert_eq!(queue.take(start), Some(key("a")));
        assert_eq!(queue.take(start), Some(key("b")));
        assert_eq!(queue.take(later), None);
    }

    #[test]
    fn upkeep_does_not_count_as_work() {
        let mut queue = Queue::default();
        queue.add(key("a"), Timestamp::UNIX_EPOCH, true);
        assert_eq!(queue.next_work(), None);
        queue.add(key("a"), Timestamp::UNIX_EPOCH, false);
        assert_eq!(queue.next_work(), Some(Timestamp::UNIX_EPOCH));
    }
    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_success() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut queue = Queue::default();
        let mut wait = |queue: &mut Queue| {
            queue.failed(key("a"), Some("forbidden".to_owned()), now);
            let at = queue.next().unwrap();
            let wait = at.duration_since(now);
            now = at;
            queue.take(now);
            wait.as_millis()
        };
        let waits: Vec<i128> = (0..20).map(|_| wait(&mut queue)).collect();
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[17..], [655_360, 1_000_000, 1_000_000]);
        assert_eq!(queue.failure(&key("a")), Some("forbidden"));
        queue.succeeded(&key("a"));
        assert_eq!(wait(&mut queue), 5);
    }
}
