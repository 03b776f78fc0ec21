//! Listing: selectors, pages, and the versions a list can be asked for.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::answer::{Listed, list_response};
use super::fields::Selection;
use super::query::refuse;
use super::status::{Cause, Status};
use super::{Api, Call};
use crate::patch;
use crate::store::{Item, List};

/// Where the next page begins, and at which version all pages are read.
struct Page {
    version: u64,
    /// `namespace/name` of the last object of the page before.
    after: String,
}

impl Api {
    pub(super) async fn list(&self, call: &Call) -> Result<Response, Status> {
        let selection = Selection::of(call)?;
        let limit = usize::try_from(call.query.number("limit")?.unwrap_or(0)).unwrap_or(0);
        call.query.number("timeoutSeconds")?;
        check_version_match(call)?;
        let page = call.query.get("continue").map(Page::decode).transpose()?;
        let list = self.list_at_wanted_version(call, &selection, page.as_ref())?;
        let version = list.version;
        // A list "as of any time" comes from the watch cache, which does not page.
        let pages = limit > 0 && call.query.get("resourceVersion") != Some("0");
        let (items, meta) = cut_page(list, &selection, page, if pages { limit } else { usize::MAX }, version);
        list_response(call, items.into_iter().map(Listed::Item), &meta)
    }

    fn list_at_wanted_version(
        &self,
        call: &Call,
        selection: &Selection,
        page: Option<&Page>,
    ) -> Result<List, Status> {
        let storage = &call.path.kind.storage;
        let namespace = selection.namespace.as_deref();
        let wanted = call.query.get("resourceVersion");
        if let Some(page) = page {
            if wanted.is_some_and(|version| version != "0") {
                let message = "specifying resource version is not allowed when using continue";
                return Err(Status::bad_request(message));
            }
            let list = self.store().list_at(storage, namespace, page.version);
            return list.map_err(|_| self.expired_page(page));
        }
        let Some(wanted) = wanted else { return Ok(self.store().list(storage, namespace)) };
        let version = self.check_version_is_reached(wanted)?;
        // A page of a list at a version is exact, unless it is said otherwise.
        let has_limit = call.query.number("limit")?.is_some_and(|limit| limit > 0);
        let is_exact = match call.query.get("resourceVersionMatch") {
            None => has_limit && wanted != "0",
            Some(wished) => wished == "Exact",
        };
        if !is_exact {
            return Ok(self.store().list(storage, namespace));
        }
        let list = self.store().list_at(storage, namespace, version);
        list.map_err(|_| Status::expired("The resourceVersion for the provided list is too old."))
    }

    /// The token in the refusal goes on from the same place, at the present version.
    fn expired_page(&self, page: &Page) -> Status {
        let next = Page { version: self.store().version(), after: page.after.clone() };
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
        let mut status = Status::expired(message);
        status.list_continue = Some(next.encode());
        status
    }
}

/// Selects, and cuts the page out; answers the list's metadata as well.
fn cut_page(
    list: List,
    selection: &Selection,
    page: Option<Page>,
    limit: usize,
    version: u64,
) -> (Vec<Item>, Value) {
    let mut items = list.items;
    if let Some(page) = page {
        let start = items.partition_point(|item| place(item) <= page.after);
        items.drain(..start);
    }
    if !selection.is_everything() {
        items.retain(|item| selection.matches(&item.outline()));
    }
    let mut meta = json!({"resourceVersion": version.to_string()});
    if items.len() > limit {
        let remaining = items.len() - limit;
        items.truncate(limit);
        let after = items.last().map(place).unwrap_or_default();
        meta["continue"] = Page { version, after }.encode().into();
        if selection.is_everything() {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    (items, meta)
}

/// Sorts as the store does: by namespace, then name.
fn place(item: &Item) -> String {
    format!("{}\u{0}{}", item.namespace(), item.name())
}

impl Page {
    fn encode(&self) -> String {
        let start = format!("{}\u{0}", self.after.replacen('\u{0}', "/", 1));
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.version, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(token: &str) -> Result<Self, Status> {
        let refuse = |problem: &str| Status::bad_request(format!("invalid continue token: {problem}"));
        // Go's decoder does not mind bits that are left over at the end.
        let alphabet = base64::alphabet::URL_SAFE;
        let lenient = GeneralPurpose::new(&alphabet, NO_PAD.with_decode_allow_trailing_bits(true));
        let text = lenient.decode(token);
        let text = text.map_err(|error| refuse(&format!("continue key is not valid: {error}")))?;
        let token: Value = serde_json::from_slice(&text).map_err(|error| {
            refuse(&format!("continue key is not valid: {}", patch::golang::json_error(&text, &error)))
        })?;
        let start = token["start"].as_str().and_then(|start| start.strip_suffix('\u{0}'));
        match (&token["v"], token["rv"].as_u64(), start) {
            (Value::String(form), Some(version), Some(start)) if form == "meta.k8s.io/v1" => {
                Ok(Self { version, after: start.replacen('/', "\u{0}", 1) })
            }
            _ => Err(refuse("continue key is not valid: incorrect encoded format")),
        }
    }
}

/// The sentence about a resourceVersion that is no number.
pub(super) fn not_a_version(text: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
}

/// `resourceVersionMatch` needs a version, and an exact match needs one that says something.
fn check_version_match(call: &Call) -> Result<(), Status> {
    let Some(wanted) = call.query.get("resourceVersionMatch") else { return Ok(()) };
    let version = call.query.get("resourceVersion");
    let mut causes = Vec::new();
    let mut forbid = |detail: &str| causes.push(Cause::forbidden("resourceVersionMatch", detail));
    match (wanted, version) {
        (_, None) => forbid("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("Exact", Some("0")) => {
            forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        ("Exact" | "NotOlderThan", _) => {}
        (other, _) => {
            let supported = ["Exact", "NotOlderThan", ""];
            causes.push(Cause::unsupported("resourceVersionMatch", &json!(other), &supported));
        }
    }
    refuse("ListOptions", causes)
}
