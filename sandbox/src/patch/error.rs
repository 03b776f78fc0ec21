//! Why a patch was refused, and the Status each refusal becomes.
//!
//! Some mistakes are answered as 500 without a reason: the real server wraps neither strategic-merge nor
//! typed-conversion failures. Clients see the code, so it is kept.

use serde_json::{Value, json};

/// A refused patch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// 400: the body is not a patch of this type.
    #[error("{0}")]
    BadRequest(String),
    /// 422 without causes: an operation of a JSON patch could not be carried out.
    #[error("the server rejected our request due to an error in our request")]
    Rejected,
    /// 413: too many operations.
    #[error("Request entity too large: {0}")]
    TooLarge(String),
    /// 500 without reason: the merge itself failed.
    #[error("{0}")]
    Failed(String),
    /// 409: server-side apply would take fields from other managers.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
}

/// One field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as the server words it: `"dev"` or `"curl" with subresource "scale" using apps/v1`.
    pub owner: String,
    /// The field, such as `.spec.template.spec.containers[name="web"].image`.
    pub path: String,
}

impl PatchError {
    /// HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Rejected => 422,
            Self::TooLarge(_) => 413,
            Self::Failed(_) => 500,
            Self::Conflicts(_) => 409,
        }
    }

    /// Machine-readable reason of the Status; `None` for failures the server does not classify.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(_) => Some("BadRequest"),
            Self::Rejected => Some("Invalid"),
            Self::TooLarge(_) => Some("RequestEntityTooLarge"),
            Self::Failed(_) => None,
            Self::Conflicts(_) => Some("Conflict"),
        }
    }

    /// The `Status` body.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "code": self.code(),
        });
        if let Some(reason) = self.reason() {
            status["reason"] = json!(reason);
        }
        match self {
            Self::Rejected => status["details"] = json!({}),
            Self::Conflicts(conflicts) => status["details"] = json!({ "causes": causes(conflicts) }),
            _ => {}
        }
        status
    }
}

fn causes(conflicts: &[Conflict]) -> Vec<Value> {
    conflicts
        .iter()
        .map(|conflict| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", conflict.owner),
                "field": conflict.path,
            })
        })
        .collect()
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.owner, only.path);
    }
    let mut owners: Vec<&str> = conflicts.iter().map(|conflict| conflict.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let groups: Vec<String> = owners.into_iter().map(|owner| conflict_group(owner, conflicts)).collect();
    format!("Apply failed with {} conflicts: {}", conflicts.len(), groups.join("\n"))
}

fn conflict_group(owner: &str, conflicts: &[Conflict]) -> String {
    let mine = conflicts.iter().filter(|conflict| conflict.owner == owner);
    let lines: Vec<String> = mine.map(|conflict| format!("- {}", conflict.path)).collect();
    format!("conflicts with {owner}:\n{}", lines.join("\n"))
}
