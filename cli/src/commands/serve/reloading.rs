//! Reads the project again when one of its files is another: schedules, runbooks, libraries, and the calendars that
//! freezes name, wherever they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aegis_console::Console;
use aegis_engine::clock::{Clock, SystemClock};
use aegis_scheduler::reading::FILE;
use aegis_scheduler::service::Handle;

use super::watching::Watching;
use crate::commands::schedule::tell_problems;
use crate::context::Context;
use crate::view::say;

/// How often files are looked at for changes.
const LOOK: Duration = Duration::from_secs(2);

/// Names, sizes and times of files.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Who looks at the project, and who hears what it says.
pub(super) struct Reloading {
    context: Arc<Context>,
    handle: Handle,
    console: Arc<Console>,
    watching: Arc<Watching>,
    calendars: Vec<PathBuf>,
    known: Fingerprint,
}

impl Reloading {
    /// Looks at the project from now on; `calendars` are those that it names.
    pub(super) fn start(
        context: &Arc<Context>,
        handle: Handle,
        console: Arc<Console>,
        watching: Arc<Watching>,
        calendars: Vec<PathBuf>,
    ) {
        let (runtime, known) = (context.runtime.handle().clone(), fingerprint(&context.project, &calendars));
        let context = Arc::clone(context);
        let mut reloading = Self { context, handle, console, watching, calendars, known };
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let looked = tokio::task::spawn_blocking(move || {
                    reloading.look();
                    reloading
                });
                reloading = match looked.await {
                    Ok(reloading) => reloading,
                    Err(_) => {
                        return say("trouble: the project is no longer read again: restart `aegis serve`");
                    }
                };
            }
        });
    }

    fn look(&mut self) {
        let now = fingerprint(&self.context.project, &self.calendars);
        if now == self.known {
            return;
        }
        self.known = now;
        let Ok(plan) = self.context.plan(true) else { return };
        self.console.metrics.read(tell_problems(&self.context, &plan), SystemClock.now());
        self.console.project.set(&plan);
        self.watching.look();
        let as_before = if plan.problems.is_empty() { "" } else { "; what has mistakes stands as it was" };
        say(&format!("read the schedules again: {}{as_before}", plan.schedules.len()));
        self.calendars.clone_from(&plan.calendars);
        self.handle.load(plan);
    }
}

/// All that schedules come from.
fn fingerprint(project: &Path, calendars: &[PathBuf]) -> Fingerprint {
    let mut found = Vec::new();
    let mut folders = vec![project.join("runbooks"), project.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.push(project.join(FILE));
    found.extend_from_slice(calendars);
    found.sort();
    let of = |path: PathBuf| {
        let data = std::fs::metadata(&path).ok();
        let size = data.as_ref().map_or(0, std::fs::Metadata::len);
        (path, size, data.and_then(|data| data.modified().ok()))
    };
    found.into_iter().map(of).collect()
}
