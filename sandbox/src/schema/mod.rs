//! What objects look like: schemas of built-in kinds and custom resources.
//!
//! | file      | holds                                                            |
//! |-----------|------------------------------------------------------------------|
//! | `shape`   | [`Schema`], the one view all merging and defaulting code reads    |
//! | `builtin` | schemas of built-in kinds, from the k8s-openapi types             |
//! | `facts`   | list types and merge keys, which that library does not carry     |

mod builtin;
mod facts;
mod shape;

pub use builtin::{BuiltinKind, KINDS, OBJECT_META, builtin, builtin_kind, json_schemas, object_meta};
pub use shape::{ListKind, ListPatch, ListShape, Node, ObjectShape, Scalar, Schema, Shape};
