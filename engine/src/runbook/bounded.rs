//! Standard functions that could multiply what they are given, with a look at the size before the memory is taken: Rhai
//! itself looks when the answer is there.

use rhai::{Engine, EvalAltResult, ImmutableString, Position};

use super::compiler::STRING_BYTES;

/// Registered on the engine, these are found before the standard ones.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("replace", |text: &mut ImmutableString, find: &str, by: &str| replace(text, find, by))
        .register_fn("replace", |text: &mut ImmutableString, find: char, by: &str| {
            replace(text, find.encode_utf8(&mut [0; 4]), by)
        });
}

fn replace(text: &mut ImmutableString, find: &str, by: &str) -> Result<(), Box<EvalAltResult>> {
    if text.is_empty() {
        return Ok(());
    }
    let found = text.matches(find).count();
    let size = found.saturating_mul(by.len()).saturating_add(text.len() - found * find.len());
    if size > STRING_BYTES {
        let what = "Length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
    }
    *text = text.replace(find, by).into();
    Ok(())
}
