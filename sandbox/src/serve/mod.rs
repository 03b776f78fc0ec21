//! Serving a cluster from a state directory, and taking over when the process that serves it dies.
//!
//! ```text
//!   join(directory) -> thread: wait for the lock ---> open the store -> serve until dropped
//!        |                       (others serve)         same address as ever
//!        v
//!   Sandbox: endpoint, kubeconfig, ready
//! ```
//!
//! Whoever holds the lock of a directory serves it; everyone else who joined uses that endpoint and
//! waits for the lock. The system releases the lock of a process that dies, however it dies, so the
//! next one takes over at once, on the address that the directory remembers.
//!
//! | file | what it does |
//! |---|---|
//! | `directory` | the files of a state directory and its lock |
//! | `credentials` | certificates and tokens of one cluster |
//! | `listener` | connections, with and without TLS |
//! | `holder` | what the serving process does |
//! | `genesis`, `roles` | the objects every cluster begins with |

mod credentials;
mod directory;
pub(crate) mod genesis;
mod holder;
mod listener;
mod roles;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::client;
pub use crate::controllers::{Settings, Topology};

use self::directory::Directory;

/// How a sandbox is started. The topology counts when the cluster is new, the rest for as long as
/// this process serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which nodes the cluster begins with.
    pub topology: Topology,
    /// How long things take and what goes wrong on purpose.
    pub settings: Settings,
    /// Whether the API speaks TLS. It counts when the directory is new.
    pub tls: bool,
    /// How fast the cluster's time runs; 1 is real time.
    pub time_scale: f64,
    /// Whether pods that ask for it run their commands as processes of this machine, as this user.
    pub allow_processes: bool,
    /// Where names and uids come from: the same requests then make the same ones. Random when there is none.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            settings: Settings::default(),
            tls: true,
            time_scale: 1.0,
            allow_processes: false,
            seed: None,
        }
    }
}

/// Why a sandbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the state directory cannot be used.
    #[error("cannot use `{path}`")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The cluster's certificates cannot be made or read.
    #[error("the sandbox's certificates in `{path}` cannot be used: {problem}")]
    Credentials {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The directory is being served, which this operation does not allow.
    #[error("the sandbox in `{0}` is in use by another process")]
    InUse(std::path::PathBuf),
    /// The serving thread gave up.
    #[error("the sandbox cannot be served: {0}")]
    Serve(String),
}

/// What the serving thread of this process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Another process serves, as far as we know.
    Standby,
    /// This process serves.
    Serving,
    /// This process cannot serve.
    Failed(String),
}

/// A cluster this process takes part in. Dropping it stops serving, if it was this process.
#[derive(Debug)]
pub struct Sandbox {
    directory: Directory,
    phase: watch::Receiver<Phase>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// How the handle tells the serving thread to end.
#[derive(Debug, Default)]
struct Stop {
    asked: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Sandbox {
    /// Takes part in the cluster of `directory`, which is made when it does not exist. Returns at
    /// once; see [`Sandbox::ready`].
    pub fn join(directory: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let directory = Directory::open(directory.as_ref(), options.tls)?;
        let (sender, phase) = watch::channel(Phase::Standby);
        let stop = Arc::new(Stop::default());
        let thread = {
            let (directory, stop) = (directory.clone(), stop.clone());
            let run = move || holder::run(&directory, options, &sender, &stop);
            let builder = std::thread::Builder::new().name("sandbox".into());
            builder.spawn(run).map_err(|error| Error::Serve(error.to_string()))?
        };
        Ok(Self { directory, phase, stop, thread: Some(thread) })
    }

    /// The URL of the API, such as `https://127.0.0.1:41733`.
    pub fn endpoint(&self) -> String {
        self.directory.endpoint()
    }

    /// A kubeconfig that makes its user the cluster's administrator.
    pub fn kubeconfig(&self) -> String {
        self.directory.credentials.kubeconfig(&self.endpoint())
    }

    /// Asks the API as its administrator; answers the code and the JSON body.
    ///
    /// # Errors
    /// When nobody answers. A refusal is an answer.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), Error> {
        let request = client::Request {
            method,
            url: &format!("{}{path}", self.endpoint()),
            connect: None,
            authority: Some(self.directory.credentials.authority()),
            token: Some(&self.directory.credentials.token),
            body: body.map(Value::to_string),
        };
        let (code, body) = client::send(&request).await.map_err(|error| Error::Serve(error.to_string()))?;
        Ok((code, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Waits until the API answers, by this process or another.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut phase = self.phase.clone();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Serving => return Ok(()),
                Phase::Failed(problem) => return Err(Error::Serve(problem.clone())),
                Phase::Standby => {}
            }
            if listener::answers(&self.directory.address()).await {
                return Ok(());
            }
            let _ = tokio::time::timeout(Duration::from_millis(5), phase.changed()).await;
        }
    }

    /// Whether this process is the one that serves.
    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Forgets the cluster of a directory; the next to join begins a new one at the same address.
    pub fn reset(directory: impl AsRef<Path>) -> Result<(), Error> {
        Directory::reset(directory.as_ref())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.asked.store(true, Ordering::Release);
        self.stop.notify.notify_one();
        // A thread that waits for the lock cannot be woken; it ends by itself when it gets it.
        if self.is_serving()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
