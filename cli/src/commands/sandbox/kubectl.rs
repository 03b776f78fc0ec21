//! `aegis sandbox kubectl -- ...`: the real kubectl against the sandbox, which is served meanwhile.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct Kubectl {
    /// What kubectl is given.
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Kubectl {
    pub(super) fn run(&self, context: &Context, target: &str) -> Result<Exit, Failure> {
        let program = find(context)?;
        let cluster = context.sandbox(target)?;
        let kubeconfig = context.sandbox_folder(target).join("kubeconfig");
        let failed = |error: std::io::Error| {
            Failure::from(CallError::new(codes::SANDBOX, "kubectl cannot be run").because(error))
        };
        write(&kubeconfig, &cluster.kubeconfig()).map_err(failed)?;
        let mut command = std::process::Command::new(program);
        let status = command.args(&self.arguments).env("KUBECONFIG", &kubeconfig).status().map_err(failed)?;
        // kubectl has said what is wrong.
        Ok(if status.success() { Exit::Ok } else { Exit::Failed })
    }
}

/// kubectl on PATH, or where `.ci/tools` puts it.
fn find(context: &Context) -> Result<PathBuf, CallError> {
    let path = context.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let fetched = context.project.join(".tools").join("bin");
    let folders = std::env::split_paths(path).chain([fetched]);
    let found = folders.map(|folder| folder.join("kubectl")).find(|program| program.is_file());
    found.ok_or_else(|| {
        CallError::new(codes::TOOL_MISSING, "`kubectl` is not installed")
            .hint("see https://kubernetes.io/docs/tasks/tools/")
    })
}

/// A kubeconfig holds a token: nobody else may read it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
