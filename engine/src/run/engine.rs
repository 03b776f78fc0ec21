//! Starts, resumes, replays and undoes runs. One dedicated thread a run: never the runtime's blocking pool,
//! where parents waiting for their branches could use up all threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use rhai::{Dynamic, EvalAltResult};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::confirm::Confirm;
use super::frame::{Frame, Here};
use super::handle::{Conclusion, Ending, Event, Handle, Listener};
use super::interrupt::{Interrupt, Stop};
use super::limits::Limits;
use super::recorded::Recorded;
use super::session::{Decision, Session};
use super::undo::{Ledger, undo_below};
use super::{Mode, TargetFacts};
use crate::clock::{Clock, Entropy};
use crate::codes;
use crate::diagnostic::{Diagnostic, Problems};
use crate::error::CallError;
use crate::function::{Overlay, Registry, Services};
use crate::journal::{
    Act, Body, Claim, Entry, Format, Journal, Outcome, Person, Place, SqliteStore, Started, Store, Verdict,
};
use crate::runbook::{OnFailure, Params, Risk, Runbook, Sources};
use crate::script::convert::to_json;
use crate::script::{Script, errors};
use crate::secret::Vault;

/// Stack of a run's thread: deep recursion of a script ends at Rhai's limit, not here.
const STACK: usize = 16 << 20;

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
}

/// A run that is taken up again.
pub struct Resume {
    /// Which.
    pub run: String,
    /// The edited script, for `--script current`; `None`: the recorded one.
    pub script: Option<Runbook>,
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

/// Everything a session is made of besides the engine and the execution.
struct Making {
    run: String,
    mode: Mode,
    store: Arc<dyn Store>,
    runbook: Runbook,
    params: Params,
    project: PathBuf,
    entries: Vec<Entry>,
    vault: Vault,
    claim: Box<dyn Claim>,
}

impl Engine {
    /// Starts a run, or a plan of one.
    ///
    /// # Errors
    /// When the start cannot be journaled.
    pub fn start(&self, start: Start, execution: Execution) -> Result<Handle, EngineError> {
        let store = self.store_for(start.mode)?;
        let run = self.new_id(&start.name);
        let vault = Vault::new(&run);
        let sources = keep(&*store, &start.runbook.sources)?;
        let started = Started {
            format: Format::CURRENT,
            runbook: start.name.clone(),
            project: start.project.display().to_string(),
            title: start.runbook.header.title.clone(),
            risk: risk_word(start.runbook.header.risk).to_owned(),
            drill: start.runbook.header.drill,
            sources,
            main: start.runbook.sources.main().to_owned(),
            parameters: sealed(&start.params, &vault),
            target: execution.target.name.clone(),
            person: execution.person.clone(),
            mode: start.mode,
            forked: None,
            engine: crate::VERSION.to_owned(),
        };
        let claim = claimed(&*store, &run)?;
        let Start { runbook, project, params, mode, .. } = start;
        let making = Making { run, mode, store, runbook, params, project, entries: Vec::new(), vault, claim };
        self.execute(making, execution, Body::Started(started))
    }

    /// Takes a run up where it stands.
    ///
    /// # Errors
    /// When it has ended, another process runs it, its secrets are missing, or the journal cannot be read.
    pub fn resume(&self, resume: Resume, execution: Execution) -> Result<Handle, EngineError> {
        let claim = claimed(&*self.store, &resume.run)?;
        let entries = self.store.entries(&resume.run, 0)?;
        if let Some(verdict) = Recorded::of(&entries).verdict {
            return Err(ended(&resume.run, verdict).into());
        }
        let edited = resume.script.is_some();
        let making = self.making(
            &resume.run,
            Mode::Run,
            Arc::clone(&self.store),
            entries,
            resume.script,
            claim,
            &execution,
        )?;
        let sources = edited.then(|| keep(&*self.store, &making.runbook.sources)).transpose()?;
        let resumed =
            Body::Resumed { person: execution.person.clone(), sources, engine: crate::VERSION.to_owned() };
        self.execute(making, execution, resumed)
    }

