//! Sessions: what a person types into the real tools and what they answer, once for each version of a tool.
//!
//! A session is a file of `$ command` lines, which a shell runs one after the other in one cluster. Below each stands
//! what it printed (both streams) and `[code]` when that was not 0; `[..]` is anything in a line, `...` any lines.
//! `SNAPSHOTS=overwrite` writes a session anew from what happened; the diff is the review. The manifests a session
//! applies are in `files/`. What a person types is the same for every version, and so is what must come back.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aegis_sandbox::Options;
use snapbox::Data;
use snapbox::data::DataFormat;

use crate::Cluster;
use crate::tools::find;

/// A session's place: a folder with the manifests, and another with the tools under their plain names.
struct Desk {
    cluster: Cluster,
    folder: PathBuf,
    tools: PathBuf,
}

impl Desk {
    /// None (said aloud) when a tool is missing outside of CI.
    async fn with(tools: &[(&str, &str)]) -> Option<Self> {
        let found: Option<Vec<_>> = tools.iter().map(|(name, tool)| Some((*name, find(tool)?))).collect();
        let cluster = Cluster::with(Options { allow_processes: true, ..Options::default() }).await;
        let home = cluster.directory.path().to_owned();
        let (folder, place) = (home.join("desk"), home.join("tools"));
        std::fs::create_dir_all(&place).unwrap();
        for (name, tool) in found? {
            std::os::unix::fs::symlink(tool.canonicalize().unwrap(), place.join(name)).unwrap();
        }
        copy(&here().join("files"), &folder);
        // helm warns of credentials that others may read.
        std::fs::set_permissions(cluster.kubeconfig(), Permissions::from_mode(0o600)).unwrap();
        Some(Self { cluster, folder, tools: place })
    }

    /// Runs a session's commands; answers the session as it went.
    fn play(&self, session: &str) -> String {
        commands(session).into_iter().fold(String::new(), |told, command| {
            let output = self.shell(&command.replace("\n> ", "\n"));
            told + "$ " + &command + "\n" + &answer(&output)
        })
    }

    fn shell(&self, line: &str) -> Output {
        let home = self.cluster.directory.path();
        let path = std::env::var("PATH").unwrap_or_default();
        // Whoever waits for ever is told so.
        Command::new("timeout")
            .args(["100", "sh", "-c", &format!("exec 2>&1\n{line}")])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .env("KUBECONFIG", home.join("kubeconfig"))
            .env("HOME", home)
            .env("HELM_CACHE_HOME", home.join("helm"))
            .env("HELM_CONFIG_HOME", home.join("helm"))
            .env("HELM_DATA_HOME", home.join("helm"))
            .output()
            .unwrap()
    }
}

/// The `$` lines of a session, with the `>` lines that continue them.
fn commands(session: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in session.lines() {
        match (line.strip_prefix("$ "), line.starts_with("> ")) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, true) if open => commands.iter_mut().last().unwrap().push_str(&format!("\n{line}")),
            _ => {
                open = false;
                continue;
            }
        }
        open = true;
    }
    commands
}

fn answer(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}[{}]\n", code.unwrap_or(-1)),
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/sessions")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Plays a session with one version of a tool, and with the newest kubectl beside helm.
async fn answers_as_written(version: &str, session: &str) {
    let file = here().join(format!("{session}.txt"));
    let text = std::fs::read_to_string(&file).unwrap();
    let tools = match version.starts_with("kubectl") {
        true => vec![("kubectl", version)],
        false => vec![("kubectl", "kubectl"), ("helm", version)],
    };
    let Some(desk) = Desk::with(&tools).await else { return };
    let told = tokio::task::block_in_place(|| desk.play(&text));
    let expected = Data::read_from(&file, Some(DataFormat::Text));
    snapbox::Assert::new().normalize_paths(false).action_env("SNAPSHOTS").eq(Data::text(told), expected);
}

/// A test for every session and version: `sessions::kubectl_1_28::rollouts`.
macro_rules! sessions {
    ($($module:ident: $version:literal plays $($session:ident)*;)*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $session() {
                super::answers_as_written($version, stringify!($session)).await;
            })*
        })*
    };
}

// The oldest that must work, and the newest.
sessions! {
    kubectl_1_28: "kubectl-1.28" plays objects rollouts nodes pods questions custom;
    kubectl_1_33: "kubectl" plays objects rollouts nodes pods questions custom;
    helm_3_14: "helm-3.14" plays releases failures;
    helm_3_17: "helm3" plays releases failures;
    helm_4_1: "helm4" plays releases failures;
}
