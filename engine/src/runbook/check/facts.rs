//! What the rules look at: for each body (the top level of a script, a function, a closure) its calls,
//! writes, variables and closures. Collected in one walk, so that no rule walks a syntax tree itself.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnAccess, FnCallExpr, FnPtr, Ident, Position, Stmt};

use crate::runbook::Sources;

/// All bodies of all scripts.
pub(super) struct Facts {
    pub(super) bodies: Vec<Body>,
    /// What each script imports, by alias.
    pub(super) imports: BTreeMap<String, BTreeMap<String, Import>>,
    /// Keys of map literals anywhere: a closure in a map is called like a method.
    pub(super) keys: BTreeSet<String>,
}

/// One import of a script.
pub(super) struct Import {
    /// Name of the source, where it could be found.
    pub(super) found: Option<String>,
    /// Of its alias.
    pub(super) position: Position,
}

/// The top level of a script, a function or a closure.
pub(super) struct Body {
    pub(super) source: String,
    /// `None`: the top level.
    pub(super) function: Option<String>,
    pub(super) private: bool,
    pub(super) params: Vec<String>,
    pub(super) calls: Vec<Call>,
    pub(super) writes: Vec<Write>,
    /// Closures made here, by their generated name.
    pub(super) closures: BTreeMap<String, Closure>,
    /// Variables read here, without those of modules.
    pub(super) variables: Vec<(String, Position)>,
    /// Variables made here.
    pub(super) locals: BTreeSet<String>,
}

/// One call.
pub(super) struct Call {
    pub(super) callee: FnCallExpr,
    pub(super) position: Position,
    pub(super) method: bool,
    /// Stands for the block around the call; calls in one block have the same. `None`: in a branch.
    pub(super) block: Option<usize>,
}

/// A variable that is assigned to or changed in place.
pub(super) struct Write {
    pub(super) variable: String,
    pub(super) position: Position,
}

/// A closure where it is made.
pub(super) struct Closure {
    pub(super) captured: Vec<String>,
    /// `step` or `parallel`, when it is the body of one.
    pub(super) body_of: Option<String>,
}

impl Call {
    /// `Some` for `module::function`; deeper paths are nobody's host function.
    pub(super) fn namespace(&self) -> Option<String> {
        self.callee.is_qualified().then(|| self.callee.namespace.to_string())
    }

    pub(super) fn name(&self) -> &str {
        self.callee.name.as_str()
    }

    /// Arguments, with the value in front of the dot.
    pub(super) fn arity(&self) -> usize {
        self.callee.args.len() + usize::from(self.method)
    }

    /// `k8s::scale`.
    pub(super) fn full_name(&self) -> String {
        self.namespace().map_or_else(|| self.name().to_owned(), |space| format!("{space}::{}", self.name()))
    }
}

impl Body {
    pub(super) fn is_closure(&self) -> bool {
        self.function.as_deref().is_some_and(|name| name.starts_with("anon$"))
    }
}

impl Facts {
    pub(super) fn of(scripts: &BTreeMap<String, AST>, sources: &Sources) -> Self {
        let mut facts = Self { bodies: Vec::new(), imports: BTreeMap::new(), keys: BTreeSet::new() };
        for (source, script) in scripts {
            facts.imports.insert(source.clone(), BTreeMap::new());
            let top = Body::new(source, None, false, Vec::new());
            facts.collect(top, &script.clone_statements_only(), sources);
            for function in script.iter_functions() {
                let params = function.params.iter().map(|name| (*name).to_owned()).collect();
                let private = function.access == FnAccess::Private;
                let body = Body::new(source, Some(function.name), private, params);
                let (name, arity) = (function.name, function.params.len());
                // Not `clone_functions_only_filtered`: into an empty script it copies everything.
                let mut alone = script.clone_functions_only();
                alone.retain_functions(|_, _, other, takes| other == name && takes == arity);
                facts.collect(body, &alone, sources);
            }
        }
        facts
    }

    fn collect(&mut self, mut body: Body, script: &AST, sources: &Sources) {
        script.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(statement)) => {
                    if let Stmt::Import(import, _) = statement {
                        self.import(&body.source, &import.0, &import.1, sources);
                    }
                    body.statement(statement, path);
                }
                Some(ASTNode::Expr(expression)) => {
                    if let Expr::Map(map, _) = expression {
                        self.keys.extend(map.0.iter().map(|(key, _)| key.name.to_string()));
                    }
                    body.expression(expression, path);
                }
                _ => {}
            }
            true
        });
        body.calls.dedup_by_key(|call| call.position);
        self.bodies.push(body);
    }

    fn import(&mut self, source: &str, literal: &Expr, alias: &Ident, sources: &Sources) {
        let Expr::StringConstant(literal, _) = literal else { return };
        let imported = Import { found: sources.resolve(source, literal), position: alias.pos };
        self.imports.entry(source.to_owned()).or_default().insert(alias.name.to_string(), imported);
    }

    /// The functions of a script by name, without closures.
    pub(super) fn functions<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Body> {
        self.bodies
            .iter()
            .filter(move |body| body.source == source && body.function.is_some() && !body.is_closure())
    }

    /// The source that an alias means in a script.
    pub(super) fn imported(&self, source: &str, alias: &str) -> Option<&Option<String>> {
        self.imports.get(source)?.get(alias).map(|import| &import.found)
    }
}

