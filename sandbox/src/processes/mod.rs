//! Process pods: containers that really run, as processes of this machine.
//!
//! ```text
//!   kubelet --Write::Run(Launch)--> Processes --a process ended--> the manager wakes its pod
//!                                      ^
//!   logs, exec, attach (api) ----------+
//! ```
//!
//! A pod asks for it with the annotation `sandbox.aegis.dev/process: "true"`, and the sandbox must have been
//! started to allow it: a process runs as whoever started the sandbox, with no isolation whatsoever.
//!
//! | file | what it does |
//! |---|---|
//! | `recipe` | command, environment and folder of a container, as the kubelet reads them |
//! | `volumes` | what it mounts, as folders below the pod's own |
//! | `probes` | whether it has started, is ready, is alive |
//! | `running` | one process: its pipes, signals and end |
//! | `log` | what it wrote, on disk, and reading it |
//! | `leftovers` | ending what a sandbox that was killed left running |
//!
//! Images and networks are not played: the command is one of this machine, a port is a port of this machine.

mod leftovers;
pub mod log;
pub mod probes;
pub mod recipe;
pub mod running;
pub mod volumes;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::recipe::{Account, Recipe};
pub use self::running::{Outcome, Running};

use crate::ambient::Ambient;
use crate::controllers::cache::Key;

/// The annotation by which a pod asks.
pub const ANNOTATION: &str = "sandbox.aegis.dev/process";

/// The processes of one cluster; cheap to clone, all clones are one.
#[derive(Clone, Default)]
pub struct Processes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Where logs and working folders are; none when processes are not allowed.
    root: Option<PathBuf>,
    running: Mutex<HashMap<Place, Arc<Running>>>,
    /// Pods of processes that ended since the manager last asked.
    ended: Mutex<Vec<Key>>,
    wake: tokio::sync::Notify,
    /// Who issues tokens to them.
    issuer: Mutex<Option<Issuer>>,
}

/// Issues a token for an account, to these audiences, for so many seconds.
type Issuer = Arc<dyn Fn(&Account, &[String], i64) -> Option<String> + Send + Sync>;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The pod's uid.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

impl Place {
    /// The container of this name in the pod with this uid.
    pub fn new(pod: &str, container: &str) -> Self {
        Self { pod: pod.to_owned(), container: container.to_owned() }
    }
}

/// One start of one container.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Which container.
    pub place: Place,
    /// Its pod, woken when the process ends.
    pub pod: Key,
    /// How often the container was started before.
    pub attempt: i64,
    /// What runs.
    pub recipe: Recipe,
}

/// What a pod's processes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End, please.
    Terminate,
    /// End now.
    Kill,
    /// Stand still.
    Freeze,
    /// Go on.
    Thaw,
}

impl Processes {
    /// Processes that keep logs and working folders below `root`. Ends what an earlier sandbox left.
    pub fn allowed(root: &Path) -> Self {
        leftovers::end_all(root);
        Self(Arc::new(Inner { root: Some(root.to_owned()), ..Inner::default() }))
    }

    /// From here on containers get the tokens that their volumes ask for.
    pub fn issue_tokens(
        &self,
        issue: impl Fn(&Account, &[String], i64) -> Option<String> + Send + Sync + 'static,
    ) {
        *self.0.issuer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(issue));
    }

    /// Whether pods may run processes at all.
    pub fn are_allowed(&self) -> bool {
        self.0.root.is_some()
    }

    /// Starts a container, unless this very start has been made.
    pub fn start(&self, launch: Launch, ambient: &Ambient) {
        let Some(root) = &self.0.root else { return };
        let mut running = self.lock();
        if running.get(&launch.place).is_some_and(|held| held.attempt == launch.attempt) {
            return;
        }
        let folder = folder(root, &launch.place);
        let place = launch.place.clone();
        let processes = self.clone();
        let key = launch.pod.clone();
        let tell = Arc::new(move || processes.tell(key.clone()));
        let issuer = self.0.issuer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let account = launch.recipe.account.clone();
        let issue = |audiences: &[String], seconds: i64| issuer.as_ref()?(&account, audiences, seconds);
        running.insert(place, Running::start(launch, &folder, &issue, ambient.clone(), tell));
    }

    /// The process of a container, running or ended.
    pub fn find(&self, place: &Place) -> Option<Arc<Running>> {
        self.lock().get(place).cloned()
    }

    /// The process of one start of a container.
    pub fn attempt(&self, place: &Place, attempt: i64) -> Option<Arc<Running>> {
        self.find(place).filter(|held| held.attempt == attempt)
    }

    /// Sends a signal to every process of a pod that runs.
    pub fn signal(&self, pod: &str, signal: Signal) {
        for (_, running) in self.lock().iter().filter(|(place, _)| place.pod == pod) {
            running.signal(signal);
        }
    }

    /// Ends every process of a pod and forgets what it wrote.
    pub fn forget(&self, pod: &str) {
        let Some(root) = &self.0.root else { return };
        self.signal(pod, Signal::Kill);
        self.lock().retain(|place, _| place.pod != pod);
        let _ = std::fs::remove_dir_all(root.join(pod));
    }

    /// Ends everything: the sandbox stops.
    pub fn end_all(&self) {
        for running in self.lock().values() {
            running.signal(Signal::Kill);
        }
        // Whoever issues holds the cluster, and the cluster holds this.
        *self.0.issuer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The log of one start of a container.
    pub fn log_of(&self, place: &Place, attempt: i64) -> Option<PathBuf> {
        let root = self.0.root.as_ref()?;
        Some(running::log_path(&folder(root, place), attempt))
    }

    /// Pods whose processes ended since this was last asked.
    pub fn take_ended(&self) -> Vec<Key> {
        std::mem::take(&mut *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a process ends.
    pub async fn changed(&self) {
        self.0.wake.notified().await;
    }

    fn tell(&self, pod: Key) {
        self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).push(pod);
        self.0.wake.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Arc<Running>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processes").field("root", &self.0.root).finish_non_exhaustive()
    }
}

fn folder(root: &Path, place: &Place) -> PathBuf {
    root.join(&place.pod).join(&place.container)
}
