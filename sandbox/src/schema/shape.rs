//! `Schema`: what one JSON value may look like, in the words patches, field ownership and defaulting need.
//!
//! Built-in kinds (`builtin`) and custom resources (`crd`) are both turned into this one view, so the code
//! that merges or validates has a single input. Nodes are made on first use: a schema may refer to itself
//! (`JSONSchemaProps` does), and most of a kind is never looked at.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

type Make = Box<dyn FnOnce() -> Node + Send>;

/// The shape of one value. Cheap to clone; compared by identity only.
#[derive(Clone)]
pub struct Schema(Arc<LazyLock<Node, Make>>);

/// What a [`Schema`] says once looked at.
#[derive(Clone, Debug)]
pub struct Node {
    /// Object, list, scalar or anything.
    pub shape: Shape,
    /// Value the server fills in when the field is absent.
    pub default: Option<Value>,
    /// Whether an explicit `null` is a value of its own (custom resources only).
    pub nullable: bool,
}

/// The four shapes of a value.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A JSON object: declared fields, free keys, or both.
    Object(ObjectShape),
    /// A JSON array.
    List(ListShape),
    /// A string, number or boolean.
    Scalar(Scalar),
    /// Not described: objects merge key by key, lists and scalars are replaced whole.
    Any,
}

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub struct ObjectShape {
    /// Type name such as `io.k8s.api.core.v1.PodSpec`; empty for anonymous objects.
    pub name: String,
    /// Declared fields by JSON name.
    pub fields: BTreeMap<String, Schema>,
    /// Schema of the values of free keys; `None` when free keys are not allowed.
    pub values: Option<Schema>,
    /// Names of fields that must be present.
    pub required: Vec<String>,
    /// Owned and replaced as one (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Undeclared fields are kept (`x-kubernetes-preserve-unknown-fields`).
    pub open: bool,
}

/// The elements of a list and how two lists are brought together.
#[derive(Clone, Debug)]
pub struct ListShape {
    /// Schema of every element.
    pub items: Schema,
    /// How server-side apply merges and owns the elements.
    pub kind: ListKind,
    /// How a strategic merge patch treats the list; independent of `kind` for historic reasons.
    pub patch: ListPatch,
}

/// The `x-kubernetes-list-type` of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Owned and replaced as one.
    Atomic,
    /// Scalars without duplicates, owned one by one.
    Set,
    /// Objects told apart by the values of these fields, owned one by one.
    Map(Vec<String>),
}

/// The patch strategy of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPatch {
    /// The patch's list takes the place of the old one.
    Replace,
    /// Scalars are added when missing.
    MergeScalars,
    /// Objects are matched by this field.
    MergeBy(String),
}

/// The scalar types the API knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Any string, including times.
    String,
    /// Whole number of 32 bits.
    Int32,
    /// Whole number of 64 bits.
    Int64,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// `IntOrString`: number or string.
    IntOrString,
    /// An amount such as `500m` or `2Gi`.
    Quantity,
    /// Base64 text.
    Bytes,
    /// RFC 3339 time in whole seconds.
    Time,
    /// RFC 3339 time with exactly six decimals.
    MicroTime,
}

impl Schema {
    /// A schema whose node is known now.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self::lazy(move || node)
    }

    /// A schema whose node is made when first looked at.
    pub fn lazy(make: impl FnOnce() -> Node + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }

    /// A schema of the given shape without default.
    #[must_use]
    pub fn of(shape: Shape) -> Self {
        Self::new(Node { shape, default: None, nullable: false })
    }

    /// The schema of undescribed data.
    #[must_use]
    pub fn any() -> Self {
        Self::of(Shape::Any)
    }

    /// The node, made on first use.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.0
    }

    /// The shape of the value.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.node().shape
    }

    /// Whether the value is this scalar.
    pub(crate) fn shape_is(&self, scalar: Scalar) -> bool {
        matches!(self.shape(), Shape::Scalar(found) if *found == scalar)
    }

    /// Whether the value is a whole number and nothing else.
    pub(crate) fn shape_is_integer(&self) -> bool {
        self.shape_is(Scalar::Int32) || self.shape_is(Scalar::Int64)
    }

    /// The object view, if the value is an object.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectShape> {
        match self.shape() {
            Shape::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list view, if the value is a list.
    #[must_use]
    pub fn list(&self) -> Option<&ListShape> {
        match self.shape() {
            Shape::List(list) => Some(list),
            _ => None,
        }
    }

    /// Schema of the value below `key`: a declared field, a free key, or anything in open data.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<Schema> {
        match self.shape() {
            Shape::Object(object) => object.field(key),
            Shape::Any => Some(Schema::any()),
            _ => None,
        }
    }

    /// Schema at a path of field names and list elements (`*` steps into a list or map value).
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<Schema> {
        path.iter().try_fold(self.clone(), |schema, step| match schema.shape() {
            Shape::List(list) => Some(list.items.clone()),
            _ => schema.field(step),
        })
    }
}

impl ObjectShape {
    /// Schema of the value below `key`, declared or free.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<Schema> {
        self.fields.get(key).or(self.values.as_ref()).cloned().or_else(|| self.open.then(Schema::any))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape() {
            Shape::Object(object) => write!(f, "object {} {:?}", object.name, object.fields.keys()),
            Shape::List(list) => write!(f, "list {:?}", list.kind),
            Shape::Scalar(scalar) => write!(f, "{scalar:?}"),
            Shape::Any => f.write_str("any"),
        }
    }
}
