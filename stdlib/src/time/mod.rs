//! `time`: instants, waits and lengths of time. Instants are texts (RFC 3339, in UTC unless a zone is asked
//! for), so that they survive the journal and read well in it. The clock is the engine's; there is no
//! `client.rs`, because nothing here does IO.

mod convert;
mod instant;
mod wait;

#[cfg(test)]
mod tests;

use aegis_engine::function::{Function, Module};

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "time",
        summary: "Tells the time, waits, and computes with instants, zones and lengths of time.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<wait::Now>(),
            Function::new::<wait::Sleep>(),
            Function::new::<wait::SleepUntil>(),
            Function::new::<wait::Since>(),
            Function::new::<convert::Parse>(),
            Function::new::<convert::Format>(),
            Function::new::<convert::Add>(),
            Function::new::<convert::InZone>(),
            Function::new::<convert::Seconds>(),
            Function::new::<convert::Human>(),
        ],
    }
}
