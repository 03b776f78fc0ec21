//! The halt: no effect of any run happens until it is lifted.

use std::sync::Arc;

use aegis_engine::journal::{Halt, Person};
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use super::answer::{Answer, Refused, blocking};
use super::asking::{Body, NoBody};
use crate::Console;
use crate::token::Holder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    reason: String,
}

pub(super) async fn show(State(console): State<Arc<Console>>) -> Answer<Option<Halt>> {
    blocking(move || Ok(Json(console.journals.halt()?))).await
}

pub(super) async fn halt(
    State(console): State<Arc<Console>>,
    Extension(holder): Extension<Option<Holder>>,
    Body(Reason { reason }): Body<Reason>,
) -> Answer<Halt> {
    if reason.trim().is_empty() {
        return Err(Refused::wrong(
            "a halt needs a reason",
            "say why: who finds everything halted wants to know",
        ));
    }
    let person = Person(holder.map(|holder| holder.name).unwrap_or_default());
    blocking(move || {
        let halt = Halt { person, reason, at: console.clock.now() };
        console.journals.set_halt(Some(&halt))?;
        Ok(Json(halt))
    })
    .await
}

pub(super) async fn unhalt(State(console): State<Arc<Console>>, _: NoBody) -> Answer<Option<Halt>> {
    blocking(move || {
        console.journals.set_halt(None)?;
        Ok(Json(None))
    })
    .await
}
