//! The reference: Markdown or JSON made from the one description of each host function. `aegis docs` prints
//! it, `aegis docs --markdown DIR` writes it, a test compares.

use std::fmt::Write;

use aegis_engine::function::{Function, Module, Parameter};
use aegis_engine::runbook::{BUILTINS, Builtin};
use serde_json::{Value, json};

/// Name of the page of the engine's own functions.
pub(crate) const SCRIPT: &str = "script";

/// What a page is about.
pub(crate) enum Page<'a> {
    /// The functions that need no module.
    Script,
    /// One of them.
    Builtin(&'a Builtin),
    /// A module.
    Module(&'a Module),
    /// A function, and the name of its module.
    Function(&'a str, &'a Function),
}

impl Page<'_> {
    /// For people: Markdown.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Script => script(),
            Self::Builtin(one) => builtin(one),
            Self::Module(one) => module(one),
            Self::Function(module, one) => function(module, one),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Script => {
                let functions: Vec<Value> = BUILTINS.iter().map(|one| Page::Builtin(one).json()).collect();
                json!({ "name": SCRIPT, "functions": functions })
            }
            Self::Builtin(one) => json!({
                "name": one.name, "signature": one.signature, "summary": one.summary, "page": one.page,
                "options": facts(one.options.options()), "example": one.example,
            }),
            Self::Module(one) => {
                let functions =
                    one.functions.iter().map(|function| Page::Function(one.name, function).json());
                json!({
                    "name": one.name, "summary": one.summary, "page": one.page.trim(),
                    "functions": functions.collect::<Vec<_>>(),
                })
            }
            Self::Function(module, one) => described(module, one),
        }
    }
}

fn described(module: &str, function: &Function) -> Value {
    let description = &function.description;
    let name = format!("{module}::{}", description.name);
    json!({
        "name": name,
        "signature": function.signature.line(&name),
        "summary": description.summary,
        "effect": description.effect.word(),
        "needs": description.needs().unwrap_or_default(),
        "returns": description.returns,
        "undo": description.undo,
        "fails_when": description.fails_when,
        "arguments": facts(function.signature.positional()),
        "options": facts(function.signature.options()),
        "example": description.example,
    })
}

/// What there is to know about arguments, and about the keys of those that are maps.
fn facts<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> Vec<Value> {
    let fact = |one: &Parameter| {
        json!({
            "name": one.name, "kind": one.shape.kind, "format": one.shape.format, "help": one.help,
            "required": one.required, "default": one.default, "choices": one.shape.choices,
            "keys": facts(one.shape.fields.iter()), "keys_of_each": facts(of_each(one)),
        })
    };
    parameters.map(fact).collect()
}

/// The page of a module.
fn module(module: &Module) -> String {
    let mut page = format!("# {}\n\n{}\n", module.name, module.summary);
    if !module.page.trim().is_empty() {
        let _ = write!(page, "\n{}\n", module.page.trim());
    }
    for function in &module.functions {
        let _ = write!(page, "\n{}", self::function(module.name, function));
    }
    page
}

/// The section of a function.
fn function(module: &str, function: &Function) -> String {
    let description = &function.description;
    let name = format!("{module}::{}", description.name);
    let mut page =
        format!("## {name}\n\n    {}\n\n{}\n\n", function.signature.line(&name), description.summary);
    let mut fact = |word: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(page, "- *{word}*: {text}");
        }
    };
    fact("Effect", description.effect.word());
    fact("Needs", &description.needs().map_or_else(|| "nothing".to_owned(), |needs| format!("`{needs}`")));
    fact("Returns", description.returns);
    fact("Undo", description.undo);
    fact("Fails when", description.fails_when);
    page.push_str(&parameters("Arguments", function.signature.positional()));
    page.push_str(&parameters("Options", function.signature.options()));
    page.push_str(&example(description.example));
    page
}

/// The page of the functions that need no module.
fn script() -> String {
    let mut page =
        format!("# script\n\nFunctions of the engine itself; they need no module.\n\n{DURATION}\n");
    for builtin in BUILTINS.iter() {
        let _ = write!(page, "\n{}", self::builtin(builtin));
    }
    page
}

/// The section of one of them.
fn builtin(builtin: &Builtin) -> String {
    let mut page = format!("## {}\n\n    {}\n\n{}\n", builtin.name, builtin.signature, builtin.summary);
    if !builtin.page.is_empty() {
        let _ = write!(page, "\n{}\n", builtin.page);
    }
    let optional = builtin.arity.0 < builtin.arity.1;
    page.push_str(&parameters(if optional { "Options" } else { "Keys" }, builtin.options.options()));
    page.push_str(&example(builtin.example));
    page
}

fn example(text: &str) -> String {
    format!("\n```rhai\n{}\n```\n", text.trim())
}

/// What reads as a duration, said once for all pages.
const DURATION: &str = "A *duration*, here and wherever an argument of a module is one, is a text like `\"90s\"`, `\"5m\"`, \
                        `\"1h 30m\"` or `\"2d\"`, or a whole number of seconds.";

fn parameters<'a>(heading: &str, parameters: impl Iterator<Item = &'a Parameter>) -> String {
    let lines = lines(parameters, 0);
    if lines.is_empty() { lines } else { format!("\n{heading}:\n\n{lines}") }
}

/// The keys of each value of a map whose own keys are names.
fn of_each(parameter: &Parameter) -> impl Iterator<Item = &Parameter> {
    parameter.shape.values.iter().flat_map(|each| &each.fields)
}

/// A line for each, and below those that are maps one for each of their keys.
fn lines<'a>(parameters: impl Iterator<Item = &'a Parameter>, depth: usize) -> String {
    let below = |one: &Parameter| lines(one.shape.fields.iter().chain(of_each(one)), depth + 1);
    parameters.map(|one| format!("{}{}\n{}", "  ".repeat(depth), line(one), below(one))).collect()
}

fn line(parameter: &Parameter) -> String {
    let mut line = format!("- `{}` ({}", parameter.name, parameter.shape.word());
    if let Some(default) = &parameter.default {
        let _ = write!(line, ", default `{default}`");
    } else if parameter.required {
        line.push_str(", required");
    }
    let help = parameter.help.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = write!(line, "): {help}");
    let choices = &parameter.shape.choices;
    if !choices.is_empty() {
        let _ = write!(line, " One of `{}`.", choices.join("`, `"));
    }
    line
}
