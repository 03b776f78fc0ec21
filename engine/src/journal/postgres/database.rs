//! One PostgreSQL database as an engine sees it: a few connections, questions that are asked again while the server is
//! away, and errors as sentences.
//!
//! Callers are synchronous. They wait on the thread they are on; a thread that already drives an async runtime (a host
//! function inside a call) lends the waiting to another one. Connections live on a runtime of their own, so that a busy
//! run cannot keep answers from arriving.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, PgPool};

use crate::codes;
use crate::journal::{Fence, StoreError};
use crate::secret::Secret;

/// A connection, for the length of one question.
pub type Connection = sqlx::PgConnection;

/// Connections of one engine: a commit takes a millisecond or two, so few serve many runs.
const CONNECTIONS: u32 = 8;

/// A connection that is not there after this long is given up.
const CONNECT: Duration = Duration::from_secs(3);

/// How long it is looked for why there was none.
const CAUSE: Duration = Duration::from_secs(1);

/// An answer that has not come after this long does not come: no question here takes a second. An engine that others
/// give up early gives up its connections earlier.
fn longest_answer(takeover_after: Duration) -> Duration {
    (takeover_after / 2).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

/// How long a question is asked again when nothing depends on it but the person who waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two times.
const AGAIN: Duration = Duration::from_millis(200);

/// How an engine uses the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:5432/database?sslmode=verify-full`; it may hold a password.
    pub url: Secret,
    /// An engine that was not heard of for this long has lost its runs to the others.
    pub takeover_after: Duration,
    /// True in the pod of a Job: what this process claims, the engine that watches its Job has as well.
    pub watched: bool,
}

