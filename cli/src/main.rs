//! The `aegis` binary: reads the command line, wires engine, modules and sandbox together, and tells people
//! what happened. Data goes to stdout, talk to stderr; every error is told once, here.

mod commands;
mod config;
mod context;
mod exit;
mod notices;
mod reference;
mod traces;
mod view;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use context::Global;

/// Durable runbooks for platforms.
#[derive(Parser)]
#[command(name = "aegis", version, about, max_term_width = 100, after_help = exit::TABLE, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // A second provider in the process would have installed itself first; both speak the same TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Cli { global, command } = Cli::parse();
    match view::tracing::start(&global).and_then(|()| command.run(&global)) {
        Ok(exit) => exit.into(),
        Err(failure) => view::failure::tell(&failure, &global),
    }
}
