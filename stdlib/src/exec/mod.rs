//! `exec`: runs one local program with an argument list. No shell is ever involved, so nothing in an argument
//! can become a command.
//!
//! - `run.rs`: the one function, its arguments and its plan
//! - `client.rs`: child processes (the only file that does IO); `helm` runs its binary through it too

pub(crate) mod client;
mod run;

pub use client::Exec;

use aegis_engine::function::{Function, Module};

/// The author's page.
const PAGE: &str = "\
A program is named by its file name (looked up on `PATH`), by an absolute path, or by a path with a slash
that starts at the project folder. Its arguments are a list: there is no shell, so quotes, `$`, `;` and
`|` are ordinary letters.

The environment holds `PATH`, `HOME` and `LANG` plus what `env` gives. Hand secrets over in `env` or on
`stdin`, never in the argument list: every user of the machine can read a running program's arguments.

Of each output stream the last megabyte is kept (`limit` changes that); `truncated` tells when something was
dropped. A cancelled run and a timeout end the program and everything it started: SIGTERM to the process
group, SIGKILL ten seconds later.

A command is not repeatable: when its outcome was lost in a crash, the run stops and asks a person.";

/// The module as the registry takes it.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "exec",
        summary: "Runs local programs, without a shell.",
        page: PAGE,
        functions: vec![Function::new::<run::Run>()],
    }
}