    /// Runs the script over its journal with no outside at all; nothing is written anywhere.
    ///
    /// # Errors
    /// When the journal or its script cannot be read.
    pub fn replay(&self, resume: Resume, execution: Execution) -> Result<Handle, EngineError> {
        let entries = self.store.entries(&resume.run, 0)?;
        let started = started(&entries)?.clone();
        let store = self.store_for(Mode::Replay)?;
        let claim = claimed(&*store, &resume.run)?;
        let making =
            self.making(&resume.run, Mode::Replay, store, entries, resume.script, claim, &execution)?;
        self.execute(making, execution, Body::Started(Started { mode: Mode::Replay, ..started }))
    }

    /// Takes back what can be taken back of a run that no process executes. A run that has not ended is
    /// cancelled by it.
    ///
    /// # Errors
    /// When another process runs it, or the journal cannot be read or written.
    pub fn undo(&self, run: &str, execution: Execution, note: &str) -> Result<Conclusion, EngineError> {
        let claim = claimed(&*self.store, run)?;
        let entries = self.store.entries(run, 0)?;
        let open = Recorded::of(&entries).verdict.is_none();
        let store = Arc::clone(&self.store);
        let making = self.making(run, Mode::Run, store, entries, None, claim, &execution)?;
        let (session, script) = self.session(&making, &execution);
        let _ = session.script.set(script);
        let act = if open { Act::Cancel } else { Act::Undo };
        let (person, note) = (execution.person.clone(), note.to_owned());
        session.journal.commit(Body::Decided { person, act, note, evidence: String::new() })?;
        session.undoing.store(true, Ordering::Release);
        std::thread::scope(|scope| scope.spawn(|| undo_below(&session, "")).join())
            .map_err(|_| defect())?
            .map_err(told)?;
        if open {
            let ended = Body::Ended { verdict: Verdict::Cancelled, failure: None, value: Value::Null };
            session.journal.commit(ended)?;
        }
        Ok(Conclusion {
            run: run.to_owned(),
            verdict: open.then_some(Verdict::Cancelled),
            stop: None,
            failure: None,
            value: Value::Null,
            leftovers: session.ledger.below(""),
        })
    }

    fn store_for(&self, mode: Mode) -> Result<Arc<dyn Store>, EngineError> {
        Ok(match mode {
            Mode::Run => Arc::clone(&self.store),
            Mode::Plan | Mode::Replay => Arc::new(SqliteStore::in_memory()?),
        })
    }

    /// `bootstrap-20261123-020304-k3f9`: sorts by runbook and time, short enough to type the end of.
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

    #[expect(clippy::too_many_arguments, reason = "the parts of a stored run, named one by one")]
    fn making(
        &self,
        run: &str,
        mode: Mode,
        store: Arc<dyn Store>,
        entries: Vec<Entry>,
        script: Option<Runbook>,
        claim: Box<dyn Claim>,
        execution: &Execution,
    ) -> Result<Making, EngineError> {
        let started = started(&entries)?;
        let runbook = match script {
            Some(runbook) => runbook,
            None => stored_runbook(&*self.store, &entries)?,
        };
        let vault = Vault::new(run);
        let params = params_again(&runbook, started, &vault, execution, mode)?;
        let project = PathBuf::from(&started.project);
        Ok(Making { run: run.to_owned(), mode, store, runbook, params, project, entries, vault, claim })
    }

    fn session(&self, making: &Making, execution: &Execution) -> (Arc<Session>, Script) {
        let recorded = Recorded::of(&making.entries);
        let header = &making.runbook.header;
        let limits = execution.limits;
        let listener = Arc::clone(&execution.listener);
        let heard = Arc::clone(&execution.listener);
        let journal = Journal::new(
            Arc::clone(&making.store),
            &making.run,
            Arc::clone(&self.clock),
            making.vault.clone(),
            Arc::new(move |entry: &Entry| listener(&Event::Recorded(Box::new(entry.clone())))),
        );
        let decisions = decisions(&making.entries);
        let masking = making.vault.clone();
        let session = Arc::new(Session {
            run: making.run.clone(),
            mode: making.mode,
            target: execution.target.clone(),
            person: execution.person.clone(),
            title: header.title.clone(),
            project: making.project.clone(),
            needs: header.needs.clone(),
            registry: Arc::clone(&self.registry),
            services: execution.services.clone(),
            store: Arc::clone(&making.store),
            journal,
            ledger: Ledger::of(&recorded),
            recorded,
            vault: making.vault.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            runtime: self.runtime.clone(),
            cancel: CancellationToken::new(),
            stopped: OnceLock::new(),
            undoing: false.into(),
            overlay: Arc::new(Overlay::default()),
            confirm: execution.confirm.clone(),
            patient: execution.patient,
            limits,
            operations: super::limits::Operations::default(),
            deadline: Instant::now().checked_add(header.timeout.map_or(limits.time, |timeout| timeout.0)),
            progress: Arc::new(move |call: &str, text: &str| {
                heard(&Event::Progress { call: call.to_owned(), text: masking.masked(text) });
            }),
            script: OnceLock::new(),
            origin: Mutex::default(),
            decided: watch::Sender::new(decisions.len()),
            decisions: Mutex::new(decisions),
            leases: Mutex::default(),
        });
        let script = Script::new(&session, &making.runbook, &making.params);
        (session, script)
    }

