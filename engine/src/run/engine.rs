//! Starts, resumes, replays and undoes runs. One dedicated thread a run: never the runtime's blocking pool,
//! where parents waiting for their branches could use up all threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::conclusion::{conclude, stop_of};
use super::confirm::Confirm;
use super::frame::{Frame, Here};
use super::handle::{Conclusion, Ending, Handle, Listener, Observer};
use super::interrupt::{Interrupt, Stop};
use super::limits::{Limits, step_clock};
use super::session::{Making, Session};
use super::{Mode, TargetFacts};
use crate::clock::{Clock, Entropy};
use crate::codes;
use crate::diagnostic::{Diagnostic, Problems};
use crate::error::CallError;
use crate::function::{Registry, Services};
use crate::journal::{
    Body, Claim, Format, Person, Place, Scheduled, SqliteStore, Started, Store, StoreError,
};
use crate::runbook::{Header, Params, Risk, Runbook, Sources};
use crate::script::errors;
use crate::secret::Vault;

/// Stack of a run's thread: deep recursion of a script ends at Rhai's limit, not here.
const STACK: usize = 16 << 20;

/// How often an id that another run has is drawn again.
const MEETINGS: usize = 16;

/// Where runs are executed: the store, what scripts can call, and the sources of time and chance.
#[derive(Clone)]
pub struct Engine {
    /// Where journals live.
    pub store: Arc<dyn Store>,
    /// What scripts can call.
    pub registry: Arc<Registry>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Where calls wait.
    pub runtime: tokio::runtime::Handle,
}

/// How a process executes a run: the same for starting and resuming.
#[derive(Clone)]
pub struct Execution {
    /// The target.
    pub target: TargetFacts,
    /// Its clients.
    pub services: Services,
    /// Who.
    pub person: Person,
    /// Waits inside the process for people; otherwise it leaves and the run is resumed later.
    pub patient: bool,
    /// Asked before each effect.
    pub confirm: Option<Arc<dyn Confirm>>,
    /// What the run may use up.
    pub limits: Limits,
    /// Told of everything.
    pub listener: Listener,
    /// Looks at real runs as well; plans and replays it does not see.
    pub observer: Option<Observer>,
    /// Folder of the log files of runs; `None`: none is written. Plans and replays write none.
    pub logs: Option<PathBuf>,
    /// The environment, for secret parameters.
    pub environment: BTreeMap<String, String>,
}

/// A new run.
pub struct Start {
    /// What to run.
    pub runbook: Runbook,
    /// Its name in lists.
    pub name: String,
    /// Folder of its project.
    pub project: PathBuf,
    /// Its parameters.
    pub params: Params,
    /// Run or plan.
    pub mode: Mode,
    /// What made it start.
    pub occasion: Occasion,
}

/// What made a run start, where that was not simply a person.
#[derive(Debug, Clone, Default)]
pub struct Occasion {
    /// The id that was promised to it; else it is given one. Only one run can ever begin under it.
    pub run: Option<String>,
    /// The scheduled instant it is the run of.
    pub scheduled: Option<Scheduled>,
    /// Why it may run outside its window or inside a freeze.
    pub break_glass: Option<String>,
}

/// Why a run could not be taken up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The run, or its store, cannot do that.
    #[error("{0}")]
    Call(CallError),
    /// The script has problems.
    #[error("{0}")]
    Problems(Problems),
}

impl From<CallError> for EngineError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<crate::journal::StoreError> for EngineError {
    fn from(error: crate::journal::StoreError) -> Self {
        Self::Call(Stop::Store(error).error())
    }
}

