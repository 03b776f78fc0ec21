//! The functions that the engine itself puts into scripts, without a namespace. `check` knows them from
//! here, reference pages list them from here; the engine registers them.

/// One function of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Name.
    pub name: &'static str,
    /// Fewest and most arguments.
    pub arity: (usize, usize),
    /// Signature line.
    pub signature: &'static str,
    /// Keys of its options map.
    pub options: &'static [&'static str],
    /// One sentence.
    pub summary: &'static str,
}

/// All of them.
pub const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "runbook",
        arity: (1, 1),
        signature: "runbook(header)",
        options: &[],
        summary: "Says what the runbook is, needs and takes; read before anything runs.",
    },
    Builtin {
        name: "step",
        arity: (2, 3),
        signature: "step(name, [options], body)",
        options: &["retry", "timeout", "when", "on_failure", "approval", "undo"],
        summary: "Groups calls under a name and answers what its body returns.",
    },
    Builtin {
        name: "parallel",
        arity: (2, 3),
        signature: "parallel(items, [options], body)",
        options: &["max", "collect"],
        summary: "Runs a body for each item side by side and answers the results in the items' order.",
    },
    Builtin {
        name: "log",
        arity: (1, 1),
        signature: "log(text)",
        options: &[],
        summary: "Tells the people who watch the run something.",
    },
    Builtin {
        name: "print",
        arity: (0, 1),
        signature: "print(value)",
        options: &[],
        summary: "The same as `log`, for any value.",
    },
    Builtin {
        name: "debug",
        arity: (1, 1),
        signature: "debug(value)",
        options: &[],
        summary: "Logs a value with its structure.",
    },
];
