//! What people are told through the channels of a target. What comes within a few seconds is one message a channel, and
//! each message is a run of its own: it passes the gate, is journaled, and is never sent twice.
//!
//! - [`Notices`]: a thread that gathers and sends
//! - [`Bulletin`]: what a run that a person starts has to tell

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aegis_engine::diagnostic::Problems;
use aegis_engine::journal::{Person, Verdict};
use aegis_engine::run::operate::AEGIS;
use aegis_engine::run::{Conclusion, Engine, Mode, Occasion, Start, Stop};
use aegis_engine::runbook::{Moment, Notify, Runbook, Sources};
use aegis_engine::text::count;
use serde_json::Value;

use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::say;

const RUNBOOK: &str = include_str!("notice.rhai");

/// How long more is waited for before a message goes out.
const GATHERED: Duration = Duration::from_secs(2);

/// How long the end of the process waits for messages that are under way: the rest of a run that could not be sent is
/// in the journal.
const LEFT: Duration = Duration::from_secs(30);

/// Lines of one message; more are counted.
const MOST: usize = 20;

/// A line for the people of a target.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) target: String,
    pub(crate) channels: Vec<String>,
    pub(crate) moment: Moment,
    pub(crate) text: String,
}

/// Tells people, on a thread of its own. Dropped, it sends what is left.
pub(crate) struct Notices {
    lines: Option<Sender<Notice>>,
    over: Mutex<Receiver<()>>,
}

impl Notices {
    pub(crate) fn start(context: &Arc<Context>, engine: Engine) -> Self {
        let (sender, receiver) = mpsc::channel();
        let (done, over) = mpsc::channel();
        let post = Post { context: Arc::clone(context), engine };
        let work = move || {
            post.deliver(&receiver);
            drop(done);
        };
        let started = std::thread::Builder::new().name("notices".to_owned()).spawn(work);
        Self { lines: started.is_ok().then_some(sender), over: Mutex::new(over) }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if notice.channels.is_empty() {
            return;
        }
        if let Some(lines) = &self.lines {
            let _ = lines.send(notice);
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.lines = None;
        // Answers as soon as the thread is over.
        let _ = self.over.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(LEFT);
    }
}

/// Who hears of a moment: as declared, else the usual channel where the target has it.
pub(crate) fn channels(context: &Context, target: &str, declared: &Notify, moment: Moment) -> Vec<String> {
    if let Some(channels) = declared.of(moment) {
        return channels.to_vec();
    }
    let usual = Notify::usual(&context.settings.config.serve.notify);
    let config = context.settings.config.target(target);
    let has = |channel: &&String| {
        config.as_ref().is_ok_and(|config| config.sandbox || config.notify.contains_key(*channel))
    };
    usual.of(moment).unwrap_or_default().iter().filter(has).cloned().collect()
}

/// Sends messages.
struct Post {
    context: Arc<Context>,
    engine: Engine,
}

impl Post {
    fn deliver(&self, lines: &Receiver<Notice>) {
        while let Ok(first) = lines.recv() {
            for ((target, channel), notices) in self.gathered(first, lines) {
                if let Err(failure) = self.tell(&channel, &target, &notices) {
                    say(&format!(
                        "trouble: `{channel}` of `{target}` could not be told: {}",
                        one_line(failure)
                    ));
                }
            }
        }
    }

    /// What comes within a moment, by target and channel. Messages are effects: while those are halted, more comes to them.
    fn gathered(&self, first: Notice, lines: &Receiver<Notice>) -> BTreeMap<(String, String), Vec<Notice>> {
        let mut gathered: BTreeMap<(String, String), Vec<Notice>> = BTreeMap::new();
        let (mut next, mut began) = (Some(first), Instant::now());
        loop {
            if let Some(notice) = next.take() {
                for channel in notice.channels.clone() {
                    gathered.entry((notice.target.clone(), channel)).or_default().push(notice.clone());
                }
            }
            // Who has something to tell every second keeps nobody from hearing.
            match lines.recv_timeout(GATHERED.saturating_sub(began.elapsed())) {
                Ok(notice) => next = Some(notice),
                Err(RecvTimeoutError::Timeout) if self.is_halted() => began = Instant::now(),
                Err(_) => return gathered,
            }
        }
    }

    fn is_halted(&self) -> bool {
        self.engine.store.halt().is_ok_and(|halt| halt.is_some())
    }

