//! Label and field selectors as the server reads them, for objects that are only planned. Pure; the live ones
//! are selected by the server itself.

use serde_json::Value;

use super::object::text;

/// True when a planned object would be selected.
pub(super) fn selects(labels: Option<&str>, fields: Option<&str>, object: &Value) -> bool {
    terms(labels.unwrap_or_default()).iter().all(|term| label_fits(term, object))
        && terms(fields.unwrap_or_default()).iter().all(|term| field_fits(term, object))
}

/// Splits at commas that are not inside `(a, b)`.
fn terms(selector: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let parts = selector.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn label_fits(term: &str, object: &Value) -> bool {
    let label = |key: &str| object.pointer("/metadata/labels").and_then(|labels| labels[key.trim()].as_str());
    let among = |list: &str, value: &str| {
        list.trim().trim_start_matches('(').trim_end_matches(')').split(',').any(|one| one.trim() == value)
    };
    if let Some((key, list)) = term.split_once(" notin ") {
        return label(key).is_none_or(|value| !among(list, value));
    }
    if let Some((key, list)) = term.split_once(" in ") {
        return label(key).is_some_and(|value| among(list, value));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return label(key) != Some(value.trim());
    }
    if let Some((key, value)) = term.split_once('=') {
        return label(key) == Some(value.trim_start_matches('=').trim());
    }
    match term.strip_prefix('!') {
        Some(key) => label(key).is_none(),
        None => label(term).is_some(),
    }
}

fn field_fits(term: &str, object: &Value) -> bool {
    let field = |path: &str| text(object, &format!("/{}", path.trim().replace('.', "/"))).to_owned();
    match term.split_once("!=") {
        Some((path, value)) => field(path) != value.trim(),
        None => term
            .split_once('=')
            .is_none_or(|(path, value)| field(path) == value.trim_start_matches('=').trim()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected_as_the_server_does() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "web", "tier": "front"}}});
        for selector in
            ["app=web", "app==web,tier", "app in (api, web)", "!gone", "app!=api", "app notin (api)"]
        {
            assert!(selects(Some(selector), None, &pod), "{selector}");
        }
        for selector in ["app=api", "gone", "!app", "app notin (web,api)", "gone in (a)", "app!=web"] {
            assert!(!selects(Some(selector), None, &pod), "{selector}");
        }
    }

    #[test]
    fn fields_are_selected_by_path() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "w1"}});
        assert!(selects(None, Some("metadata.name=a,spec.nodeName!=w2"), &pod));
        assert!(!selects(None, Some("spec.nodeName=w2"), &pod));
    }
}
