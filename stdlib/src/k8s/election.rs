//! Which of several engines leads: the one that holds a Lease in a cluster (`coordination.k8s.io/v1`), as the cluster's
//! own controllers elect theirs. For those who start runs (`aegis serve`); not for scripts.
//!
//! The Lease saves work and guards nothing: what two leaders would do twice is done once, because the database says so.
//! So nobody waits for the cluster: who cannot ask it, or hears of no leader, leads as if there were no Lease.
//!
//! - `client/leases.rs`: reads and writes the Lease

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aegis_engine::error::CallError;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::client::Cluster;
use super::object::text;

/// How long a leader is believed in that has not renewed its Lease: as in Kubernetes' own components.
const LEASE: Duration = Duration::from_secs(15);

/// How often it is renewed, and looked at.
const RETRY: Duration = Duration::from_secs(2);

/// One Lease and who wants it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Namespace of the Lease; else the cluster's usual one.
    pub namespace: Option<String>,
    /// Name of the Lease.
    pub lease: String,
    /// Who wants it: no two have the same name.
    pub name: String,
}

/// A candidate that stands for election as long as it lives.
pub struct Election {
    booth: Arc<Booth>,
    leader: watch::Receiver<Option<String>>,
    voting: JoinHandle<()>,
}

struct Booth {
    cluster: Arc<Cluster>,
    namespace: String,
    candidate: Candidate,
    /// It has worked since it was asked last: one that hangs does not stay the leader.
    works: AtomicBool,
    seen: Mutex<Option<Seen>>,
}

/// The Lease as it was when it changed last, by the clock of whoever looks: no two clocks have to agree.
struct Seen {
    version: String,
    at: Instant,
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Make,
    Take,
    Renew,
    /// Somebody else leads.
    StandBy(String),
}

impl Election {
    /// Stands for election; has looked once when this returns.
    ///
    /// # Errors
    /// When the cluster cannot be used at all: no kubeconfig, or no such context.
    pub async fn start(cluster: Arc<Cluster>, candidate: Candidate) -> Result<Self, CallError> {
        let namespace = match &candidate.namespace {
            Some(namespace) => namespace.clone(),
            None => cluster.namespace().await?,
        };
        let (works, seen) = (AtomicBool::new(true), Mutex::default());
        let booth = Arc::new(Booth { cluster, namespace, candidate, works, seen });
        let (tell, leader) = watch::channel(None);
        booth.vote(&tell, Instant::now()).await;
        let voting = tokio::spawn(keep_voting(Arc::clone(&booth), tell));
        Ok(Self { booth, leader, voting })
    }

    /// The other candidate that leads; nothing, when it is this one, or nobody is heard of.
    #[must_use]
    pub fn leader(&self) -> Option<String> {
        self.leader.borrow().clone()
    }

    /// It does its work: only then it stays the leader.
    pub fn works(&self) {
        self.booth.works.store(true, Ordering::Release);
    }

    /// Gives the Lease back, so that nobody has to wait until it runs out.
    pub async fn resign(&self) {
        self.voting.abort();
        if let Err(error) = self.booth.give_back().await {
            tracing::info!(%error, "the lease could not be given back: it runs out by itself");
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.voting.abort();
    }
}

async fn keep_voting(booth: Arc<Booth>, tell: watch::Sender<Option<String>>) {
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(RETRY).await;
        heard = booth.vote(&tell, heard).await;
    }
}

impl Booth {
    /// Looks at the Lease and does what follows; tells who leads. Answers when the cluster was heard of last.
    async fn vote(&self, tell: &watch::Sender<Option<String>>, heard: Instant) -> Instant {
        let voted = tokio::time::timeout(LEASE, self.step()).await;
        let (leader, heard) = match voted {
            Ok(Ok(leader)) => (leader, Instant::now()),
            // Whoever led may be gone: nobody can say.
            _ if heard.elapsed() >= LEASE => (None, heard),
            _ => return heard,
        };
        tell.send_if_modified(|known| std::mem::replace(known, leader.clone()) != leader);
        heard
    }

