//! `text`: what a runbook does to text without touching the outside. Parsing and rendering of JSON, YAML and
//! TOML, encodings and hashes, versions, patterns, and the shaping of lines.
//!
//! Every function but `uuid` is pure: if an argument was secret, so is the answer. There is no `client.rs`,
//! because nothing here does IO.

mod digest;
mod pattern;
mod shape;
mod structured;
mod version;

#[cfg(test)]
mod tests;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Description, Effect, Function, Module};
use aegis_engine::runbook::{ARRAY_ITEMS, STRING_BYTES};
use serde_json::Value;

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "text",
        summary: "Parses, renders, encodes, compares and shapes text.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<structured::ParseJson>(),
            Function::new::<structured::RenderJson>(),
            Function::new::<structured::ParseYaml>(),
            Function::new::<structured::RenderYaml>(),
            Function::new::<structured::ParseToml>(),
            Function::new::<structured::RenderToml>(),
            Function::new::<digest::Base64Encode>(),
            Function::new::<digest::Base64Decode>(),
            Function::new::<digest::Sha256Of>(),
            Function::new::<digest::UuidOf>(),
            Function::new::<version::SemverCompare>(),
            Function::new::<version::SemverSatisfies>(),
            Function::new::<pattern::Matches>(),
            Function::new::<pattern::Find>(),
            Function::new::<pattern::FindAll>(),
            Function::new::<pattern::Replace>(),
            Function::new::<shape::Trim>(),
            Function::new::<shape::Lines>(),
            Function::new::<shape::Indent>(),
            Function::new::<shape::Join>(),
            Function::new::<shape::Slug>(),
        ],
    }
}

/// Looks at the size of an answer before the memory for it is taken.
fn bounded(bytes: usize) -> Result<(), CallError> {
    if bytes <= STRING_BYTES {
        return Ok(());
    }
    let most = STRING_BYTES >> 20;
    Err(CallError::new(codes::LIMIT, format!("the text would be larger than {most} MiB"))
        .hint("write it in parts, or to a file with `storage::put`"))
}

/// Gathers what a script may be given at once.
fn gathered(items: impl Iterator<Item = Value>) -> Result<Value, CallError> {
    let items: Vec<Value> = items.take(ARRAY_ITEMS + 1).collect();
    if items.len() <= ARRAY_ITEMS {
        return Ok(Value::Array(items));
    }
    Err(CallError::new(codes::LIMIT, format!("there would be more than {ARRAY_ITEMS} items"))
        .hint("ask for less: a narrower pattern, or a part of the text"))
}

/// What all pure functions have in common.
const fn pure(name: &'static str) -> Description {
    Description { pure: true, undo: "none: nothing changes", ..Description::of(name, Effect::Ambient) }
}
