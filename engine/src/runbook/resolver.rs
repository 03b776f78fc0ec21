//! Answers `import` while a run executes, from the texts of the runbook and from nothing else. Modules are
//! made once a run; their top level may only define things (`check` says so), so sharing them is safe.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::Sources;

/// A module resolver over the texts of one runbook.
pub struct Resolver {
    sources: Sources,
    scripts: BTreeMap<String, AST>,
    made: Mutex<BTreeMap<String, Shared<Module>>>,
}

impl Resolver {
    pub(super) fn new(sources: Sources, scripts: BTreeMap<String, AST>) -> Self {
        Self { sources, scripts, made: Mutex::default() }
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Shared<Module>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        importer: Option<&str>,
        literal: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let importer = importer.unwrap_or_else(|| self.sources.main());
        let found = self.sources.resolve(importer, literal);
        let Some((name, script)) = found.and_then(|name| Some((name.clone(), self.scripts.get(&name)?)))
        else {
            return Err(Box::new(EvalAltResult::ErrorModuleNotFound(literal.to_owned(), position)));
        };
        if let Some(module) = self.made().get(&name) {
            return Ok(Shared::clone(module));
        }
        // Not under the lock: making a module imports others.
        let mut module = Module::eval_ast_as_new(Scope::new(), script, engine)
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(literal.to_owned(), error, position)))?;
        module.set_id(name.as_str());
        let module: Shared<Module> = module.into();
        Ok(Shared::clone(self.made().entry(name).or_insert(module)))
    }
}