    /// Answers who else leads.
    async fn step(&self) -> Result<Option<String>, CallError> {
        let (namespace, name) = (&self.namespace, &self.candidate.lease);
        let lease = self.cluster.lease(namespace, name).await?;
        let quiet = self.quiet(lease.as_ref()).await;
        let works = self.works.swap(false, Ordering::AcqRel);
        let won = match next(lease.as_ref(), &self.candidate.name, quiet) {
            Step::StandBy(leader) => return Ok(Some(leader)),
            // One that hangs lets it run out, and takes none.
            _ if !works => return Ok(None),
            Step::Make => self.cluster.make_lease(namespace, &self.taken(None)).await?,
            Step::Take => self.cluster.change_lease(namespace, name, &self.taken(lease.as_ref())).await?,
            Step::Renew => {
                let renewed = json!({ "renewTime": now() });
                self.cluster.change_lease(namespace, name, &self.changed(lease.as_ref(), &renewed)).await?
            }
        };
        tracing::debug!(name, won, "asked for the lease");
        Ok(None)
    }

    /// How long the Lease has not changed.
    async fn quiet(&self, lease: Option<&Value>) -> Duration {
        let version = lease.map(|lease| text(lease, "/metadata/resourceVersion").to_owned());
        let mut seen = self.seen.lock().await;
        match (&mut *seen, version) {
            (Some(seen), Some(version)) if seen.version == version => seen.at.elapsed(),
            (_, version) => {
                *seen = version.map(|version| Seen { version, at: Instant::now() });
                Duration::ZERO
            }
        }
    }

    /// The Lease in the hand of this candidate; of one that is there, what changes.
    fn taken(&self, lease: Option<&Value>) -> Value {
        let terms = lease.and_then(|lease| lease.pointer("/spec/leaseTransitions")?.as_u64());
        let spec = json!({
            "holderIdentity": self.candidate.name,
            "leaseDurationSeconds": LEASE.as_secs(),
            "acquireTime": now(),
            "renewTime": now(),
            "leaseTransitions": if lease.is_some() { terms.unwrap_or(0) + 1 } else { 0 },
        });
        self.changed(lease, &spec)
    }

    fn changed(&self, lease: Option<&Value>, spec: &Value) -> Value {
        let mut whole = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": self.candidate.lease, "namespace": self.namespace },
            "spec": spec,
        });
        if let Some(lease) = lease {
            whole["metadata"]["resourceVersion"] = text(lease, "/metadata/resourceVersion").into();
        }
        whole
    }

    async fn give_back(&self) -> Result<(), CallError> {
        let (namespace, name) = (&self.namespace, &self.candidate.lease);
        let lease = self.cluster.lease(namespace, name).await?;
        let own = lease.as_ref().filter(|lease| text(lease, "/spec/holderIdentity") == self.candidate.name);
        if own.is_some() {
            let given = json!({ "holderIdentity": "", "renewTime": now() });
            self.cluster.change_lease(namespace, name, &self.changed(own, &given)).await?;
        }
        Ok(())
    }
}

/// What a candidate does that sees a Lease which has not changed for some time.
fn next(lease: Option<&Value>, me: &str, quiet: Duration) -> Step {
    let Some(lease) = lease else { return Step::Make };
    let promised = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
    let lasts = promised.map_or(LEASE, Duration::from_secs);
    match text(lease, "/spec/holderIdentity") {
        holder if holder == me => Step::Renew,
        "" => Step::Take,
        _ if quiet >= lasts => Step::Take,
        holder => Step::StandBy(holder.to_owned()),
    }
}

/// As Kubernetes writes a time to the microsecond.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_from_nobody_and_from_who_was_quiet_for_too_long() {
        let lease =
            |holder: &str| json!({ "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15 } });
        let table = [
            (None, 0, Step::Make),
            (Some(lease("me")), 0, Step::Renew),
            (Some(lease("me")), 60, Step::Renew),
            (Some(lease("")), 0, Step::Take),
            (Some(json!({ "spec": {} })), 0, Step::Take),
            (Some(lease("other")), 0, Step::StandBy("other".to_owned())),
            (Some(lease("other")), 14, Step::StandBy("other".to_owned())),
            (Some(lease("other")), 15, Step::Take),
            (Some(json!({ "spec": { "holderIdentity": "other" } })), 14, Step::StandBy("other".to_owned())),
            (Some(json!({ "spec": { "holderIdentity": "other" } })), 15, Step::Take),
        ];
        for (lease, quiet, step) in table {
            assert_eq!(next(lease.as_ref(), "me", Duration::from_secs(quiet)), step, "{lease:?} {quiet}");
        }
    }
}
