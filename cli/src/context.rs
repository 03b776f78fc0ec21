//! What commands share: global options, the configuration, the engine over the state directory, and the
//! execution of a run on a target.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use aegis_engine::clock::{Clock, SystemClock, SystemEntropy};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Registry, Services};
use aegis_engine::journal::postgres::{self, Database};
use aegis_engine::journal::{Location, Person, PostgresStore, SqliteStore, Store, StoreError};
use aegis_engine::run::engine::Execution;
use aegis_engine::run::handle::Listener;
use aegis_engine::run::{Engine, Limits, TargetFacts};
use aegis_engine::runbook::{Project, Runbook};
use aegis_engine::text::{did_you_mean, shell_word};
use aegis_sandbox::serve::{Options, Sandbox};
use aegis_scheduler::Plan;
use aegis_scheduler::reading::{Surroundings, Targets};
use aegis_scheduler::store::{PostgresRecords, RecordStore, SqliteRecords};
use aegis_stdlib::k8s::Cluster;
use clap::{Args, ValueEnum};

use crate::config::{Layered, Origin, load, load_spared};
use crate::traces::Traces;
use crate::view::failure::Failure;

/// How answers are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs: one JSON value, or one a line for events.
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where journals and the sandbox live [default: .aegis in the project]
    /// (AEGIS_STATE_DIR).
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// PostgreSQL database for journals and schedules, where several engines share their work:
    /// `postgres://user@host/name`, `env:NAME` or `file:PATH` (AEGIS_DATABASE_URL).
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Folder of the project [default: found from the runbook or the current folder].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// How to write answers.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// Who you are, in journals and approvals [default: your user name] (AEGIS_OPERATOR).
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) operator: Option<String>,
    /// Allow effects on this protected target without typing its name.
    #[arg(long, global = true, value_name = "TARGET")]
    pub(crate) yes_on: Option<String>,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Colour,
}

impl Global {
    /// True when answers are for programs.
    pub(crate) fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// True when talk on stderr is coloured (https://no-color.org: set and not empty means no).
    pub(crate) fn colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                std::io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

/// Everything a command works with.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) project: PathBuf,
    pub(crate) settings: Layered,
    pub(crate) state: PathBuf,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) environment: BTreeMap<String, String>,
    database: OnceLock<Database>,
    traces: OnceLock<Option<Arc<Traces>>>,
}

impl Context {
    /// The project around a runbook, or around the current folder.
    pub(crate) fn new(global: &Global, runbook: Option<&Path>) -> Result<Self, Failure> {
        Self::with(global, runbook, load)
    }

    /// The same for what has to work at any time, above all stopping everything: a mistake in the configuration is told,
    /// and its lines are left out.
    pub(crate) fn spared(global: &Global) -> Result<Self, Failure> {
        Self::with(global, None, |root, environment, flags| {
            let (settings, mistakes) = load_spared(root, environment, flags)?;
            for mistake in mistakes {
                crate::view::say(mistake.render(global.colour()).trim_end());
            }
            Ok(settings)
        })
    }

    fn with(
        global: &Global,
        runbook: Option<&Path>,
        load: impl FnOnce(&Path, &BTreeMap<String, String>, &Global) -> Result<Layered, Failure>,
    ) -> Result<Self, Failure> {
        let around = || match runbook {
            Some(file) => Project::of(file),
            None => Project::around(Path::new(".")),
        };
        if let Some(folder) = global.project.as_ref().filter(|folder| !folder.is_dir()) {
            let missing = CallError::new(codes::CONFIG, format!("there is no folder `{}`", folder.display()));
            return Err(missing.hint("`--project` names the folder that `aegis.toml` is in").into());
        }
        let project = global.project.clone().unwrap_or_else(|| around().root);
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let settings = load(&project, &environment, global)?;
        // From a file it starts at the file's folder, by default at the project, else where the person is.
        let state = match settings.values.get("state-dir") {
            Some((_, Origin::Default)) | None => project.join(&settings.config.state_dir),
            Some(_) => settings.config.state_dir.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::new(codes::LIMIT, "no threads could be started").because(error))?;
        Ok(Self {
            global: global.clone(),
            project,
            settings,
            state,
            runtime,
            environment,
            database: OnceLock::new(),
            traces: OnceLock::new(),
        })
    }

