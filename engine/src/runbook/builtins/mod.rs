//! The functions that the engine itself puts into scripts, without a namespace. Each is described once: `check`
//! knows them from here, reference pages are made from here, and the engine reads their options by the same
//! structs.
//!
//! - `header`, `step`, `parallel`: what their keys and options mean

mod header;
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
    /// Its options, as the trailing options map of a host function; of the header, its keys.
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
        header::described(),
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
    use crate::function::Parameter;
    use crate::runbook::{Runbook, Sources};

    /// What is wrong with a header that has nothing but a key.
    fn told(header: &str) -> String {
        let text = format!("runbook(#{{ {header} }});");
        Runbook::from_sources(Sources::new("a.rhai", text))
            .map_or_else(|wrong| wrong.render(false), |_| String::new())
    }

    #[test]
    fn the_header_is_read_by_the_keys_that_are_described() {
        let keys = Builtin::options_of("runbook");
        for key in &keys.parameters {
            assert!(!told(&format!("{}: ()", key.name)).contains("has no key"), "{}", key.name);
        }
        let names: Vec<&str> = keys.parameters.iter().map(|key| key.name.as_str()).collect();
        let unknown = told("x9: 1");
        assert!(unknown.contains(&format!("keys are {}", crate::text::list(&names))), "{unknown}");
        let params = keys.parameters.iter().find(|key| key.name == "params").unwrap();
        let of_each: &[Parameter] = &params.shape.values.as_ref().unwrap().fields;
        for key in of_each {
            assert!(
                !told(&format!("params: #{{ p: #{{ {}: () }} }}", key.name)).contains("has no key"),
                "{}",
                key.name
            );
        }
        let names: Vec<&str> = of_each.iter().map(|key| key.name.as_str()).collect();
        let unknown = told("params: #{ p: #{ x9: 1 } }");
        assert!(unknown.contains(&format!("keys are {}", crate::text::list(&names))), "{unknown}");
    }

    #[test]
    fn every_option_is_described() {
        for builtin in BUILTINS.iter() {
            assert!(!builtin.example.is_empty(), "{} has no example", builtin.name);
            let defects: Vec<String> = builtin.options.defects().collect();
            assert!(defects.is_empty(), "{}: {defects:?}", builtin.name);
        }
    }
}
