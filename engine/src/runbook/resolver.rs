//! Answers `import` while a run executes, from the texts of the runbook and from nothing else. Modules are
//! made once a run; their top level may only define things (`check` says so), so sharing them is safe.
//!
//! Rhai remembers which function a name meant by name and argument count alone, across modules: after two calls
//! of `helper(x)` in one module, `helper(x)` in another calls the first one's. So every function of a module is
//! wrapped in one that begins with an empty memory ([`isolated`]).

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rhai::{
    AST, Dynamic, Engine, EvalAltResult, FnNamespace, FuncRegistration, Identifier, ImmutableString, Locked,
    Module, ModuleResolver, NativeCallContext, Position, RhaiFunc, Scope, Shared,
};

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
        let mut module = isolated(engine, script)
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(literal.to_owned(), error, position)))?;
        module.set_id(name.as_str());
        let module: Shared<Module> = module.into();
        Ok(Shared::clone(self.made().entry(name).or_insert(module)))
    }
}

/// The module of a script, whose functions begin with an empty look-up memory and what is their own in sight.
fn isolated(engine: &Engine, script: &AST) -> Result<Module, Box<EvalAltResult>> {
    let module = Module::eval_ast_as_new(Scope::new(), script, engine)?;
    let library = Shared::new(Library {
        functions: Shared::clone(script.shared_lib()),
        imports: module
            .iter_sub_modules()
            .map(|(alias, imported)| (alias.into(), Shared::clone(imported)))
            .collect(),
        constants: Shared::new(constants(engine, script)?.into()),
        source: script.source().map(Into::into),
    });
    let mut isolated = Module::new();
    for (name, value) in module.iter_var() {
        isolated.set_var(name, value.clone());
    }
    for (_, _, name, arguments, _) in module.iter_script_fn_info() {
        let (library, function) = (Shared::clone(&library), name.to_owned());
        let call = move |context: Option<NativeCallContext<'_>>, arguments: &mut [&mut Dynamic]| {
            context.map_or(Ok(Dynamic::UNIT), |context| library.call(&context, &function, arguments))
        };
        let function =
            RhaiFunc::Pure { func: Shared::new(call), has_context: true, is_pure: false, is_volatile: true };
        FuncRegistration::new(name).with_namespace(FnNamespace::Internal).set_into_module_raw(
            &mut isolated,
            vec![TypeId::of::<Dynamic>(); arguments],
            function,
        );
    }
    isolated.build_index();
    Ok(isolated)
}

/// What `global::NAME` means inside the functions of a script.
fn constants(
    engine: &Engine,
    script: &AST,
) -> Result<BTreeMap<ImmutableString, Dynamic>, Box<EvalAltResult>> {
    let mut scope = Scope::new();
    engine.run_ast_with_scope(&mut scope, script)?;
    let constants = scope.iter().filter(|(_, constant, _)| *constant);
    Ok(constants.map(|(name, _, value)| (name.into(), value)).collect())
}

type Answer = Result<Dynamic, Box<EvalAltResult>>;

/// What the functions of one module can see.
struct Library {
    functions: Shared<Module>,
    imports: Vec<(Identifier, Shared<Module>)>,
    constants: Shared<Locked<BTreeMap<ImmutableString, Dynamic>>>,
    source: Option<ImmutableString>,
}

impl Library {
    fn call(
        &self,
        context: &NativeCallContext<'_>,
        function: &str,
        arguments: &mut [&mut Dynamic],
    ) -> Answer {
        let mut global = context.global_runtime_state().clone();
        global.lib.push(Shared::clone(&self.functions));
        global.source.clone_from(&self.source);
        global.constants = Some(Shared::clone(&self.constants));
        for (alias, module) in &self.imports {
            global.push_import(alias.clone(), Shared::clone(module));
        }
        let (engine, position) = (context.engine(), context.call_position());
        let source = self.source.as_ref().map(ImmutableString::as_str);
        NativeCallContext::new_with_all_fields(engine, function, source, &global, position)
            .call_fn_raw(function, false, false, arguments)
    }
}