    /// Who acts.
    pub(crate) fn person(&self) -> Person {
        let configured = Some(self.settings.config.operator.clone()).filter(|name| !name.is_empty());
        Person(configured.or_else(|| self.user()).unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The account of this process, then what the shell says.
    fn user(&self) -> Option<String> {
        let id = std::fs::metadata("/proc/self").ok().map(|process| process.uid().to_string());
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1) == id.as_deref()).then(|| name.to_owned())
        });
        named.or_else(|| self.environment.get("USER").or_else(|| self.environment.get("LOGNAME")).cloned())
    }

    /// Where this process is, when it is in a Job.
    pub(crate) fn location(&self) -> Option<Location> {
        Location::of(&self.environment)
    }

    /// Every module a script can use.
    pub(crate) fn registry() -> Result<Registry, Failure> {
        let modules = aegis_engine::builtin::modules().into_iter().chain(aegis_stdlib::modules()).collect();
        Registry::new(modules).map_err(|error| {
            CallError::new(codes::SCRIPT, "the modules are not described").because(error).into()
        })
    }

    /// The database that engines share; `None`: journals are in the state directory.
    pub(crate) fn database(&self) -> Result<Option<Database>, Failure> {
        let config = &self.settings.config.database;
        if config.url.open().is_empty() {
            return Ok(None);
        }
        if let Some(database) = self.database.get() {
            return Ok(Some(database.clone()));
        }
        let options = postgres::Options {
            url: config.address(&self.project, &self.environment)?,
            takeover_after: config.takeover_after()?,
            watched: self.location().is_some(),
        };
        let database = Database::new(&options)?;
        Ok(Some(self.database.get_or_init(|| database).clone()))
    }

    /// The store of journals: the database, or the state directory.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(match self.database()? {
            Some(database) => Arc::new(PostgresStore::open(&database)?),
            None => Arc::new(SqliteStore::open(&self.state)?),
        })
    }

    /// The store for who only looks: no folder is made for that. Where nothing has run yet, it is empty.
    pub(crate) fn existing_store(&self) -> Result<Arc<dyn Store>, Failure> {
        if self.state.exists() || self.database()?.is_some() {
            return self.store();
        }
        match self.settings.values.get("state-dir") {
            Some((_, Origin::Default)) | None => Ok(Arc::new(SqliteStore::in_memory()?)),
            Some((_, origin)) => {
                let message = format!("there is no state directory `{}`", self.state.display());
                let hint = format!("it is named by: {origin}; a run makes one where there is none");
                Err(CallError::new(codes::STATE, message).hint(hint).into())
            }
        }
    }

    /// The records of schedules, beside the journals.
    pub(crate) fn records(&self) -> Result<Arc<dyn RecordStore>, Failure> {
        // The journal's store looks at the version first.
        self.store()?;
        Ok(match self.database()? {
            Some(database) => Arc::new(PostgresRecords::open(&database)?),
            None => Arc::new(SqliteRecords::open(&self.state)?),
        })
    }

    /// What the project says about schedules; secrets are looked for where runs are started.
    pub(crate) fn plan(&self, starts_runs: bool) -> Result<Plan, Failure> {
        let (registry, libraries) = (Self::registry()?, aegis_stdlib::libraries());
        Ok(Plan::read(&Surroundings {
            root: &self.project,
            targets: &self.settings.config,
            target: &self.settings.config.target,
            libraries: &libraries,
            registry: &registry,
            now: SystemClock.now(),
            environment: starts_runs.then_some(&self.environment),
        }))
    }

    /// The engine over the state directory.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine {
            store: self.store()?,
            registry: Arc::new(Self::registry()?),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            runtime: self.runtime.handle().clone(),
        })
    }

    /// Name of the target: the given one, or the configuration's.
    pub(crate) fn target_name(&self, given: Option<&str>) -> String {
        given.unwrap_or(&self.settings.config.target).to_owned()
    }

    /// Sends what is still to be told of runs.
    pub(crate) fn finish(&self) {
        if let Some(Some(traces)) = self.traces.get() {
            traces.finish();
        }
    }

    /// The way to a collector of traces, where there is one.
    fn traces(&self) -> Option<&Arc<Traces>> {
        self.traces.get_or_init(|| Traces::start(&self.environment, self.runtime.handle())).as_ref()
    }

    /// The execution of a runbook on a target (`None`: of one whose needs do not matter). Keeps the sandbox up
    /// as long as the answer lives; a runbook that needs no cluster does not wait for one.
    pub(crate) fn execution(
        &self,
        name: &str,
        runbook: Option<&Runbook>,
        listener: Listener,
        patient: bool,
    ) -> Result<(Execution, Option<Sandbox>), Failure> {
        let target = self.settings.config.target(name)?;
        let clustered = target.sandbox && runbook.is_none_or(needs_cluster);
        let sandbox = clustered.then(|| self.sandbox(name)).transpose()?;
        let execution = Execution {
            target: TargetFacts {
                name: name.to_owned(),
                sandbox: target.sandbox,
                protected: target.protected,
            },
            services: self.services(name, sandbox.as_ref())?,
            person: self.person(),
            patient,
            confirm: None,
            limits: Limits::default(),
            listener,
            logs: Some(self.state.join("logs")),
            observer: self.traces().map(|traces| traces.observer()),
            environment: self.environment.clone(),
        };
        Ok((execution, sandbox))
    }

    /// The clients of a target; of the embedded cluster's with its address.
    pub(crate) fn services(&self, name: &str, sandbox: Option<&Sandbox>) -> Result<Services, Failure> {
        let surroundings = aegis_stdlib::target::Surroundings {
            name: name.to_owned(),
            state: self.state.clone(),
            project: self.project.clone(),
            kubeconfig: sandbox.map(Sandbox::kubeconfig),
            environment: self.environment.clone(),
        };
        Ok(aegis_stdlib::services(self.settings.config.target(name)?, &surroundings))
    }

    /// The cluster of a target, and the embedded one behind it.
    pub(crate) fn cluster(&self, name: &str) -> Result<(Arc<Cluster>, Option<Sandbox>), Failure> {
        let sandbox = self.settings.config.target(name)?.sandbox.then(|| self.sandbox(name)).transpose()?;
        let cluster = self
            .services(name, sandbox.as_ref())?
            .get::<Cluster>()
            .ok_or_else(|| CallError::new(codes::TARGET, format!("the target `{name}` has no cluster")))?;
        Ok((cluster, sandbox))
    }

    /// The execution of a replay: no clients at all.
    pub(crate) fn offline(&self, name: &str, listener: Listener) -> Execution {
        Execution {
            target: TargetFacts { name: name.to_owned(), ..TargetFacts::default() },
            services: Services::default(),
            person: self.person(),
            patient: false,
            confirm: None,
            limits: Limits::default(),
            listener,
            logs: None,
            observer: None,
            environment: self.environment.clone(),
        }
    }

    /// Lets nobody touch a protected target without its name: typed, or given as `--yes-on NAME`.
    pub(crate) fn guard(&self, name: &str) -> Result<(), Failure> {
        if !self.settings.config.target(name)?.protected || self.global.yes_on.as_deref() == Some(name) {
            return Ok(());
        }
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && typed(name) {
            return Ok(());
        }
        let refused = CallError::new(codes::PROTECTED, format!("target `{name}` is protected"));
        let line = crate::commands::typed_line();
        let line = format!("{line} --yes-on {}", shell_word(name));
        Err(refused.hint(format!("type its name when asked, or add `--yes-on {name}`: `{line}`")).into())
    }

    /// Folder of the cluster of a sandbox target.
    pub(crate) fn sandbox_folder(&self, name: &str) -> PathBuf {
        // A colon would end the path of a kubeconfig.
        self.state.join("clusters").join(name.replace(':', "@"))
    }

    /// How an embedded cluster is started.
    pub(crate) fn sandbox_options(&self, name: &str) -> Options {
        let config = &self.settings.config.sandbox;
        Options {
            topology: config.topology(name),
            tls: config.tls,
            time_scale: config.time_scale,
            allow_processes: config.allow_processes,
            seed: config.seed,
            ..Options::default()
        }
    }

    /// The sandbox lives in the state directory: what is wrong with its files is wrong with that.
    fn no_sandbox(&self, error: &aegis_sandbox::serve::Error) -> Failure {
        use aegis_sandbox::serve::Error;
        use std::io::ErrorKind::{ReadOnlyFilesystem, StorageFull};
        match error {
            Error::File { source, .. } if matches!(source.kind(), StorageFull | ReadOnlyFilesystem) => {
                StoreError::of_file(&self.state, source).into()
            }
            Error::File { .. } => StoreError::Unusable(self.state.clone(), told(error)).into(),
            _ => CallError::new(codes::SANDBOX, "the sandbox cannot be started").because(told(error)).into(),
        }
    }

    /// Takes part in the cluster of a sandbox target.
    pub(crate) fn sandbox(&self, name: &str) -> Result<Sandbox, Failure> {
        let broken = |error: aegis_sandbox::serve::Error| self.no_sandbox(&error);
        let sandbox = Sandbox::join(self.sandbox_folder(name), self.sandbox_options(name)).map_err(broken)?;
        self.runtime.block_on(sandbox.ready()).map_err(broken)?;
        Ok(sandbox)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Targets for crate::config::Config {
    fn channel(&self, target: &str, channel: &str) -> Result<(), CallError> {
        let config = self.target(target)?;
        // What is rehearsed on the sandbox names the channels of where it will run.
        let known: BTreeSet<&str> = match config.sandbox {
            true => {
                self.targets.values().flat_map(|target| target.notify.keys()).map(String::as_str).collect()
            }
            false => config.notify.keys().map(String::as_str).collect(),
        };
        if known.contains(channel) || config.sandbox && known.is_empty() {
            return Ok(());
        }
        let hint = did_you_mean(channel, known)
            .unwrap_or_else(|| format!("add `[targets.{target}.notify.{channel}]` to `aegis.toml`"));
        let message = format!("target `{target}` has no notification channel `{channel}`");
        Err(CallError::new(codes::TARGET, message).hint(hint))
    }

    fn target(&self, name: &str) -> Result<aegis_scheduler::reading::Target, CallError> {
        let target = Self::target(self, name)?;
        Ok(aegis_scheduler::reading::Target { protected: target.protected, most_runs: target.most_runs })
    }
}

/// True for runbooks that may call what talks to a cluster.
fn needs_cluster(runbook: &Runbook) -> bool {
    runbook.header.needs.iter().any(|need| matches!(need.module.as_str(), "k8s" | "helm" | "sandbox" | "*"))
}

/// Asks for the name of a target.
fn typed(name: &str) -> bool {
    crate::view::say(&format!("target `{name}` is protected; type its name to go on:"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == name
}

/// An error with its causes, once.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
