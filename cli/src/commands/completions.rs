//! `aegis completions`: for bash, zsh, fish and others.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Cli;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, _: &Global) -> Result<Exit, Failure> {
        clap_complete::generate(self.shell, &mut Cli::command(), "aegis", &mut std::io::stdout());
        Ok(Exit::Ok)
    }
}
