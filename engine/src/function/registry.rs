//! The visible list of modules and their functions, and the checks that every description must pass
//! before the product starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::Schema;
use serde_json::Value;

use super::{Context, Description, HostFunction, Plan, Probe, Signature, UndoCall};
use crate::error::CallError;

/// A host module: a name, an author's page and the table of its functions.
#[derive(Clone)]
pub struct Module {
    /// Namespace in scripts: `k8s`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The author's page (Markdown): concepts, conventions and limits shared by the functions.
    pub page: &'static str,
    /// The functions, in the order a reader should meet them.
    pub functions: Vec<Function>,
}

/// One function with its types erased.
#[derive(Clone)]
pub struct Function {
    /// The one description.
    pub description: Description,
    /// Arguments as the schema derived from the argument struct.
    pub signature: Signature,
    handler: Arc<dyn Handler>,
}

impl Function {
    /// Wraps a host function for a module's table.
    #[must_use]
    pub fn new<F: HostFunction>() -> Self {
        let description = F::describe();
        let schema: Schema = schemars::schema_for!(F::Arguments);
        let signature = Signature::new(description.positional, &schema);
        Self { description, signature, handler: Arc::new(Erased::<F>(std::marker::PhantomData)) }
    }

    /// Checks that the arguments deserialize, and answers the scope of the capability they need.
    ///
    /// # Errors
    /// When a value has the wrong type or is out of range.
    pub fn scope(&self, arguments: &Value) -> Result<Option<String>, CallError> {
        self.handler.scope(arguments)
    }

    /// See [`HostFunction::plan`].
    ///
    /// # Errors
    /// What the function's own reads fail with.
    pub async fn plan(&self, context: &Context, arguments: &Value) -> Result<Plan, CallError> {
        self.handler.plan(context, arguments).await
    }

    /// See [`HostFunction::perform`]. Only the gate calls this.
    pub(crate) async fn perform(&self, context: &Context, arguments: &Value) -> Result<Value, CallError> {
        self.handler.perform(context, arguments).await
    }

    /// See [`HostFunction::probe`].
    ///
    /// # Errors
    /// What the function's own reads fail with.
    pub async fn probe(
        &self,
        context: &Context,
        arguments: &Value,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        self.handler.probe(context, arguments, asked).await
    }
}

#[async_trait]
trait Handler: Send + Sync {
    fn scope(&self, arguments: &Value) -> Result<Option<String>, CallError>;
    async fn plan(&self, context: &Context, arguments: &Value) -> Result<Plan, CallError>;
    async fn perform(&self, context: &Context, arguments: &Value) -> Result<Value, CallError>;
    async fn probe(
        &self,
        context: &Context,
        arguments: &Value,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError>;
}

struct Erased<F>(std::marker::PhantomData<fn() -> F>);

fn typed<F: HostFunction>(arguments: &Value) -> Result<F::Arguments, CallError> {
    serde_json::from_value(arguments.clone()).map_err(|error| CallError::argument(error.to_string()))
}

#[async_trait]
impl<F: HostFunction> Handler for Erased<F> {
    fn scope(&self, arguments: &Value) -> Result<Option<String>, CallError> {
        Ok(F::scope(&typed::<F>(arguments)?))
    }

    async fn plan(&self, context: &Context, arguments: &Value) -> Result<Plan, CallError> {
        F::plan(context, &typed::<F>(arguments)?).await
    }

    async fn perform(&self, context: &Context, arguments: &Value) -> Result<Value, CallError> {
        F::perform(context, typed::<F>(arguments)?).await
    }

    async fn probe(
        &self,
        context: &Context,
        arguments: &Value,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        F::probe(context, &typed::<F>(arguments)?, asked).await
    }
}

/// All modules a runbook can use.
#[derive(Clone, Default)]
pub struct Registry {
    modules: Vec<Module>,
    index: BTreeMap<String, (usize, usize)>,
}

/// Why a list of modules is refused: each line names a function and what is missing.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct RegistryError(pub Vec<String>);

impl Registry {
    /// Takes the visible list of modules.
    ///
    /// # Errors
    /// When a name is taken twice or a description lacks its summary, returns, undo, failure or example text,
    /// or an effect has no capability. All defects are named at once.
    pub fn new(modules: Vec<Module>) -> Result<Self, RegistryError> {
        let mut index = BTreeMap::new();
        let mut defects = Vec::new();
        for (m, module) in modules.iter().enumerate() {
            for (f, function) in module.functions.iter().enumerate() {
                let name = format!("{}::{}", module.name, function.description.name);
                defects.extend(lacking(&function.description).map(|what| format!("`{name}` has no {what}")));
                defects.extend(function.signature.defects().map(|what| format!("`{name}`: {what}")));
                if index.insert(name.clone(), (m, f)).is_some() {
                    defects.push(format!("`{name}` is described twice"));
                }
            }
        }
        if defects.is_empty() { Ok(Self { modules, index }) } else { Err(RegistryError(defects)) }
    }

    /// The modules in their visible order.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A function by its full name (`k8s::scale`).
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.index.get(name).map(|&(m, f)| &self.modules[m].functions[f])
    }

    /// Every full name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }
}

fn lacking(description: &Description) -> impl Iterator<Item = &'static str> {
    let texts = [
        (description.name, "name"),
        (description.summary, "summary"),
        (description.returns, "`returns` text"),
        (description.undo, "`undo` text"),
        (description.fails_when, "`fails_when` text"),
        (description.example, "example"),
    ];
    let missing = texts.into_iter().filter(|(text, _)| text.trim().is_empty()).map(|(_, what)| what);
    let ungated = description.effect.is_effect() && description.capability.is_empty();
    missing.chain(ungated.then_some("capability"))
}
