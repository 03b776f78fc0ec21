//! Reads: `get`, `list`, `exists`, `read_secret`. In a plan they see planned objects first.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::text;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{self, visible};
use super::target::{Target, scope};
use super::world::{Selection, World};

/// Arguments of functions that take one object and a namespace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// `kind/name`, or an object.
    pub(super) target: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    pub(super) namespace: Option<String>,
}

/// `get(target, [options])`.
pub(super) struct Get;

#[async_trait]
impl HostFunction for Get {
    type Arguments = One;

    fn describe() -> Description {
        Description {
            summary: "Reads one object.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "map: the object as the API has it, without managed fields; the data of a Secret is masked",
            undo: "none: it only reads",
            fails_when: "The object or its kind does not exist (A0306, with the nearest name), or reading is not allowed (A0304).",
            example: r#"k8s::get("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("get", Effect::Reads)
        }
    }

    fn scope(arguments: &One) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: One) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        world.get(&place).await.map(visible)
    }
}

/// `exists(target, [options])`.
pub(super) struct Exists;

#[async_trait]
impl HostFunction for Exists {
    type Arguments = One;

    fn describe() -> Description {
        Description {
            summary: "Tells whether an object exists.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "bool; false also where the cluster does not serve the kind",
            undo: "none: it only reads",
            fails_when: "The cluster cannot be asked (A0302), or reading is not allowed (A0304).",
            example: r#"k8s::exists("namespace/shop")"#,
            ..Description::of("exists", Effect::Reads)
        }
    }

    fn scope(arguments: &One) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: One) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = match world.place(&arguments.target, arguments.namespace.as_deref()).await {
            Ok(place) => place,
            Err(error) if error.code == codes::NOT_FOUND.0 => return Ok(json!(false)),
            Err(error) => return Err(error),
        };
        Ok(json!(world.find(&place).await?.is_some()))
    }
}

/// Arguments of `list`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Kind: `pods`, `deploy`, `kafkas.kafka.strimzi.io`.
    kind: String,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// True: the objects of every namespace.
    #[serde(default)]
    all_namespaces: bool,
    /// Label selector: `app=web,tier in (front, back)`.
    #[serde(default)]
    selector: Option<String>,
    /// Field selector: `spec.nodeName=w1`.
    #[serde(default)]
    fields: Option<String>,
    /// At most so many.
    #[serde(default)]
    limit: Option<usize>,
}

/// `list(kind, [options])`.
pub(super) struct List;

#[async_trait]
impl HostFunction for List {
    type Arguments = ListArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads the objects of a kind, all pages of them.",
            capability: "k8s:read",
            positional: &["kind"],
            returns: "array of maps: the objects; the data of Secrets is masked",
            undo: "none: it only reads",
            fails_when: "The cluster does not serve the kind (A0306), a selector is malformed (A0308), or reading is not allowed (A0304).",
            example: r#"k8s::list("pods", #{ namespace: "shop", selector: "app=web" })"#,
            ..Description::of("list", Effect::Reads)
        }
    }

    fn scope(arguments: &ListArguments) -> Option<String> {
        let reference = Target::Text(arguments.kind.clone()).reference().ok()?;
        let namespace = if arguments.all_namespaces { Some("*") } else { arguments.namespace.as_deref() };
        Some(scope(&reference, namespace))
    }

    async fn perform(context: &Context, arguments: ListArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let reference = Target::Text(arguments.kind).reference()?;
        if let Some(name) = reference.name {
            let message = format!("`list` takes a kind, not the object `{name}`");
            return Err(CallError::argument(message).hint("`k8s::get` reads one object"));
        }
        let namespace = arguments.namespace.as_deref();
        let place = world.collection(&reference, namespace, arguments.all_namespaces).await?;
        let selection =
            Selection { labels: arguments.selector, fields: arguments.fields, limit: arguments.limit };
        let objects = world.list(&place, &selection).await?;
        Ok(Value::Array(objects.into_iter().map(visible).collect()))
    }
}

/// Arguments of `read_secret`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadSecretArguments {
    /// Name of the Secret.
    name: String,
    /// Key in its data.
    key: String,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
}

/// `read_secret(name, key, [options])`.
pub(super) struct ReadSecret;

#[async_trait]
impl HostFunction for ReadSecret {
    type Arguments = ReadSecretArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads one value of a Secret, as a secret.",
            capability: "k8s:read",
            positional: &["name", "key"],
            returns: "secret: the decoded value; never recorded, read again on resume",
            undo: "none: it only reads",
            fails_when: "The Secret or the key does not exist (A0306), or the value is not text (A0308).",
            example: r#"k8s::read_secret("database", "password", #{ namespace: "shop" })"#,
            secret: true,
            ..Description::of("read_secret", Effect::Reads)
        }
    }

    fn scope(arguments: &ReadSecretArguments) -> Option<String> {
        Some(format!("{}/secrets/{}", arguments.namespace.as_deref().unwrap_or("_"), arguments.name))
    }

    async fn perform(context: &Context, arguments: ReadSecretArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let target = Target::Text(format!("secrets/{}", arguments.name));
        let place = world.place(&target, arguments.namespace.as_deref()).await?;
        let secret = world.get(&place).await?;
        let Some(encoded) = secret["data"][&arguments.key].as_str() else {
            let keys = secret["data"].as_object().into_iter().flat_map(serde_json::Map::keys);
            let keys: Vec<&str> = keys.map(String::as_str).collect();
            let message = format!("{} has no key `{}`", object::title(&secret), arguments.key);
            return Err(
                CallError::new(codes::NOT_FOUND, message).hint(format!("its keys are {}", text::list(&keys)))
            );
        };
        let plain = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        plain.map(Value::String).ok_or_else(|| {
            let message = format!("key `{}` of {} is not text", arguments.key, object::title(&secret));
            CallError::new(codes::INVALID, message)
        })
    }
}