    /// One message, as a run of its own.
    fn tell(&self, channel: &str, target: &str, notices: &[Notice]) -> Result<(), Failure> {
        let runbook = Runbook::from_sources(Sources::new("notice.rhai", RUNBOOK))?;
        let title = match notices {
            [only] => only.text.lines().next().unwrap_or_default().to_owned(),
            several => format!("aegis: {}", count(several.len(), "notice")),
        };
        let mut message =
            notices.iter().take(MOST).map(|notice| notice.text.as_str()).collect::<Vec<_>>().join("\n");
        if notices.len() > MOST {
            message.push_str(&format!(
                "\nand {} more: aegis runs, aegis schedule history",
                notices.len() - MOST
            ));
        }
        let severity = severity(notices.iter().map(|notice| notice.moment));
        let given: BTreeMap<String, Value> =
            [("channel", channel), ("title", &title), ("message", &message), ("severity", severity)]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect();
        let params = runbook
            .header
            .bind(&given, &self.context.environment)
            .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
        let (mut execution, _) = self.context.execution(target, Some(&runbook), Arc::new(|_| {}), false)?;
        execution.person = Person(AEGIS.to_owned());
        let project = self.context.project.clone();
        let (name, mode, occasion) = ("notice".to_owned(), Mode::Run, Occasion::default());
        let start = Start { runbook, name, project, params, mode, occasion };
        let conclusion = self.engine.start(start, execution)?.wait();
        if conclusion.verdict != Some(Verdict::Succeeded) {
            let run = &conclusion.run;
            say(&format!("trouble: `{channel}` of `{target}` was not told: aegis show {run}"));
        }
        Ok(())
    }
}

/// How bad the worst of them is.
fn severity(moments: impl Iterator<Item = Moment>) -> &'static str {
    let rank = |moment: Moment| match moment {
        Moment::Succeeded => 0,
        Moment::Started => 1,
        Moment::Waiting | Moment::Closing | Moment::Missed | Moment::BreakGlass => 2,
        Moment::Failed => 3,
    };
    ["ok", "info", "warning", "critical"][moments.map(rank).max().unwrap_or(1)]
}

fn one_line(failure: Failure) -> String {
    match failure {
        Failure::Call(error) => error.message,
        Failure::Problems(problems) => problems.to_string(),
    }
}

/// What a run that a person starts tells others: what its header declares, and always that the glass was broken.
pub(crate) struct Bulletin<'a> {
    context: &'a Arc<Context>,
    notices: Option<Notices>,
    notify: Notify,
    target: String,
    run: String,
}

impl<'a> Bulletin<'a> {
    /// Tells that a run goes on; `broken` is why, where only breaking the glass let it.
    pub(crate) fn of(
        context: &'a Arc<Context>,
        engine: &Engine,
        notify: &Notify,
        target: &str,
        run: &str,
        broken: Option<&str>,
    ) -> Self {
        let silent = notify.is_empty() && broken.is_none();
        let notices = (!silent).then(|| Notices::start(context, engine.clone()));
        let (notify, target, run) = (notify.clone(), target.to_owned(), run.to_owned());
        let bulletin = Self { context, notices, notify, target, run };
        if let Some(reason) = broken {
            let channels = channels(context, &bulletin.target, &bulletin.notify, Moment::BreakGlass);
            let who = context.person().0;
            let text = format!("{who} broke the glass on {}: {reason}", bulletin.target);
            bulletin.tell(Moment::BreakGlass, channels, &text);
        }
        bulletin
    }

    /// It has just been started.
    pub(crate) fn started(&self) {
        let text = format!("started by {} on {}", self.context.person().0, self.target);
        self.declared(Moment::Started, &text);
    }

    /// It ended, or was left.
    pub(crate) fn concluded(self, conclusion: &Conclusion) {
        match (&conclusion.verdict, &conclusion.stop) {
            (Some(Verdict::Succeeded), _) => self.declared(Moment::Succeeded, "succeeded"),
            (Some(Verdict::Failed), _) => self.declared(Moment::Failed, "failed"),
            (Some(Verdict::Cancelled), _) => self.declared(Moment::Failed, "was cancelled"),
            (None, Some(Stop::Waiting(error))) => self.declared(Moment::Waiting, &error.message),
            (None, _) => {}
        }
    }

    fn declared(&self, moment: Moment, text: &str) {
        let channels = self.notify.of(moment).unwrap_or_default().to_vec();
        self.tell(moment, channels, text);
    }

    fn tell(&self, moment: Moment, channels: Vec<String>, text: &str) {
        if let Some(notices) = &self.notices {
            let text = format!("{}: {text}: aegis show {}", self.run, self.run);
            notices.tell(Notice { target: self.target.clone(), channels, moment, text });
        }
    }
}
