//! What a change would look like: a unified diff of two objects as YAML, without the server's bookkeeping and
//! with the data of Secrets masked. Pure.

use serde_json::{Map, Value};
use similar::TextDiff;

use super::object::{essence, is_secret};

/// The unified diff from the live object to the planned one; empty when nothing changes. `None` is an object
/// that does not exist.
pub(crate) fn diff(live: Option<&Value>, planned: Option<&Value>, title: &str) -> String {
    let (mut live, mut planned) = (live.map(essence), planned.map(essence));
    mask(&mut live, &mut planned);
    let (before, after) = (yaml(live.as_ref()), yaml(planned.as_ref()));
    let diff = TextDiff::from_lines(&before, &after);
    diff.unified_diff()
        .context_radius(3)
        .header(&format!("live {title}"), &format!("planned {title}"))
        .to_string()
}

fn yaml(object: Option<&Value>) -> String {
    let Some(object) = object else { return String::new() };
    let text = serde_saphyr::to_string(object).unwrap_or_else(|_| format!("{object:#}"));
    if text.ends_with('\n') { text } else { format!("{text}\n") }
}

/// Shows that a secret value changes without showing it.
fn mask(live: &mut Option<Value>, planned: &mut Option<Value>) {
    for field in ["data", "stringData"] {
        let before = live.as_ref().filter(|object| is_secret(object)).map(|object| object[field].clone());
        for object in [&mut *live, &mut *planned] {
            let Some(object) = object.as_mut().filter(|object| is_secret(object)) else { continue };
            let values = object.get_mut(field).and_then(Value::as_object_mut);
            for (key, value) in values.into_iter().flat_map(Map::iter_mut) {
                let changed =
                    before.as_ref().is_some_and(|before| !before[key].is_null() && before[key] != *value);
                *value = Value::String(if changed { "*** (changed)" } else { "***" }.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_author_wrote_is_compared() {
        let live = json!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}, "data": {"k": "1"}});
        let planned = json!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "2"}, "data": {"k": "2"}});
        let text = diff(Some(&live), Some(&planned), "configmap/a");
        assert!(text.starts_with("--- live configmap/a\n+++ planned configmap/a\n"), "{text}");
        assert!(text.contains("-  k: \"1\"") || text.contains("-  k: '1'"), "{text}");
        assert!(!text.contains("resourceVersion"));
        assert_eq!(diff(Some(&live), Some(&live), "configmap/a"), "");
    }

    #[test]
    fn a_secret_shows_that_it_changes_and_not_to_what() {
        let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": value, "same": "eA=="}});
        let text = diff(Some(&secret("b2xk")), Some(&secret("bmV3")), "secret/s");
        assert!(text.contains("*** (changed)"), "{text}");
        assert!(!text.contains("b2xk") && !text.contains("bmV3") && !text.contains("eA=="), "{text}");
    }
}