    fn execute(&self, making: Making, execution: Execution, first: Body) -> Result<Handle, EngineError> {
        let (session, script) = self.session(&making, &execution);
        let _ = session.script.set(script);
        session.journal.commit(first)?;
        let ending = Arc::new(Ending::default());
        let handle = Handle { session: Arc::clone(&session), ending: Arc::clone(&ending) };
        let over = CancellationToken::new();
        self.runtime.spawn(Arc::clone(&session).look_around(over.clone()));
        let Making { runbook, claim, .. } = making;
        let header = runbook.header;
        let work = move || {
            let asks = session.target.protected && header.risk == Risk::High && session.mode == Mode::Run;
            let answer = run_script(&session, asks);
            over.cancel();
            let conclusion = conclude(&session, answer, header.on_failure, header.drill);
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

/// Asks for the approval that a protected target wants, then runs the script from the top.
fn run_script(session: &Arc<Session>, asks: bool) -> Result<Dynamic, Box<EvalAltResult>> {
    let root = Frame::root(Arc::clone(session));
    let _here = Here::set(&root);
    if asks {
        let question =
            format!("run `{}` (high risk) on the protected target `{}`?", session.title, session.target.name);
        let arguments = json!({ "question": question });
        crate::gate::call(&root, Place::default(), "approval::ask", arguments)
            .map_err(|interrupt| errors::raised(interrupt, "approval::ask", rhai::Position::NONE))?;
    }
    let script = session.script.get().ok_or("the run has no script")?;
    let run = std::panic::AssertUnwindSafe(|| script.run());
    std::panic::catch_unwind(run).unwrap_or_else(|_| Err("the run ended by a defect of aegis".into()))
}

/// Turns the script's end into the run's: undo where it is due, the last entry, leases given back.
fn conclude(
    session: &Arc<Session>,
    answer: Result<Dynamic, Box<EvalAltResult>>,
    on_failure: OnFailure,
    drill: bool,
) -> Conclusion {
    let answer = answer.or_else(|error| match *error {
        EvalAltResult::Exit(value, _) => Ok(value),
        other => Err(Box::new(other)),
    });
    let (verdict, stop, failure, value) = match answer {
        Ok(value) => {
            (Some(Verdict::Succeeded), None, None, to_json(&value, &session.vault).unwrap_or_default())
        }
        Err(error) => {
            let interrupt = errors::caught(&error, session);
            let failure = Some(told_to_people(session, &error, &interrupt));
            match interrupt {
                Interrupt::Failed(_) => (Some(Verdict::Failed), None, failure, Value::Null),
                Interrupt::Stop(stop @ Stop::Refused(_)) => {
                    (Some(Verdict::Failed), Some(stop), failure, Value::Null)
                }
                Interrupt::Stop(Stop::Cancelled) => {
                    (Some(Verdict::Cancelled), Some(Stop::Cancelled), None, Value::Null)
                }
                Interrupt::Stop(stop) => (None, Some(stop), failure, Value::Null),
            }
        }
    };
    let conclusion =
        Conclusion { run: session.run.clone(), verdict, stop, failure, value, leftovers: Vec::new() };
    finish(session, conclusion, on_failure, drill)
}

fn finish(
    session: &Arc<Session>,
    mut conclusion: Conclusion,
    on_failure: OnFailure,
    drill: bool,
) -> Conclusion {
    if session.mode == Mode::Run {
        let undo = match conclusion.verdict {
            Some(Verdict::Cancelled) => true,
            Some(Verdict::Failed) => on_failure == OnFailure::Undo,
            Some(Verdict::Succeeded) | None => false,
        };
        session.undoing.store(undo, Ordering::Release);
        if undo && let Err(interrupt) = undo_below(session, "") {
            conclusion.stop = Some(stop_of(interrupt));
            conclusion.verdict = None;
        }
        conclusion.leftovers = match conclusion.verdict {
            Some(Verdict::Succeeded) if !drill => Vec::new(),
            _ => session.ledger.below(""),
        };
        if drill && conclusion.verdict == Some(Verdict::Succeeded) && !conclusion.leftovers.is_empty() {
            conclusion.verdict = Some(Verdict::Failed);
            conclusion.failure = Some(left_behind(&conclusion));
        }
    }
    if let Some(verdict) = conclusion.verdict {
        release_leases(session);
        let (failure, value) = (conclusion.failure.clone(), conclusion.value.clone());
        if let Err(error) = session.journal.commit(Body::Ended { verdict, failure, value }) {
            conclusion.verdict = None;
            conclusion.failure = Some(Diagnostic::from(&Stop::Store(error.clone()).error()));
            conclusion.stop = Some(Stop::Store(error));
        }
    } else if let Err(error) = session.journal.flush() {
        conclusion.failure = Some(Diagnostic::from(&Stop::Store(error.clone()).error()));
        conclusion.stop = Some(Stop::Store(error));
    }
    conclusion
}

fn release_leases(session: &Session) {
    let held: Vec<String> = session.lock(&session.leases).keys().cloned().collect();
    for name in held {
        // A lease that cannot be given back runs out by itself.
        let _ = session.store.release(&name, &session.run);
    }
}

/// The sentence of what stopped the run, with the place in the script it came from.
fn told_to_people(session: &Session, error: &EvalAltResult, interrupt: &Interrupt) -> Diagnostic {
    let call = match interrupt {
        Interrupt::Failed(call) => call.clone(),
        Interrupt::Stop(stop) => stop.error(),
    };
    let origin = session.lock(&session.origin).clone();
    let placed = match origin {
        Some((known, diagnostic)) if known.message == call.message => diagnostic,
        _ => session.diagnostic(error),
    };
    let plain = Diagnostic::from(&call);
    Diagnostic {
        code: plain.code,
        message: plain.message,
        hint: plain.hint.or(placed.hint.clone()),
        ..placed
    }
}

fn left_behind(conclusion: &Conclusion) -> Diagnostic {
    let count = crate::text::count(conclusion.leftovers.len(), "effect");
    Diagnostic::new(codes::UNDO, format!("the drill left {count} behind")).hint(format!(
        "`aegis leftovers {run}` lists them, `aegis undo {run}` takes them back",
        run = conclusion.run
    ))
}

fn stop_of(interrupt: Interrupt) -> Stop {
    match interrupt {
        Interrupt::Stop(stop) => stop,
        Interrupt::Failed(error) => Stop::Refused(error),
    }
}

fn told(interrupt: Interrupt) -> EngineError {
    EngineError::Call(stop_of(interrupt).error())
}

fn defect() -> EngineError {
    EngineError::Call(CallError::new(codes::SCRIPT, "the run ended by a defect of aegis"))
}

/// Takes the right to execute a run.
fn claimed(store: &dyn Store, run: &str) -> Result<Box<dyn Claim>, EngineError> {
    store.claim(run)?.ok_or_else(|| {
        CallError::new(codes::CLAIMED, format!("another process is running `{run}`"))
            .hint(format!("`aegis show {run}` shows how far it is, `aegis cancel {run}` cancels it"))
            .into()
    })
}

fn keep(store: &dyn Store, sources: &Sources) -> Result<BTreeMap<String, String>, EngineError> {
    let texts = sources.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    Ok(store.keep_texts(&texts)?)
}

/// The first entry of a run.
pub(crate) fn started(entries: &[Entry]) -> Result<&Started, CallError> {
    match entries.first().map(|entry| &entry.body) {
        Some(Body::Started(started)) => Ok(started),
        _ => Err(CallError::new(codes::CORRUPT, "the journal does not begin with the start of a run")),
    }
}

/// The texts of a run as they were last run.
///
/// # Errors
/// When the journal or a text cannot be read.
pub fn stored_sources(store: &dyn Store, entries: &[Entry]) -> Result<Sources, EngineError> {
    let started = started(entries)?;
    let edited = entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { sources: Some(sources), .. } => Some(sources),
        _ => None,
    });
    let mut sources: Option<Sources> = None;
    let hashes = edited.unwrap_or(&started.sources);
    if let Some(hash) = hashes.get(&started.main) {
        sources = Some(Sources::new(&started.main, store.text(hash)?));
    }
    let mut sources =
        sources.ok_or_else(|| CallError::new(codes::CORRUPT, "the journal does not name its script"))?;
    for (name, hash) in hashes.iter().filter(|(name, _)| **name != started.main) {
        sources = sources.with(name, store.text(hash)?);
    }
    Ok(sources)
}

fn stored_runbook(store: &dyn Store, entries: &[Entry]) -> Result<Runbook, EngineError> {
    Ok(Runbook::from_sources(stored_sources(store, entries)?)?)
}

/// Parameters of a stored run: plain ones from the journal, secret ones from the environment again.
fn params_again(
    runbook: &Runbook,
    started: &Started,
    vault: &Vault,
    execution: &Execution,
    mode: Mode,
) -> Result<Params, EngineError> {
    let empty = Map::new();
    let recorded = started.parameters.as_object().unwrap_or(&empty);
    let (secret, plain): (Vec<_>, Vec<_>) =
        recorded.iter().partition(|(_, value)| crate::secret::is_placeholder(value));
    let plain = plain.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut params = Params { plain, ..Params::default() };
    if secret.is_empty() || mode == Mode::Replay {
        return Ok(params);
    }
    let given = params.plain.iter().filter(|(name, _)| runbook.header.params.contains_key(*name));
    let given = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    let bound = runbook
        .header
        .bind(&given, &execution.environment)
        .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
    for (name, placeholder) in secret {
        match bound.secret.get(name) {
            Some(secret) if vault.seal(secret) == *placeholder => {
                params.secret.insert(name.clone(), secret.clone());
            }
            _ => return Err(other_secret(name).into()),
        }
    }
    Ok(params)
}

fn other_secret(name: &str) -> CallError {
    let variable = format!("AEGIS_PARAM_{}", name.to_uppercase());
    CallError::new(
        codes::PARAMETER,
        format!("the secret parameter `{name}` is not the one the run started with"),
    )
    .hint(format!("secrets are never stored; give it again in `{variable}`"))
}

fn sealed(params: &Params, vault: &Vault) -> Value {
    let plain = params.plain.iter().map(|(name, value)| (name.clone(), value.clone()));
    let secret = params.secret.iter().map(|(name, secret)| (name.clone(), vault.seal(secret)));
    Value::Object(plain.chain(secret).collect())
}

fn decisions(entries: &[Entry]) -> Vec<Decision> {
    let decided = entries.iter().filter_map(|entry| match &entry.body {
        Body::Decided { person, act, note, .. } => {
            Some(Decision { person: person.clone(), act: act.clone(), note: note.clone() })
        }
        _ => None,
    });
    decided.collect()
}

const fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}

fn ended(run: &str, verdict: Verdict) -> CallError {
    let (how, hint) = match verdict {
        Verdict::Succeeded => {
            ("succeeded", format!("`aegis show {run}` shows it; `aegis run` starts a new one"))
        }
        Verdict::Failed => ("failed", format!("`aegis retry {run}` performs what failed again")),
        Verdict::Cancelled => {
            ("was cancelled", format!("`aegis fork {run} --from STEP` starts a new one from there"))
        }
    };
    CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has {how} and cannot be resumed")).hint(hint)
}

/// What a step or call of a stored run came to, for people who look for a key.
pub(crate) fn outcome_word(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => "asked",
        Some(Outcome::Ok(_)) => "ok",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Unknown(_)) => "unknown",
        Some(Outcome::Skipped(_)) => "skipped",
    }
}
