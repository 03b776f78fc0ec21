//! What the cluster takes from outside: the clock, the speed of time, and randomness.
//!
//! Everything in this crate that needs a moment, a uid or a generated name asks here, so that a
//! test can pin all three and two runs of one scenario are equal. Nothing else reads a clock.
//!
//! Whoever draws says what for. With a seed that decides what is drawn, and not who happened to be first: the third
//! pod of a ReplicaSet has the same name in every run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// The alphabet of generated name suffixes: no vowels (no words), no `0`, `1`, `3` (no look-alikes).
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Clock, speed and randomness of one cluster; cheap to clone.
#[derive(Clone)]
pub struct Ambient {
    clock: Clock,
    random: Arc<Mutex<Random>>,
}

enum Random {
    /// Different every time.
    Fresh(Box<StdRng>),
    /// The same for the same seed: by what was drawn for, how often so far, since which version of the cluster.
    Seeded { seed: u64, since: u64, drawn: HashMap<String, u64> },
}

impl Random {
    fn seeded(seed: u64) -> Self {
        Self::Seeded { seed, since: 0, drawn: HashMap::new() }
    }

    fn fresh() -> Self {
        Self::Fresh(Box::new(StdRng::from_rng(&mut rand::rng())))
    }

    /// What the next draw for something comes from.
    fn next(&mut self, purpose: &str) -> StdRng {
        match self {
            Self::Fresh(random) => StdRng::from_rng(random),
            Self::Seeded { seed, since, drawn } => {
                let count = drawn.entry(purpose.to_owned()).or_default();
                *count += 1;
                let text = format!("{seed}/{since}/{count}/{purpose}");
                StdRng::from_seed(Sha256::digest(text.as_bytes()).into())
            }
        }
    }
}

#[derive(Clone)]
enum Clock {
    /// Real time since `origin`, times `scale`.
    Running { origin: Timestamp, since: Instant, scale: f64 },
    /// Stands still until it is moved.
    Pinned(Arc<Mutex<Timestamp>>),
}

impl Ambient {
    /// The machine's clock at its own speed and fresh randomness.
    pub fn system() -> Self {
        Self::scaled(1.0)
    }

    /// A clock that starts at the machine's time and runs `scale` times as fast.
    pub fn scaled(scale: f64) -> Self {
        let clock = Clock::Running { origin: Timestamp::now(), since: Instant::now(), scale };
        Self { clock, random: Arc::new(Mutex::new(Random::fresh())) }
    }

    /// The same clock with randomness from a seed.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { random: Arc::new(Mutex::new(Random::seeded(seed))), ..self }
    }

    /// A clock that stands at `now` until [`Ambient::advance`] moves it, and randomness from `seed`.
    pub fn pinned(now: Timestamp, seed: u64) -> Self {
        let clock = Clock::Pinned(Arc::new(Mutex::new(now)));
        Self { clock, random: Arc::new(Mutex::new(Random::seeded(seed))) }
    }

    /// The cluster's present moment.
    pub fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::Running { origin, since, scale } => {
                let elapsed = since.elapsed().as_secs_f64() * scale;
                *origin + SignedDuration::from_secs_f64(elapsed)
            }
            Clock::Pinned(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The present moment as `metav1.Time` prints it: whole seconds, UTC.
    pub fn timestamp(&self) -> String {
        format_seconds(self.now())
    }

    /// The present moment as `metav1.MicroTime` prints it: six decimals, UTC.
    pub fn micro_timestamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// Moves a pinned clock forward; a running clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Clock::Pinned(now) = &self.clock {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now += SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        }
    }

    /// Waits for `duration` of the cluster's time. On a pinned clock this yields once and returns.
    pub async fn sleep(&self, duration: Duration) {
        match &self.clock {
            Clock::Running { scale, .. } => tokio::time::sleep(duration.div_f64(*scale)).await,
            Clock::Pinned(_) => tokio::task::yield_now().await,
        }
    }

    /// A random (version 4) uid for something.
    pub fn uid(&self, purpose: &str) -> String {
        let mut bytes = [0; 16];
        self.draw(purpose).fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// A random suffix of `length` characters for something, as `generateName` and controllers append it.
    pub fn suffix(&self, purpose: &str, length: usize) -> String {
        let mut random = self.draw(purpose);
        let any = |_| SUFFIX_ALPHABET[random.random_range(0..SUFFIX_ALPHABET.len())];
        (0..length).map(any).map(char::from).collect()
    }

    /// A random number below `bound` for something (zero when `bound` is zero).
    pub fn below(&self, purpose: &str, bound: u64) -> u64 {
        self.draw(purpose).next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// Goes on where a cluster with a past is at this version: what was drawn before is not drawn again.
    pub fn resume(&self, version: u64) {
        if let Random::Seeded { since, .. } = &mut *self.random.lock().unwrap_or_else(PoisonError::into_inner)
        {
            *since = version;
        }
    }

    fn draw(&self, purpose: &str) -> StdRng {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).next(purpose)
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ambient").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Prints a moment as `metav1.Time`: whole seconds, UTC.
pub fn format_seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_clock_prints_the_two_api_time_formats() {
        let ambient = Ambient::pinned("2026-01-02T03:04:05.000607Z".parse().unwrap(), 1);
        assert_eq!(ambient.timestamp(), "2026-01-02T03:04:05Z");
        assert_eq!(ambient.micro_timestamp(), "2026-01-02T03:04:05.000607Z");
        ambient.advance(Duration::from_secs(60));
        assert_eq!(ambient.timestamp(), "2026-01-02T03:05:05Z");
    }

    #[test]
    fn one_seed_gives_one_sequence_for_every_purpose_whoever_is_first() {
        let draw = |seed, purposes: [&str; 3]| {
            let ambient = Ambient::pinned(Timestamp::UNIX_EPOCH, seed);
            let mut drawn = purposes.map(|purpose| (purpose.to_owned(), ambient.suffix(purpose, 5)));
            drawn.sort();
            (ambient.uid("a"), drawn)
        };
        let first = draw(7, ["a", "b", "b"]);
        assert_eq!(first, draw(7, ["b", "a", "b"]));
        assert_ne!(first, draw(8, ["a", "b", "b"]));
        assert_ne!(first.1[1], first.1[2]);
        let fresh = Ambient::system();
        assert_ne!(fresh.uid("a"), fresh.uid("a"));
    }
}
