//! Puts back what the recorder took out: repeated parts (`@same:SEQ#/pointer`) and long texts
//! (`@blob:ID`). A long text of which only the beginning was kept is made whole again when it is one
//! character repeated; its length and hash tell.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Reads the lines of a file, whole.
pub(super) fn unpack(path: &Path) -> anyhow::Result<Vec<Value>> {
    let lines = read_lines(path)?;
    let blobs = blobs(&path.with_extension("blobs.jsonl"))?;
    let by_number = lines.iter().map(|line| (line["seq"].as_u64().unwrap_or_default(), line)).collect();
    let parts = Parts { by_number, blobs };
    lines.iter().map(|line| parts.whole(line)).collect()
}

fn read_lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("line {} is not JSON", index + 1))
        })
        .collect()
}

/// The long texts beside a recording, by id.
fn blobs(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    if !path.exists() {
        return Ok(HashMap::new());
    }
    let lines = read_lines(path)?;
    Ok(lines.iter().filter_map(|line| Some((line["blob"].as_str()?.to_owned(), long_text(line)?))).collect())
}

fn long_text(line: &Value) -> Option<String> {
    let kept = line["value"].as_str()?;
    if !line["truncated"].as_bool().unwrap_or_default() {
        return Some(kept.to_owned());
    }
    let length = usize::try_from(line["len"].as_u64()?).ok()?;
    let last = kept.chars().last()?;
    let whole: String = kept.chars().chain(std::iter::repeat(last)).take(length).collect();
    (hex::encode(Sha256::digest(&whole)) == line["sha256"].as_str()?).then_some(whole)
}

/// What stands for a text that was not kept: base64, as data is, and the same wherever the text was.
fn lost(id: &str) -> String {
    STANDARD.encode(format!("{LOST} {id}"))
}

/// How the stand-in of a lost text begins.
pub(super) const LOST: &str = "not recorded:";

struct Parts<'a> {
    by_number: HashMap<u64, &'a Value>,
    blobs: HashMap<String, String>,
}

impl Parts<'_> {
    fn whole(&self, value: &Value) -> anyhow::Result<Value> {
        Ok(match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.whole(value)?)))
                    .collect::<anyhow::Result<_>>()?,
            ),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.whole(item)).collect::<anyhow::Result<_>>()?)
            }
            Value::String(text) => match (text.strip_prefix("@same:"), text.strip_prefix("@blob:")) {
                (Some(place), _) if place.contains('#') => self.same(place)?,
                (_, Some(id)) => Value::from(self.blobs.get(id).cloned().unwrap_or_else(|| lost(id))),
                _ => value.clone(),
            },
            other => other.clone(),
        })
    }

    /// What stands at `SEQ#/pointer`; what the pointer passes through may be packed itself.
    fn same(&self, place: &str) -> anyhow::Result<Value> {
        let lost = || anyhow::anyhow!("`@same:{place}` leads nowhere");
        let (number, pointer) = place.split_once('#').ok_or_else(lost)?;
        let mut value = Value::clone(self.by_number.get(&number.parse()?).ok_or_else(lost)?);
        for part in pointer.split('/').skip(1) {
            if value.is_string() {
                value = self.whole(&value)?;
            }
            value = match &value {
                Value::Array(items) => items.get(part.parse::<usize>()?).ok_or_else(lost)?.clone(),
                other => other.get(part).ok_or_else(lost)?.clone(),
            };
        }
        self.whole(&value)
    }
}
