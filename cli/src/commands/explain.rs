//! `aegis explain`: the page of an error code: what it means, how to fix it, usual causes.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::did_you_mean;
use clap::Args;
use serde::Serialize;

use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, as errors show it: `A0102`. Default: list them all.
    code: Option<String>,
}

#[derive(Serialize)]
struct Line {
    code: &'static str,
    title: &'static str,
}

impl Explain {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let Some(code) = self.code else {
            let lines: Vec<Line> =
                codes::ALL.iter().map(|entry| Line { code: entry.code.0, title: entry.title }).collect();
            table::list(global, &lines, &["CODE", "MEANS"], |line| {
                vec![line.code.to_owned(), line.title.to_owned()]
            });
            return Ok(Exit::Ok);
        };
        let Some(entry) = codes::explain(&code) else {
            let known = codes::ALL.iter().map(|entry| entry.code.0);
            let hint = did_you_mean(&code.to_uppercase(), known)
                .unwrap_or_else(|| "`aegis explain` lists all codes".to_owned());
            return Err(CallError::argument(format!("there is no code `{code}`")).hint(hint).into());
        };
        if global.json() {
            table::json(
                &serde_json::json!({ "code": entry.code.0, "title": entry.title, "page": entry.page }),
            );
        } else {
            table::text(entry.page);
        }
        Ok(Exit::Ok)
    }
}
