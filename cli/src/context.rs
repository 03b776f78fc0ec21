//! What commands share: global options, the configuration, the engine over the state directory, and the
//! execution of a run on a target.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_engine::clock::{SystemClock, SystemEntropy};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Registry;
use aegis_engine::journal::{Person, SqliteStore};
use aegis_engine::run::confirm::Confirm;
use aegis_engine::run::engine::Execution;
use aegis_engine::run::handle::Listener;
use aegis_engine::run::{Engine, Limits, TargetFacts};
use aegis_engine::runbook::Project;
use aegis_sandbox::serve::{Options, Sandbox};
use aegis_stdlib::target::{Surroundings, Target};
use clap::{Args, ValueEnum};

use crate::config::{Config, SANDBOX};
use crate::view::failure::Failure;

/// How answers are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs: one JSON value, or one a line for events.
    Json,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where journals and the sandbox live [default: .aegis in the project].
    #[arg(long, global = true, env = "AEGIS_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Folder of the project [default: found from the runbook or the current folder].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// How to write answers.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// Who you are, in journals and approvals [default: your user name].
    #[arg(long, global = true, env = "AEGIS_OPERATOR", value_name = "NAME")]
    pub(crate) operator: Option<String>,
}

impl Global {
    /// True when answers are for programs.
    pub(crate) fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// Who runs this.
    pub(crate) fn person(&self) -> Person {
        let user = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
        Person(
            self.operator
                .clone()
                .or_else(user)
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "unknown".into()),
        )
    }
}

/// Everything a command works with.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) project: PathBuf,
    pub(crate) config: Config,
    pub(crate) state: PathBuf,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Context {
    /// The project around a runbook, or around the current folder.
    pub(crate) fn new(global: &Global, runbook: Option<&Path>) -> Result<Self, Failure> {
        let around = || match runbook {
            Some(file) => Project::of(file),
            None => Project::around(Path::new(".")),
        };
        let project = global.project.clone().unwrap_or_else(|| around().root);
        let config = Config::load(&project)?;
        let state = global.state_dir.clone().or_else(|| config.state_dir.clone());
        let state = state.unwrap_or_else(|| project.join(".aegis"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::new(codes::LIMIT, "no threads could be started").because(error))?;
        let environment = std::env::vars().collect();
        Ok(Self { global: global.clone(), project, config, state, runtime, environment })
    }

    /// Every module a script can use.
    pub(crate) fn registry() -> Result<Registry, Failure> {
        let modules = aegis_engine::builtin::modules().into_iter().chain(aegis_stdlib::modules()).collect();
        Registry::new(modules).map_err(|error| {
            CallError::new(codes::SCRIPT, "the modules are not described").because(error).into()
        })
    }

    /// The store of the state directory.
    pub(crate) fn store(&self) -> Result<Arc<SqliteStore>, Failure> {
        Ok(Arc::new(SqliteStore::open(&self.state)?))
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

    /// Name of the target: the given one, the configuration's, the sandbox.
    pub(crate) fn target_name(&self, given: Option<&str>) -> String {
        given.map(str::to_owned).or_else(|| self.config.target.clone()).unwrap_or_else(|| SANDBOX.to_owned())
    }

    /// The execution of a run on a target. Keeps the sandbox up as long as the answer lives.
    pub(crate) fn execution(
        &self,
        name: &str,
        listener: Listener,
        patient: bool,
        confirm: Option<Arc<dyn Confirm>>,
    ) -> Result<(Execution, Option<Sandbox>), Failure> {
        let target = self.config.target(name)?;
        let (surroundings, sandbox) = self.surroundings(name, target)?;
        let execution = Execution {
            target: TargetFacts {
                name: name.to_owned(),
                sandbox: target.sandbox,
                protected: target.protected,
            },
            services: aegis_stdlib::services(target, &surroundings),
            person: self.global.person(),
            patient,
            confirm,
            limits: Limits::default(),
            listener,
            environment: self.environment.clone(),
        };
        Ok((execution, sandbox))
    }

    fn surroundings(&self, name: &str, target: &Target) -> Result<(Surroundings, Option<Sandbox>), Failure> {
        let sandbox = target.sandbox.then(|| self.sandbox(name)).transpose()?;
        let surroundings = Surroundings {
            name: name.to_owned(),
            state: self.state.clone(),
            project: self.project.clone(),
            kubeconfig: sandbox.as_ref().map(Sandbox::kubeconfig),
            environment: self.environment.clone(),
        };
        Ok((surroundings, sandbox))
    }

    /// Takes part in the cluster of a sandbox target.
    pub(crate) fn sandbox(&self, name: &str) -> Result<Sandbox, Failure> {
        let broken = |error: aegis_sandbox::serve::Error| {
            Failure::from(
                CallError::new(codes::SANDBOX, "the sandbox cannot be started").because(told(&error)),
            )
        };
        let sandbox =
            Sandbox::join(self.state.join("clusters").join(name), Options::default()).map_err(broken)?;
        self.runtime.block_on(sandbox.ready()).map_err(broken)?;
        Ok(sandbox)
    }
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