impl From<Problems> for EngineError {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl Engine {
    /// Starts a run, or a plan of one.
    ///
    /// # Errors
    /// When the start cannot be journaled.
    pub fn start(&self, start: Start, execution: Execution) -> Result<Handle, EngineError> {
        let store = self.store_for(start.mode)?;
        let run = self.id_of(&start)?;
        let started = first(&*store, &run, &start, &execution.target.name, &execution.person)?;
        let vault = Vault::new(&run);
        // Before the script uses them: what the outside answers may hold them already.
        start.params.secret.values().for_each(|secret| drop(vault.seal(secret)));
        let claim = claimed(&*store, &run)?;
        let Start { runbook, project, params, mode, occasion, .. } = start;
        let (entries, scheduled) = (Vec::new(), occasion.scheduled);
        let skims = false;
        let making =
            Making { run, mode, store, runbook, params, project, entries, vault, claim, scheduled, skims };
        self.execute(making, execution, Body::Started(started))
    }

    /// Journals the start of a run that another process will take up. One that has begun stays as it is.
    ///
    /// # Errors
    /// When the start cannot be journaled.
    pub fn register(&self, start: &Start, target: &str, person: &Person) -> Result<String, EngineError> {
        let run = self.id_of(start)?;
        let started = first(&*self.store, &run, start, target, person)?;
        match self.store.append(&run, &[(self.clock.now(), Body::Started(started))]) {
            Ok(_) | Err(StoreError::Begun(_)) => Ok(run),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn store_for(&self, mode: Mode) -> Result<Arc<dyn Store>, EngineError> {
        Ok(match mode {
            Mode::Run => Arc::clone(&self.store),
            Mode::Plan | Mode::Replay => Arc::new(SqliteStore::in_memory()?),
        })
    }

    /// The id that was promised to a run, or a new one that no run has.
    fn id_of(&self, start: &Start) -> Result<String, EngineError> {
        if let Some(promised) = &start.occasion.run {
            return Ok(promised.clone());
        }
        let mut id = self.new_id(&start.name);
        // Of a thousand runs that start in one second, two meet half of the time.
        for _ in 0..MEETINGS {
            if self.store.standing(&id)?.is_none() {
                break;
            }
            id = self.new_id(&start.name);
        }
        Ok(id)
    }

    /// An id for a run that will start: `bootstrap-20261123-020304-k3f9` sorts by runbook and time, short enough to type the end of.
    fn new_id(&self, name: &str) -> String {
        const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let time = self.clock.now().strftime("%Y%m%d-%H%M%S").to_string();
        let mut dice = self.entropy.next();
        let tail: String = (0..4)
            .map(|_| {
                let letter = LETTERS[usize::try_from(dice % LETTERS.len() as u64).unwrap_or(0)];
                dice /= LETTERS.len() as u64;
                char::from(letter)
            })
            .collect();
        format!("{}-{time}-{tail}", name.trim_matches('-'))
    }

    pub(super) fn execute(
        &self,
        making: Making,
        execution: Execution,
        first: Body,
    ) -> Result<Handle, EngineError> {
        let session = Session::new(self, &making, &execution, &first)?;
        session.journal.commit(first)?;
        session.take_leases_back()?;
        let ending = Arc::new(Ending::default());
        let handle = Handle { session: Arc::clone(&session), ending: Arc::clone(&ending) };
        let over = CancellationToken::new();
        self.runtime.spawn(Arc::clone(&session).look_around(over.clone()));
        self.runtime.spawn(Arc::clone(&session).watch_memory(over.clone()));
        self.runtime.spawn(Arc::clone(&session).watch_claim(over.clone()));
        let Making { runbook, claim, .. } = making;
        let work = move || {
            let _span = tracing::info_span!("run", id = session.run).entered();
            let whole = AssertUnwindSafe(|| executed(&session, &runbook.header, &over));
            let conclusion = catch_unwind(whole).unwrap_or_else(|_| broken_off(&session));
            over.cancel();
            session.clean_up();
            drop(claim);
            ending.set(conclusion);
        };
        std::thread::Builder::new()
            .name("run".to_owned())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|error| CallError::new(codes::LIMIT, "no thread could be started").because(error))?;
        Ok(handle)
    }
}

/// The first entry of a run, whose texts are kept.
fn first(
    store: &dyn Store,
    run: &str,
    start: &Start,
    target: &str,
    person: &Person,
) -> Result<Started, EngineError> {
    let (header, occasion) = (&start.runbook.header, &start.occasion);
    Ok(Started {
        format: Format::CURRENT,
        runbook: start.name.clone(),
        project: start.project.display().to_string(),
        title: header.title.clone(),
        risk: header.risk,
        drill: header.drill,
        sources: keep(store, &start.runbook.sources)?,
        main: start.runbook.sources.main().to_owned(),
        parameters: sealed(&start.params, &Vault::new(run)),
        target: target.to_owned(),
        person: person.clone(),
        mode: start.mode,
        scheduled: occasion.scheduled.clone(),
        break_glass: occasion.break_glass.clone(),
        forked: None,
        engine: crate::VERSION.to_owned(),
    })
}

/// Runs the script and concludes; `over` ends what looks around meanwhile.
fn executed(session: &Arc<Session>, header: &Header, over: &CancellationToken) -> Conclusion {
    tracing::info!(title = session.title, target = session.target.name, "begins");
    if session.recorded.cancelled.is_some() && session.mode == Mode::Run {
        // Somebody decided that, and the process that was told died before its end.
        session.stop(Stop::Cancelled);
    }
    let risky = session.target.protected && header.risk == Risk::High && session.mode == Mode::Run;
    let answer = run_script(session, risky);
    over.cancel();
    let conclusion = conclude(session, answer, header.on_failure, header.drill);
    tracing::info!(verdict = ?conclusion.verdict, "ends");
    conclusion
}

/// Asks for the approval that a protected target wants, then runs the script from the top.
fn run_script(session: &Arc<Session>, risky: bool) -> Result<Dynamic, Box<EvalAltResult>> {
    let root = Frame::root(Arc::clone(session));
    let _here = Here::set(&root);
    let _clock = step_clock(root.deadline);
    let question =
        format!("run `{}` (high risk) on the protected target `{}`?", session.title, session.target.name);
    // What it began with rules: the target may be protected since, or not any more.
    if session.recorded.began_with(&question).unwrap_or(risky) {
        let arguments = json!({ "question": question });
        crate::gate::call(&root, Place::default(), "approval::ask", arguments)
            .map_err(|interrupt| errors::raised(interrupt, "approval::ask", rhai::Position::NONE))?;
    }
    let script = session.script.get().ok_or("the run has no script")?;
    script.run()
}

/// Takes the right to execute a run.
pub(super) fn claimed(store: &dyn Store, run: &str) -> Result<Box<dyn Claim>, EngineError> {
    store.claim(run)?.ok_or_else(|| {
        CallError::new(codes::CLAIMED, format!("another process is running `{run}`"))
            .hint(format!("`aegis show {run}` shows how far it is, `aegis cancel {run}` cancels it"))
            .into()
    })
}

pub(super) fn told(interrupt: Interrupt) -> EngineError {
    EngineError::Call(stop_of(interrupt).error())
}

pub(super) fn defect(run: &str) -> CallError {
    CallError::new(codes::DEFECT, "aegis itself broke off; what was done before is journaled")
        .hint(format!("`aegis resume {run}` goes on where it stands; please report what stands above"))
}

/// Nothing more is written: the journal says how far it came.
fn broken_off(session: &Session) -> Conclusion {
    let error = defect(&session.run);
    let failure = Some(Diagnostic::from(&error));
    let (run, stop) = (session.run.clone(), Some(Stop::Refused(error)));
    Conclusion { run, verdict: None, stop, failure, value: Value::Null, leftovers: Vec::new() }
}

pub(super) fn keep(store: &dyn Store, sources: &Sources) -> Result<BTreeMap<String, String>, EngineError> {
    let texts = sources.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    Ok(store.keep_texts(&texts)?)
}

fn sealed(params: &Params, vault: &Vault) -> Value {
    let plain = params.plain.iter().map(|(name, value)| (name.clone(), value.clone()));
    let secret = params.secret.iter().map(|(name, secret)| (name.clone(), vault.seal(secret)));
    Value::Object(plain.chain(secret).collect())
}
