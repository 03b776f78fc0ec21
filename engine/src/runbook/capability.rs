//! What a runbook may do: `module:verb[:scope]`. Declared in `needs`, required by every effect; the gate and
//! `check` both ask [`Capability::allows`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What may be done. For state, each verb includes the ones before it: read, change, destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Look.
    Read,
    /// Look and change.
    Change,
    /// Look, change and take away.
    Destroy,
    /// Send something to people or systems.
    Send,
    /// Run a command.
    Run,
    /// Everything the module can do.
    Any,
}

const VERBS: &[(&str, Verb)] = &[
    ("read", Verb::Read),
    ("change", Verb::Change),
    ("destroy", Verb::Destroy),
    ("send", Verb::Send),
    ("run", Verb::Run),
    ("*", Verb::Any),
];

impl Verb {
    const fn includes(self, required: Self) -> bool {
        match (self, required) {
            (Self::Any, _) => true,
            (Self::Read | Self::Change | Self::Destroy, Self::Read | Self::Change | Self::Destroy) => {
                self as u8 >= required as u8
            }
            _ => self as u8 == required as u8,
        }
    }

    fn word(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("*", |(word, _)| word)
    }
}

/// One entry of `needs`, or what a host function requires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// Host module: `k8s`; `*` for all.
    pub module: String,
    /// What may be done.
    pub verb: Verb,
    /// Where: a pattern with `*` for any text (`payments/*`, `s3://backups/*`). `None`: everywhere.
    pub scope: Option<String>,
}

impl Capability {
    /// True when this entry of `needs` permits a call that requires `required` and touches `scope`.
    /// A call that cannot say what it touches is permitted only by an entry without a scope.
    #[must_use]
    pub fn allows(&self, required: &Self, scope: Option<&str>) -> bool {
        self.covers(required)
            && self.scope.as_deref().is_none_or(|pattern| scope.is_some_and(|scope| matches(pattern, scope)))
    }

    /// As [`Capability::allows`], for some scope or other: what can be said before arguments are known.
    #[must_use]
    pub fn covers(&self, required: &Self) -> bool {
        (self.module == "*" || self.module == required.module) && self.verb.includes(required.verb)
    }
}

/// Does the text fit the pattern, where `*` stands for any text? Greedy with one point to go back to, so
/// that a hostile pattern costs no more than pattern times text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            t = from + 1;
            star = Some((at, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { module: "*".to_owned(), verb: Verb::Any, scope: None });
        }
        let mut parts = text.splitn(3, ':');
        let (module, verb, scope) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let wrong = || format!("`{text}` is not a capability; write `module:verb` or `module:verb:scope`");
        let verb = verb.ok_or_else(wrong)?;
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '*';
        if module.is_empty() || !module.chars().all(named) || scope == Some("") {
            return Err(wrong());
        }
        let Some((_, verb)) = VERBS.iter().find(|(word, _)| *word == verb) else {
            let words = VERBS.iter().map(|(word, _)| *word);
            let hint = crate::text::did_you_mean(verb, words)
                .unwrap_or_else(|| "verbs are `read`, `change`, `destroy`, `send`, `run` and `*`".to_owned());
            return Err(format!("`{verb}` is not a verb of a capability; {hint}"));
        };
        Ok(Self { module: module.to_owned(), verb: *verb, scope: scope.map(str::to_owned) })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.module == "*" && self.verb == Verb::Any && self.scope.is_none() {
            return f.write_str("*");
        }
        write!(f, "{}:{}", self.module, self.verb.word())?;
        self.scope.as_ref().map_or(Ok(()), |scope| write!(f, ":{scope}"))
    }
}

impl Serialize for Capability {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capability(text: &str) -> Capability {
        text.parse().unwrap()
    }

    #[test]
    fn a_verb_includes_the_weaker_ones_and_nothing_else() {
        let table = [
            ("k8s:change", "k8s:read", true),
            ("k8s:change", "k8s:change", true),
            ("k8s:change", "k8s:destroy", false),
            ("k8s:destroy", "k8s:read", true),
            ("k8s:read", "helm:read", false),
            ("notify:send", "notify:read", false),
            ("exec:run", "exec:run", true),
            ("k8s:destroy", "k8s:run", false),
            ("k8s:*", "k8s:run", true),
            ("*", "exec:run", true),
        ];
        for (given, required, expected) in table {
            assert_eq!(capability(given).allows(&capability(required), None), expected, "{given} {required}");
        }
    }

    #[test]
    fn a_scope_is_a_pattern_and_a_call_without_a_scope_does_not_fit_it() {
        let payments = capability("k8s:change:payments/*");
        let change = capability("k8s:change");
        assert!(payments.allows(&change, Some("payments/deployments/web")));
        assert!(!payments.allows(&change, Some("shop/deployments/web")));
        assert!(!payments.allows(&change, None));
        assert!(payments.covers(&change));
        let url = capability("http:read:https://status.example.com/*");
        assert!(url.allows(&capability("http:read"), Some("https://status.example.com/a")));
        assert!(!url.allows(&capability("http:read"), Some("https://status.example.com.evil/a")));
    }

    #[test]
    fn what_is_not_a_capability_is_refused() {
        for text in ["", "k8s", "k8s:", "K8S:read", "k8s:raed", "k8s:read:", ":read"] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
        assert!("k8s:raed".parse::<Capability>().unwrap_err().contains("did you mean `read`?"));
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(
            module in "[a-z][a-z0-9]{0,5}", verb in 0_usize..6, scope in proptest::option::of("[a-z*/:.]{1,9}"),
        ) {
            let given = Capability { module, verb: VERBS[verb].1, scope };
            prop_assert_eq!(given.to_string().parse::<Capability>(), Ok(given));
        }

        #[test]
        fn a_pattern_fits_what_its_stars_are_replaced_by(
            pieces in proptest::collection::vec("[a-z/]{0,4}", 1..5), fills in proptest::collection::vec("[a-z/*]{0,4}", 4),
        ) {
            let pattern = pieces.join("*");
            let mut text = pieces[0].clone();
            for (piece, fill) in pieces[1..].iter().zip(&fills) {
                text = format!("{text}{fill}{piece}");
            }
            prop_assert!(matches(&pattern, &text));
            let extended = format!("{}!{}", text, pieces[pieces.len() - 1]);
            prop_assert_eq!(matches(&pattern, &extended), pieces.len() > 1);
        }

        #[test]
        fn a_narrower_entry_never_allows_more(scope in "[a-c/]{0,6}", pattern in "[a-c/*]{1,6}", verb in 0_usize..6, required in 0_usize..5) {
            let wide = Capability { module: "k8s".into(), verb: VERBS[verb].1, scope: None };
            let narrow = Capability { scope: Some(pattern), ..wide.clone() };
            let required = Capability { module: "k8s".into(), verb: VERBS[required].1, scope: None };
            if narrow.allows(&required, Some(&scope)) {
                prop_assert!(wide.allows(&required, Some(&scope)));
            }
        }
    }
}
