//! Semantic versions: order and ranges.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::Value;

use super::pure;

/// Arguments of `semver_compare`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareArguments {
    /// One version: `1.31.4`, `v1.31`.
    a: String,
    /// The other version.
    b: String,
}

pub(super) struct SemverCompare;

#[async_trait]
impl HostFunction for SemverCompare {
    type Arguments = CompareArguments;

    fn describe() -> Description {
        Description {
            summary: "Compares two versions by the precedence of Semantic Versioning; build metadata is ignored.",
            positional: &["a", "b"],
            returns: "int: -1 when `a` is lower, 0 when they are equal, 1 when `a` is higher",
            fails_when: "A text is not a version.",
            example: "text::semver_compare(\"v1.31.4\", \"1.30\")",
            ..pure("semver_compare")
        }
    }

    async fn perform(_: &Context, arguments: CompareArguments) -> Result<Value, CallError> {
        let order = version(&arguments.a)?.cmp_precedence(&version(&arguments.b)?);
        Ok(Value::from(order as i8))
    }
}

/// Arguments of `semver_satisfies`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SatisfiesArguments {
    /// The version.
    version: String,
    /// Conditions that must all hold, joined by commas: `>=1.28, <1.34`, `^1.2`, `~1.2.3`, `1.*`.
    range: String,
}

pub(super) struct SemverSatisfies;

#[async_trait]
impl HostFunction for SemverSatisfies {
    type Arguments = SatisfiesArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells whether a version lies in a range. A pre-release only matches a range that names one.",
            positional: &["version", "range"],
            returns: "bool",
            fails_when: "The version or the range does not parse.",
            example: "text::semver_satisfies(\"v1.31.4\", \">=1.28, <1.34\")",
            ..pure("semver_satisfies")
        }
    }

    async fn perform(_: &Context, arguments: SatisfiesArguments) -> Result<Value, CallError> {
        let range = VersionReq::parse(&arguments.range).map_err(|error| {
            CallError::argument(format!("`{}` is not a version range", arguments.range))
                .because(error)
                .hint("join conditions by commas: `>=1.28, <1.34`")
        })?;
        Ok(Value::Bool(range.matches(&version(&arguments.version)?)))
    }
}

/// Reads a version as people write it: a leading `v`, and one or two numbers instead of three.
fn version(text: &str) -> Result<Version, CallError> {
    let plain = text.trim().trim_start_matches('v');
    let numbers = plain.find(['-', '+']).unwrap_or(plain.len());
    let missing = 2_usize.saturating_sub(plain[..numbers].matches('.').count());
    let full = format!("{}{}{}", &plain[..numbers], ".0".repeat(missing), &plain[numbers..]);
    Version::parse(&full).map_err(|error| {
        CallError::argument(format!("`{text}` is not a version"))
            .because(error)
            .hint("write it like `1.31.4`")
    })
}
