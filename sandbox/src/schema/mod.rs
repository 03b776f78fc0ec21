//! What objects look like: schemas of built-in kinds and custom resources.
//!
//! | file      | holds                                                            |
//! |-----------|------------------------------------------------------------------|
//! | `shape`   | [`Schema`], the one view all merging and defaulting code reads    |
//! | `builtin` | schemas of built-in kinds, from the k8s-openapi types             |
//! | `facts`   | list types and merge keys, which that library does not carry     |
//! | `decode`  | [`decode`]: a body as its kind's type would hold it               |
//! | `absence` | what means absent, and what is told though absent            |
//! | `defaults`| [`fill_defaults`], [`first_status`]                              |
//! | `validate`| rules of single built-in kinds                                    |
//! | `custom`  | [`CustomType`]: what CustomResourceDefinitions describe           |
//! | `cel`     | [`holds`], [`evaluate`]: rules written in CEL                     |
//! | `internal` | objects as some messages show them, with Go's names            |
//! | `object_type` | [`ObjectType`], the one door to all of this for the API       |
//! | `published` | [`json_schemas`]: the schemas as clients see them             |
//! | `quantity`| [`Quantity`]: `500m`, `2Gi`                                      |
//! | `cause`   | [`Cause`]: one field error                                       |

mod absence;
mod builtin;
mod cause;
mod cel;
mod custom;
mod decode;
mod defaults;
mod facts;
mod internal;
mod object_type;
mod published;
mod quantity;
mod shape;
mod validate;

pub use builtin::{BuiltinKind, KINDS, OBJECT_META, builtin, builtin_kind, description, object_meta};
pub use cause::Cause;
pub use cel::{Variable, evaluate, holds};
pub use custom::{CustomType, definition_problems, first_definition_status};
pub use decode::{Decoded, decode};
pub use defaults::{fill_defaults, first_status};
pub use object_type::ObjectType;
pub use published::json_schemas;
pub use quantity::Quantity;
pub use shape::{ListKind, ListPatch, ListShape, Node, ObjectShape, Scalar, Schema, Shape};
