//! The query of a request and the options in it, checked as the real server checks them.

use serde_json::{Value, json};

use super::route::percent_decode;
use super::status::{Cause, Status};

/// The decoded pairs of a query, in order; the first of equal names counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            // A broken escape makes the real server drop the pair.
            let is_broken = value.split('%').skip(1).any(|rest| {
                !rest.get(..2).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            });
            (!is_broken).then(|| (decode(name), decode(value)))
        });
        Self(pairs.flatten().collect())
    }

    /// A query of given pairs.
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The first value of a name; none when it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(present, _)| present == name);
        pair.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    /// Whether a name is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(present, _)| present == name)
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(present, _)| present == name).map(|(_, value)| &**value)
    }

    /// A switch: absent, empty, `0` and `false` are off, everything else is on.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.get(name), Some("0" | "false" | "False" | "FALSE" | "f" | "F"))
    }

    /// A whole number, or why it is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            })
        };
        self.get(name).map(parse).transpose()
    }
}

/// What to do with fields a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options of any write.
#[derive(Clone, Debug)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    pub(super) field_manager: Option<String>,
    pub(super) field_validation: FieldValidation,
    pub(super) force: bool,
}

impl WriteOptions {
    /// Reads the options; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub(super) fn read(query: &Query, kind: &str) -> Result<Self, Status> {
        let mut causes = Vec::new();
        let dry_run = read_dry_run(&query.all("dryRun").collect::<Vec<_>>(), &mut causes);
        let field_manager = query.get("fieldManager").map(str::to_owned);
        causes.extend(field_manager.as_deref().and_then(field_manager_problem));
        let field_validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                causes.push(Cause::unsupported("fieldValidation", &json!(other), &supported));
                FieldValidation::Warn
            }
        };
        let force = query.flag("force");
        refuse(kind, causes)?;
        Ok(Self { dry_run, field_manager, field_validation, force })
    }
}

/// Whether `dryRun` is asked for; anything but `All` is a mistake.
pub(super) fn read_dry_run(values: &[&str], causes: &mut Vec<Cause>) -> bool {
    let values: Vec<&&str> = values.iter().filter(|value| !value.is_empty()).collect();
    if values.iter().any(|value| **value != "All") {
        let value = Value::from(values.iter().map(|value| Value::from(**value)).collect::<Vec<_>>());
        causes.push(Cause::unsupported("dryRun", &value, &["All"]));
    }
    !values.is_empty()
}

fn field_manager_problem(name: &str) -> Option<Cause> {
    if name.len() > 128 {
        return Some(Cause::too_long("fieldManager", 128));
    }
    let is_printable = name.chars().all(|c| !c.is_control());
    (!is_printable)
        .then(|| Cause::invalid("fieldManager", &json!(name), "should only contain printable characters"))
}

/// Refuses options with causes, as an invalid object of `meta.k8s.io`.
pub(super) fn refuse(kind: &str, causes: Vec<Cause>) -> Result<(), Status> {
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid_named("meta.k8s.io", kind, "", &causes)),
    }
}
