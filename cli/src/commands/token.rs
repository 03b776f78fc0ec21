//! `aegis token`: makes a token for the API of `aegis serve`. It is shown once; the configuration keeps its hash.

use aegis_console::token::{Role, hash};
use aegis_engine::clock::{Entropy, SystemEntropy};
use aegis_engine::error::CallError;
use clap::{Args, ValueEnum};

use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum May {
    /// Hand events to triggers.
    Trigger,
    /// Look at everything.
    Viewer,
    /// Look, decide, pause, start and halt.
    Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Who holds it: the person of what is decided with it.
    name: String,
    /// What its holder may do.
    #[arg(long, value_enum, default_value = "viewer")]
    role: May,
}

impl Token {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let role = match self.role {
            May::Trigger => Role::Trigger,
            May::Viewer => Role::Viewer,
            May::Operator => Role::Operator,
        };
        let random: String = (0..4).map(|_| format!("{:016x}", SystemEntropy.next())).collect();
        let token = format!("aegis_{random}");
        let (name, sha256) = (&self.name, hash(&token));
        let key = key(name)?;
        if global.json() {
            table::json(&serde_json::json!({ "name": name, "token": token, "sha256": sha256, "role": role }));
            return Ok(Exit::Ok);
        }
        table::text(&token);
        say(&format!(
            "shown once; let `aegis.toml` know it by its hash:\n\n[serve.tokens.{key}]\nsha256 = \"{sha256}\"\nrole = \"{}\"",
            role.word()
        ));
        Ok(Exit::Ok)
    }
}

/// A name as a key of TOML: quoted, unless it is a bare one.
fn key(name: &str) -> Result<String, CallError> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        let error = CallError::argument("a token needs the name of who holds it, on one line");
        return Err(error.hint("decisions made with it are journaled under that name"));
    }
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let quoted = || format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    Ok(if name.chars().all(is_bare) { name.to_owned() } else { quoted() })
}
