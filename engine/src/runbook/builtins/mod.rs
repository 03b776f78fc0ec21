//! The functions that the engine itself puts into scripts, without a namespace. Each is described once: `check`
//! knows them from here, reference pages are made from here, and the engine reads their options by the same
//! structs.
//!
//! - `step`, `parallel`: what their options mean

mod parallel;
mod step;

use std::sync::LazyLock;

use schemars::JsonSchema;

pub(crate) use parallel::ParallelOptions;
pub(crate) use step::{OnStepFailure, StepOptions, arguments_of};

use crate::function::Signature;

/// One function of the engine.
#[derive(Debug, Clone)]
pub struct Builtin {
    /// Name.
    pub name: &'static str,
    /// Fewest and most arguments.
    pub arity: (usize, usize),
    /// Signature line.
    pub signature: &'static str,
    /// Its options, as the trailing options map of a host function.
    pub options: Signature,
    /// One sentence.
    pub summary: &'static str,
    /// What else there is to know, for the reference page.
    pub page: &'static str,
    /// A call that works, as a person would write it. Tests run it.
    pub example: &'static str,
}

/// All of them.
pub static BUILTINS: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    vec![
        Builtin {
            name: "runbook",
            arity: (1, 1),
            signature: "runbook(header)",
            options: Signature::default(),
            summary: "Says what the runbook is, needs and takes; read before anything runs.",
            page: "The header is a literal map at the top level of the file. `aegis new` writes one to start from.",
            example: "runbook(#{ title: \"Restart the shop\", needs: [\"k8s:change:shop/*\"], timeout: \"1h\" })",
        },
        step::described(),
        parallel::described(),
        Builtin {
            name: "log",
            arity: (1, 1),
            signature: "log(text)",
            options: Signature::default(),
            summary: "Tells the people who watch the run something.",
            page: "",
            example: "log(\"the old nodes are empty\")",
        },
        Builtin {
            name: "print",
            arity: (0, 1),
            signature: "print(value)",
            options: Signature::default(),
            summary: "The same as `log`, for any value.",
            page: "",
            example: "print([1, 2, 3])",
        },
        Builtin {
            name: "debug",
            arity: (1, 1),
            signature: "debug(value)",
            options: Signature::default(),
            summary: "Logs a value with its structure.",
            page: "",
            example: "debug(#{ pool: \"blue\", nodes: 3 })",
        },
    ]
});

impl Builtin {
    /// One of them by its name; there must be one.
    pub(crate) fn options_of(name: &str) -> &'static Signature {
        static NONE: LazyLock<Signature> = LazyLock::new(Signature::default);
        BUILTINS.iter().find(|builtin| builtin.name == name).map_or(&NONE, |builtin| &builtin.options)
    }
}

/// The options that a struct describes.
fn options<T: JsonSchema>() -> Signature {
    Signature::new(&[], &schemars::schema_for!(T))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_described() {
        for builtin in BUILTINS.iter() {
            assert!(!builtin.example.is_empty(), "{} has no example", builtin.name);
            let defects: Vec<String> = builtin.options.defects().collect();
            assert!(defects.is_empty(), "{}: {defects:?}", builtin.name);
        }
    }
}
