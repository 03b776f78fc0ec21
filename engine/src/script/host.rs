//! Registers in Rhai what the registry describes, and the builtins. Every host function is the same few
//! lines: values to JSON, one trailing map as options, through the gate, JSON to a value.

use rhai::plugin::RhaiFunc;
use rhai::{
    Array, Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, Map, Module, NativeCallContext, Position,
    Shared,
};
use serde_json::Value;
use std::any::TypeId;

use super::convert::{lazily_from_json, to_json};
use super::errors::{no_run, raised};
use crate::error::CallError;
use crate::function::{Function, Registry, kind_of};
use crate::gate;
use crate::journal::{Body, Place};
use crate::run::frame::{Here, place};
use crate::run::interrupt::Interrupt;
use crate::run::limits::outside;
use crate::run::{parallel::parallel, step::step};

type Raised<T> = Result<T, Box<EvalAltResult>>;

pub(crate) fn register(engine: &mut Engine, registry: &Registry) {
    for module in registry.modules() {
        let mut namespace = Module::new();
        for function in &module.functions {
            register_function(&mut namespace, module.name, function);
        }
        engine.register_static_module(module.name, Shared::new(namespace));
    }
    register_builtins(engine);
}

/// One native function for each number of arguments up to all and options; wrong numbers are refused by the
/// signature, in its words.
fn register_function(namespace: &mut Module, module: &str, function: &Function) {
    let (_, most) = function.signature.arity();
    for arity in 0..=most + 1 {
        let name = format!("{module}::{}", function.description.name);
        let signature = function.signature.clone();
        let native =
            move |context: Option<NativeCallContext>, given: &mut [&mut Dynamic]| -> Raised<Dynamic> {
                let Some(context) = context else { return Err(raised(no_run(), &name, Position::NONE)) };
                let answer = call(&context, &name, &signature, given);
                answer.map_err(|interrupt| raised(interrupt, &name, context.call_position()))
            };
        // Volatile and not pure: Rhai's optimizer must never call it by itself.
        let native = RhaiFunc::Pure {
            func: Shared::new(native),
            has_context: true,
            is_pure: false,
            is_volatile: true,
        };
        let types = vec![TypeId::of::<Dynamic>(); arity];
        FuncRegistration::new(function.description.name).set_into_module_raw(namespace, types, native);
    }
}

fn call(
    context: &NativeCallContext<'_>,
    name: &str,
    signature: &crate::function::Signature,
    given: &mut [&mut Dynamic],
) -> Result<Dynamic, Interrupt> {
    let frame = Here::get().ok_or_else(no_run)?;
    let vault = &frame.session.vault;
    let mut values: Vec<Value> =
        given.iter().map(|value| to_json(value, vault)).collect::<Result<_, CallError>>()?;
    let options = split_options(signature, &mut values)?;
    let arguments = signature.assemble(values, options).map_err(|error| CallError {
        hint: error.hint.clone().or_else(|| Some(format!("it is `{}`", signature.line(name)))),
        ..CallError::argument(format!("`{name}`: {error}"))
    })?;
    let answer = outside(|| gate::call(&frame, place(context), name, arguments))?;
    Ok(lazily_from_json(answer, vault))
}

/// A trailing map is the options, unless it stands where a positional argument takes a map.
fn split_options(
    signature: &crate::function::Signature,
    values: &mut Vec<Value>,
) -> Result<Option<serde_json::Map<String, Value>>, CallError> {
    let (least, most) = signature.arity();
    let Some(last) = values.len().checked_sub(1) else { return Ok(None) };
    let positional = signature.positional().nth(last);
    let fits = positional.is_some_and(|parameter| parameter.shape.accepts(&values[last]));
    if values.len() <= least || values.len() <= most && fits {
        return Ok(None);
    }
    match values.pop() {
        Some(Value::Object(options)) => Ok(Some(options)),
        Some(other) => Err(CallError::argument(format!("options must be a map, not {}", kind_of(&other)))
            .hint("write them as `#{ name: value }`")),
        None => Ok(None),
    }
}

fn register_builtins(engine: &mut Engine) {
    engine.register_fn("runbook", |_: Map| ());
    engine.register_fn("step", |context: NativeCallContext, name: &str, body: FnPtr| {
        step(&context, name, None, body)
            .map_err(|interrupt| raised(interrupt, "step", context.call_position()))
    });
    engine.register_fn("step", |context: NativeCallContext, name: &str, options: Map, body: FnPtr| {
        step(&context, name, Some(options), body)
            .map_err(|interrupt| raised(interrupt, "step", context.call_position()))
    });
    engine.register_fn("parallel", |context: NativeCallContext, items: Array, body: FnPtr| {
        parallel(&context, items, None, body)
            .map_err(|interrupt| raised(interrupt, "parallel", context.call_position()))
    });
    engine.register_fn("parallel", |context: NativeCallContext, items: Array, options: Map, body: FnPtr| {
        parallel(&context, items, Some(options), body)
            .map_err(|interrupt| raised(interrupt, "parallel", context.call_position()))
    });
    engine.register_fn("log", |context: NativeCallContext, value: Dynamic| {
        let text = context.call_native_fn_raw("to_string", true, &mut [&mut value.clone()]);
        let text = text.map_or_else(|_| value.to_string(), |text| text.to_string());
        note(&text, &place(&context)).map_err(|interrupt| raised(interrupt, "log", context.call_position()))
    });
    // Rhai hands no context to `print` and cannot be refused there; a mismatch shows at the next call.
    engine.on_print(|text| drop(note(text, &Place::default())));
    engine.on_debug(|text, _, _| drop(note(text, &Place::default())));
}

/// Says something to the people who watch; rides along in the journal.
fn note(text: &str, place: &Place) -> Result<(), Interrupt> {
    let frame = Here::get().ok_or_else(no_run)?;
    let slot = frame.next("log", place)?;
    if frame.recorded.is_noted(&slot.key) {
        return Ok(());
    }
    let (frame_key, text) = (frame.key.clone(), frame.session.vault.masked(text));
    frame.session.ride(Body::Noted { note: slot.key, frame: frame_key, ordinal: slot.ordinal, text });
    Ok(())
}
