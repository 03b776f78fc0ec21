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
                "name": one.name, "signature": one.signature, "summary": one.summary, "options": one.options,
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
    let parameters = |parameters: Vec<&Parameter>| {
        let facts = parameters.into_iter().map(|one| {
            json!({
                "name": one.name, "kind": one.kind, "help": one.help, "required": one.required,
                "default": one.default, "choices": one.choices,
            })
        });
        facts.collect::<Vec<_>>()
    };
    json!({
        "name": name,
        "signature": function.signature.line(&name),
        "summary": description.summary,
        "effect": description.effect.word(),
        "needs": description.capability,
        "returns": description.returns,
        "undo": description.undo,
        "fails_when": description.fails_when,
        "arguments": parameters(function.signature.positional().collect()),
        "options": parameters(function.signature.options().collect()),
        "example": description.example,
    })
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
    fact("Needs", &quoted(description.capability));
    fact("Returns", description.returns);
    fact("Undo", description.undo);
    fact("Fails when", description.fails_when);
    let positional: Vec<&Parameter> = function.signature.positional().collect();
    let options: Vec<&Parameter> = function.signature.options().collect();
    page.push_str(&parameters("Arguments", &positional));
    page.push_str(&parameters("Options", &options));
    let _ = write!(page, "\n```rhai\n{}\n```\n", description.example.trim());
    page
}

/// The page of the functions that need no module.
fn script() -> String {
    let mut page = "# script\n\nFunctions of the engine itself; they need no module.\n".to_owned();
    for builtin in BUILTINS {
        let _ = write!(page, "\n{}", self::builtin(builtin));
    }
    page
}

/// The section of one of them.
fn builtin(builtin: &Builtin) -> String {
    let mut page = format!("## {}\n\n    {}\n\n{}\n", builtin.name, builtin.signature, builtin.summary);
    if !builtin.options.is_empty() {
        let _ = write!(page, "\nOptions: {}.\n", aegis_engine::text::list(builtin.options));
    }
    page
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn parameters(heading: &str, parameters: &[&Parameter]) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = parameters.iter().map(|parameter| line(parameter)).collect();
    format!("\n{heading}:\n\n{}\n", lines.join("\n"))
}

fn line(parameter: &Parameter) -> String {
    let mut line = format!("- `{}` ({}", parameter.name, parameter.kind);
    if let Some(default) = &parameter.default {
        let _ = write!(line, ", default `{default}`");
    } else if parameter.required {
        line.push_str(", required");
    }
    let help = parameter.help.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = write!(line, "): {help}");
    if !parameter.choices.is_empty() {
        let _ = write!(line, " One of `{}`.", parameter.choices.join("`, `"));
    }
    line
}
