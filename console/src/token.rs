//! Who may do what: bearer tokens, of which only hashes are kept. A token is compared with all of them, each in constant
//! time, so that an answer's time tells nothing.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Hand events to triggers, and nothing else.
    Trigger,
    /// Look at everything.
    Viewer,
    /// Look, decide, pause, start and halt.
    Operator,
}

impl Role {
    /// Whether it may do what another role is needed for.
    #[must_use]
    pub fn may(self, needed: Self) -> bool {
        self == needed || matches!((self, needed), (Self::Operator, _))
    }

    /// The word of it in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A token as the configuration keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// SHA-256 of the token, in hexadecimal digits. Tokens are 256 random bits, so that nothing slower is needed.
    pub sha256: String,
    /// What its holder may do.
    pub role: Role,
}

/// Everybody who may do something.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(String, Vec<u8>, Role)>);

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name of the token: the person of decisions made with it.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Tokens {
    /// Tokens by the name of their holder.
    ///
    /// # Errors
    /// The name of one whose hash is none.
    pub fn new<'t>(tokens: impl IntoIterator<Item = (&'t String, &'t Token)>) -> Result<Self, String> {
        let read = |(name, token): (&'t String, &'t Token)| {
            let hash = hex::decode(&token.sha256).ok().filter(|hash| hash.len() == 32);
            Ok((name.clone(), hash.ok_or_else(|| name.clone())?, token.role))
        };
        tokens.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Who holds a token.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Holder> {
        let hash = Sha256::digest(token.as_bytes());
        let mut found = None;
        for (name, known, role) in &self.0 {
            if bool::from(known.ct_eq(hash.as_slice())) {
                found = Some(Holder { name: name.clone(), role: *role });
            }
        }
        found
    }
}

/// The hash that the configuration keeps of a token.
#[must_use]
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_its_role_bounds_it() {
        let token = |text: &str, role| Token { sha256: hash(text), role };
        let (kim, prometheus) = (
            ("kim".to_owned(), token("one", Role::Operator)),
            ("look".to_owned(), token("two", Role::Viewer)),
        );
        let tokens = Tokens::new([(&kim.0, &kim.1), (&prometheus.0, &prometheus.1)]).unwrap();
        assert_eq!(tokens.holder("one").unwrap(), Holder { name: "kim".to_owned(), role: Role::Operator });
        assert_eq!(tokens.holder("two").unwrap().role, Role::Viewer);
        assert_eq!(tokens.holder("three"), None);
        assert_eq!(tokens.holder(""), None);
        assert!(Role::Operator.may(Role::Viewer) && Role::Operator.may(Role::Trigger));
        assert!(
            !Role::Viewer.may(Role::Operator)
                && !Role::Viewer.may(Role::Trigger)
                && !Role::Trigger.may(Role::Viewer)
        );
        let wrong = Token { sha256: "abc".to_owned(), role: Role::Viewer };
        assert_eq!(Tokens::new([(&kim.0, &wrong)]).unwrap_err(), "kim");
    }
}
