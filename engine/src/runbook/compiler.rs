//! The one place that configures Rhai. Every limit is explicit, because the library's defaults differ
//! between debug and release builds; the clock, sleeping and `eval` are not there at all.

use std::sync::OnceLock;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicBlobPackage, BasicFnPackage, BasicIteratorPackage,
    BasicMapPackage, BasicMathPackage, BasicStringPackage, BitFieldPackage, LanguageCorePackage,
    LogicPackage, MoreStringPackage, Package,
};
use rhai::{Engine, EvalAltResult, OptimizationLevel, Shared, Token, def_package};

use super::bounded;

/// The constant in which the main script finds its parameters.
pub const PARAMS: &str = "params";

/// Calls of script functions inside each other. A nested step takes three levels.
const CALL_LEVELS: usize = 96;
/// Nesting of expressions, at the top level and inside functions.
const EXPRESSION_DEPTH: usize = 128;
/// Variables alive at once in one scope.
const VARIABLES: usize = 10_000;
/// Functions and closures of one script.
const FUNCTIONS: usize = 10_000;
/// Imports of one run.
const MODULES: usize = 1_000;
/// Bytes of one string: a large manifest fits, a runaway concatenation does not.
pub const STRING_BYTES: usize = 16 << 20;
/// Items of one array with everything in it: the pods of the largest cluster that Kubernetes is made for
/// (<https://kubernetes.io/docs/setup/best-practices/cluster-large/>). Rhai counts them all at every change, so a loop
/// that pushes without an end takes long to get here, and twice as many take four times as long.
pub const ARRAY_ITEMS: usize = 150_000;
/// Keys of one map with everything in it.
const MAP_KEYS: usize = 1 << 20;

def_package! {
    /// What scripts get from Rhai: everything but time, which comes from host functions.
    Sealed(lib) :
        LanguageCorePackage, ArithmeticPackage, BasicStringPackage, BasicIteratorPackage, BasicFnPackage,
        BitFieldPackage, LogicPackage, BasicMathPackage, BasicArrayPackage, BasicBlobPackage,
        BasicMapPackage, MoreStringPackage
    {}
}

/// An engine with limits and the sealed standard functions: it parses every script, and a run adds its host
/// functions to it. Operations, memory and wall time are counted by the run.
#[must_use]
pub fn compiler() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH)
        .set_max_variables(VARIABLES)
        .set_max_functions(FUNCTIONS)
        .set_max_modules(MODULES)
        .set_max_string_size(STRING_BYTES)
        .set_max_array_size(ARRAY_ITEMS)
        .set_max_map_size(MAP_KEYS)
        .set_max_operations(0)
        .set_strict_variables(false)
        .set_fail_on_invalid_map_property(false)
        .disable_symbol("eval");
    engine.register_global_module(Shared::clone(standard()));
    bounded::register(&mut engine);
    #[expect(deprecated, reason = "not deprecated: the library marks its volatile interfaces so")]
    engine.on_parse_token(|token, _, _| unreserved(token));
    engine.register_fn("sleep", |_: i64| no_sleep()).register_fn("sleep", |_: f64| no_sleep());
    engine
}

/// Words that Rhai reserves and that mean something to it, or that people write by mistake.
const RESERVED: [&str; 14] = [
    "Fn",
    "call",
    "curry",
    "debug",
    "eval",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "nil",
    "null",
    "print",
    "super",
    "this",
    "type_of",
];

/// Rhai reserves some forty words for languages it may become one day, among them keys of Kubernetes objects and
/// of our own options (`default`, `match`, `package`, `until`). Here they are names like any other; the price is
/// the loop `do { } until`, which `do { } while !` says as well.
fn unreserved(token: Token) -> Token {
    match token {
        Token::Until => Token::Identifier(Box::new("until".into())),
        Token::Reserved(word) if is_word(&word) && !RESERVED.contains(&word.as_str()) => {
            Token::Identifier(word)
        }
        other => other,
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '_')
}

fn standard() -> &'static Shared<rhai::Module> {
    static STANDARD: OnceLock<Shared<rhai::Module>> = OnceLock::new();
    STANDARD.get_or_init(|| Sealed::new().as_shared_module())
}

/// Rhai's own `sleep` would block a run where no cancel reaches it.
fn no_sleep() -> Result<(), Box<EvalAltResult>> {
    Err("there is no `sleep`; use `time::sleep`".into())
}

/// Names and argument counts of the standard functions.
pub(super) fn standard_functions() -> Vec<(String, usize)> {
    let functions = compiler().collect_fn_metadata(
        None,
        |function| Some((function.metadata.name.to_string(), function.metadata.num_params)),
        true,
    );
    // Keywords that are no functions to Rhai but calls to an author.
    let keywords =
        [("Fn", 1), ("type_of", 1), ("is_shared", 1), ("is_def_var", 1), ("is_def_fn", 2), ("is_def_fn", 3)];
    let keywords = keywords.iter().map(|(name, count)| ((*name).to_owned(), *count));
    functions.into_iter().chain(keywords).collect()
}