/// How long a question is asked again while the server is away.
#[derive(Debug, Clone)]
pub enum Patience {
    /// For a few seconds.
    Short,
    /// As long as a claim certainly holds: an engine without its database stops before its next effect, and goes on.
    While(Fence),
    /// Not at all: it is asked regularly.
    None,
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Failed {
    /// The server, or the way to it.
    Server(sqlx::Error),
    /// No answer came.
    Silent,
    /// What was asked for is not possible.
    Store(StoreError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One database. Cheap to clone; connects when it is first asked.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    pool: PgPool,
    takeover_after: Duration,
    watched: bool,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Database {
    /// Takes an address; nothing is connected yet.
    ///
    /// # Errors
    /// When it is not an address.
    pub fn new(options: &Options) -> Result<Self, StoreError> {
        let connect = PgConnectOptions::from_str(options.url.open()).map_err(|_| no_address())?;
        let name = name(&connect);
        let connect = secured(connect, options.url.open())
            .application_name("aegis")
            .options([
                ("search_path", "aegis"),
                ("lock_timeout", "5000"),
                // An engine that is stopped inside a transaction does not hold up the others.
                ("idle_in_transaction_session_timeout", "5000"),
            ])
            .disable_statement_logging();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unreachable(name.clone(), error.to_string()))?;
        let pool = {
            let _inside = runtime.enter();
            PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(CONNECT)
                // A question that fails is asked again; asking before each whether it would fail costs as much.
                .test_before_acquire(false)
                .connect_lazy_with(connect)
        };
        let Options { takeover_after, watched, .. } = *options;
        Ok(Self { inner: Arc::new(Inner { name, pool, takeover_after, watched, runtime: Some(runtime) }) })
    }

    /// `host:port/database`: nothing secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// After how long without a word an engine has lost what it had.
    #[must_use]
    pub fn takeover_after(&self) -> Duration {
        self.inner.takeover_after
    }

    /// Whether an engine watches over what this process claims.
    pub(super) fn is_watched(&self) -> bool {
        self.inner.watched
    }

    /// Asks, again and again while the server is away. The question is told whether it was asked before: what it
    /// changed then may have been kept although no answer came.
    ///
    /// # Errors
    /// When there was no answer in time, the server refuses, or the question says so.
    pub fn ask<T: Send>(
        &self,
        patience: &Patience,
        work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.inner.runtime else { return Err(self.error(Failed::Silent)) };
        let runtime = runtime.handle();
        if tokio::runtime::Handle::try_current().is_err() {
            return runtime.block_on(self.answer(patience, work));
        }
        let answered =
            std::thread::scope(|scope| scope.spawn(|| runtime.block_on(self.answer(patience, work))).join());
        answered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The machine does not give what the database is used with.
    pub(super) fn unusable(&self, why: &str) -> StoreError {
        StoreError::Unreachable(self.inner.name.clone(), why.to_owned())
    }

    async fn answer<T>(
        &self,
        patience: &Patience,
        mut work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let mut again = false;
        loop {
            let failed = match attempt(&self.inner, &mut work, again).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            let patient = match patience {
                Patience::Short => began.elapsed() < PATIENCE,
                Patience::While(fence) => fence.holds(),
                Patience::None => false,
            };
            if !is_passing(&failed) || !patient {
                return Err(match failed {
                    Failed::Server(sqlx::Error::PoolTimedOut) => self.no_connection().await,
                    failed => self.error(failed),
                });
            }
            again = true;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Why there is no connection: the pool only says how long it has tried.
    async fn no_connection(&self) -> StoreError {
        let why = format!("no connection within {} s", CONNECT.as_secs());
        let options = self.inner.pool.connect_options();
        let cause = match tokio::time::timeout(CAUSE, Connection::connect_with(&options)).await {
            Ok(Err(sqlx::Error::Io(error))) => error.kind().to_string(),
            Ok(Err(sqlx::Error::Database(error))) => error.message().to_owned(),
            _ => return self.unusable(&why),
        };
        self.unusable(&format!("{why}: {cause}"))
    }

    fn error(&self, failed: Failed) -> StoreError {
        let server = self.inner.name.clone();
        let unreachable = |why: String| StoreError::Unreachable(server.clone(), why);
        match failed {
            Failed::Store(error) => error,
            Failed::Silent => unreachable(format!(
                "no answer within {} s",
                longest_answer(self.inner.takeover_after).as_secs()
            )),
            Failed::Server(sqlx::Error::PoolTimedOut) => {
                unreachable(format!("no connection within {} s", CONNECT.as_secs()))
            }
            Failed::Server(sqlx::Error::Tls(why)) => {
                StoreError::Refused { server, why: why.to_string(), code: codes::TLS }
            }
            Failed::Server(sqlx::Error::Database(error)) => {
                let code = match error.code().as_deref().unwrap_or_default() {
                    "28000" | "28P01" => codes::UNAUTHENTICATED,
                    "42501" => codes::FORBIDDEN,
                    "53100" => codes::DISK_FULL,
                    "3D000" => codes::CONFIG,
                    state if is_passing_state(state) => return unreachable(error.message().to_owned()),
                    _ => codes::STATE,
                };
                StoreError::Refused { server, why: error.message().to_owned(), code }
            }
            Failed::Server(error @ (sqlx::Error::Io(_) | sqlx::Error::PoolClosed)) => {
                unreachable(error.to_string())
            }
            Failed::Server(error) => {
                StoreError::Refused { server, why: error.to_string(), code: codes::STATE }
            }
        }
    }
}

/// Asks once. A connection of which nobody knows how it stands is not used again.
async fn attempt<T>(
    database: &Inner,
    work: &mut impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed>,
    again: bool,
) -> Result<T, Failed> {
    let mut connection = database.pool.acquire().await?;
    let longest = longest_answer(database.takeover_after);
    let answer = tokio::time::timeout(longest, work(&mut connection, again)).await;
    let answer = answer.unwrap_or(Err(Failed::Silent));
    if answer.as_ref().err().is_some_and(is_passing) {
        drop(connection.detach());
    }
    answer
}

/// True for what may be over in a moment: the way to the server, or the server's own coming and going.
fn is_passing(failed: &Failed) -> bool {
    match failed {
        Failed::Silent => true,
        Failed::Store(_) => false,
        Failed::Server(error) => match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|state| is_passing_state(&state)),
            _ => false,
        },
    }
}

/// Connection exceptions, shutting down or starting up, too many connections, an ended idle transaction, a conflict of
/// transactions, a lock that did not come (PostgreSQL manual, appendix A).
fn is_passing_state(state: &str) -> bool {
    state.starts_with("08")
        || matches!(
            state,
            "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" | "40001" | "40P01" | "55P03" | "57014"
        )
}

/// Away from this machine a connection is encrypted and the server proves who it is, unless the address says otherwise.
fn secured(options: PgConnectOptions, url: &str) -> PgConnectOptions {
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || IpAddr::from_str(host.trim_matches(['[', ']'])).is_ok_and(|address| address.is_loopback());
    let said = url.contains("sslmode=") || url.contains("ssl-mode=");
    if here || said { options } else { options.ssl_mode(PgSslMode::VerifyFull) }
}

fn name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// The address is not repeated: it may hold a password.
fn no_address() -> StoreError {
    StoreError::Refused {
        server: "postgres://…".to_owned(),
        why: "its address must read `postgres://user@host:port/database`".to_owned(),
        code: codes::CONFIG,
    }
}
