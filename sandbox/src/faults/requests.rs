//! Errors and delays of the API: which requests get them, by verb, resource, namespace and a seeded rate.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::controllers::names::fnv1a;

/// How long a request takes that runs into a timeout, as the real server's limit is.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a slow request takes.
const SLOW: Duration = Duration::from_secs(1);

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// It is refused with this code; a client shall come back after this many seconds.
    Refused(u16, u32),
    /// It is answered with a timeout after this long.
    TimesOut(Duration),
    /// Its connection breaks.
    Reset,
    /// It is answered after this long.
    Slow(Duration),
}

/// A request as faults look at it.
#[derive(Debug, Clone, Default)]
pub struct Target<'a> {
    /// `get`, `list` ...
    pub verb: &'a str,
    /// `pods`, with its subresource behind a slash.
    pub resource: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The namespace; empty for none.
    pub namespace: &'a str,
}

/// Throws the dice: each fault counts the requests it is about, so that the same seed hits the same ones.
#[derive(Debug, Default)]
pub struct Dice(Mutex<HashMap<String, u64>>);

impl Dice {
    /// What the first fault that hits does to a request.
    pub fn throw(&self, faults: &[Fault], target: &Target<'_>) -> Option<Harm> {
        faults.iter().filter(|fault| fault.is("api-error") && concerns(fault, target)).find_map(|fault| {
            let count = self.count(&fault.name);
            (share(fault.seed, count) < fault.rate.unwrap_or(1.0)).then(|| harm(fault))
        })
    }

    fn count(&self, fault: &str) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(fault.to_owned()).or_default();
        *count += 1;
        *count
    }
}

fn concerns(fault: &Fault, target: &Target<'_>) -> bool {
    let plural = target.resource.split('/').next().unwrap_or_default();
    let qualified = format!("{plural}.{}", target.group);
    let is_named = |name: &String| name == plural || name == target.resource || *name == qualified;
    (fault.verbs.is_empty() || fault.verbs.iter().any(|verb| verb == target.verb))
        && (fault.resources.is_empty() || fault.resources.iter().any(is_named))
        && (fault.namespace.is_empty() || fault.namespace == target.namespace)
}

fn harm(fault: &Fault) -> Harm {
    match fault.error.as_str() {
        "timeout" => Harm::TimesOut(fault.delay().unwrap_or(TIMEOUT)),
        "reset" => Harm::Reset,
        "slow" => Harm::Slow(fault.delay().unwrap_or(SLOW)),
        code => Harm::Refused(code.parse().unwrap_or(500), fault.retry_after.unwrap_or(1)),
    }
}

/// A number between 0 and 1 that looks random and is not.
fn share(seed: u64, count: u64) -> f64 {
    let mut bytes = seed.to_le_bytes().to_vec();
    bytes.extend(count.to_le_bytes());
    // One more round: the last bytes of a plain FNV hash hardly move its upper bits.
    let hash = fnv1a(&fnv1a(&bytes).wrapping_mul(0x9e37_79b9).to_be_bytes());
    f64::from(hash) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(rate: f64, seed: u64) -> Fault {
        let resources = vec!["pods".to_owned()];
        Fault {
            kind: "api-error".into(),
            error: "429".into(),
            rate: Some(rate),
            seed,
            resources,
            ..Fault::default()
        }
    }

    fn hits(fault: &Fault, resource: &str) -> Vec<bool> {
        let dice = Dice::default();
        let target = Target { verb: "get", resource, ..Target::default() };
        (0..1000).map(|_| dice.throw(std::slice::from_ref(fault), &target).is_some()).collect()
    }

    #[test]
    fn a_rate_is_kept_and_one_seed_hits_the_same_requests() {
        let hit = hits(&fault(0.3, 7), "pods/log");
        let count = hit.iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&count), "{count}");
        assert_eq!(hit, hits(&fault(0.3, 7), "pods"));
        assert_ne!(hit, hits(&fault(0.3, 8), "pods"));
        assert!(hits(&fault(1.0, 1), "pods").iter().all(|hit| *hit));
        assert!(hits(&fault(0.0, 1), "pods").iter().all(|hit| !hit));
        assert!(hits(&fault(1.0, 1), "secrets").iter().all(|hit| !hit));
    }
}