impl Body {
    fn new(source: &str, function: Option<&str>, private: bool, params: Vec<String>) -> Self {
        Self {
            source: source.to_owned(),
            function: function.map(str::to_owned),
            private,
            params,
            calls: Vec::new(),
            writes: Vec::new(),
            closures: BTreeMap::new(),
            variables: Vec::new(),
            locals: BTreeSet::new(),
        }
    }

    fn statement(&mut self, statement: &Stmt, path: &[ASTNode<'_>]) {
        match statement {
            Stmt::FnCall(callee, position) => self.call(callee, *position, false, path),
            Stmt::Var(variable, ..) => {
                self.locals.insert(variable.0.name.to_string());
            }
            Stmt::For(parts, _) => {
                self.locals.insert(parts.0.name.to_string());
                self.locals.extend(parts.1.iter().map(|counter| counter.name.to_string()));
            }
            Stmt::TryCatch(parts, _) => {
                if let Expr::Variable(variable, ..) = &parts.expr {
                    self.locals.insert(variable.1.to_string());
                }
            }
            Stmt::Assignment(parts) => self.write(&parts.1.lhs),
            _ => {}
        }
    }

    fn expression(&mut self, expression: &Expr, path: &[ASTNode<'_>]) {
        if let Some((name, captured)) = closure(expression) {
            self.closures.entry(name).or_insert(Closure { captured, body_of: None });
        }
        match expression {
            Expr::FnCall(callee, position) => self.call(callee, *position, false, path),
            Expr::MethodCall(callee, position) => self.call(callee, *position, true, path),
            Expr::Variable(variable, _, position) if variable.2.is_empty() => {
                self.variables.push((variable.1.to_string(), *position));
            }
            Expr::Dot(parts, ..) if changes_in_place(&parts.rhs) => self.write(&parts.lhs),
            _ => {}
        }
    }

    fn call(&mut self, callee: &FnCallExpr, position: Position, method: bool, path: &[ASTNode<'_>]) {
        if matches!(callee.name.as_str(), "step" | "parallel") && !callee.is_qualified() {
            for (name, captured) in callee.args.iter().filter_map(closure) {
                self.closures.insert(name, Closure { captured, body_of: Some(callee.name.to_string()) });
            }
        }
        self.calls.push(Call { callee: callee.clone(), position, method, block: block(path) });
    }

    fn write(&mut self, place: &Expr) {
        if let Some((variable, position)) = root(place) {
            self.writes.push(Write { variable, position });
        }
    }
}

/// The variable that a chain of properties and indexes starts from.
fn root(place: &Expr) -> Option<(String, Position)> {
    match place {
        Expr::Variable(variable, _, position) => Some((variable.1.to_string(), *position)),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => root(&parts.lhs),
        _ => None,
    }
}

/// Methods of arrays, maps, strings and blobs that change the value in front of the dot.
const CHANGING: [&str; 24] = [
    "append",
    "chop",
    "clear",
    "crop",
    "dedup",
    "drain",
    "fill_with",
    "insert",
    "make_lower",
    "make_upper",
    "mixin",
    "pad",
    "pop",
    "push",
    "remove",
    "replace",
    "retain",
    "reverse",
    "set",
    "shift",
    "sort",
    "splice",
    "trim",
    "truncate",
];

fn changes_in_place(chain: &Expr) -> bool {
    match chain {
        Expr::MethodCall(callee, _) => CHANGING.contains(&callee.name.as_str()),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => changes_in_place(&parts.rhs),
        _ => false,
    }
}

/// A closure literal: its generated name and what it captures.
pub(super) fn closure(expression: &Expr) -> Option<(String, Vec<String>)> {
    match expression {
        Expr::DynamicConstant(value, _) => {
            let pointer = value.read_lock::<FnPtr>()?;
            Some((pointer.fn_name().to_owned(), Vec::new()))
        }
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Share(_), Stmt::Expr(made)] => curried(made),
            _ => None,
        },
        _ => None,
    }
}

fn curried(made: &Expr) -> Option<(String, Vec<String>)> {
    let Expr::FnCall(callee, _) = made else { return None };
    let (name, _) = closure(callee.args.first()?)?;
    let captured = callee.args.iter().skip(1).filter_map(root).map(|(variable, _)| variable).collect();
    Some((name, captured))
}

/// Stands for the block around a node; `None` where only one of several branches is taken.
fn block(path: &[ASTNode<'_>]) -> Option<usize> {
    let around = path[..path.len().saturating_sub(1)].iter().rev();
    for node in around {
        match node {
            ASTNode::Stmt(Stmt::If(..) | Stmt::Switch(..) | Stmt::TryCatch(..)) => return None,
            ASTNode::Stmt(statement @ (Stmt::Block(..) | Stmt::For(..) | Stmt::While(..) | Stmt::Do(..))) => {
                return Some(std::ptr::from_ref(*statement).addr());
            }
            ASTNode::Expr(expression @ Expr::Stmt(..)) => {
                return Some(std::ptr::from_ref(*expression).addr());
            }
            _ => {}
        }
    }
    Some(0)
}
