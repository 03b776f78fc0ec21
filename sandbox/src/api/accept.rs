//! What form of answer a client wants: JSON, YAML or protobuf, whole objects, metadata only, or a table.

use http::{HeaderMap, header};

use super::status::Status;

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    /// For whole objects of kinds in the table only.
    Protobuf,
}

/// The media type of protobuf.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What is shown of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    Whole,
    /// `PartialObjectMetadata` or its list, in this version of `meta.k8s.io`.
    Metadata(String),
    /// `Table`, in this version of `meta.k8s.io`.
    Table(String),
}

/// The first wish that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accept {
    pub(super) format: Format,
    pub(super) view: View,
}

/// One entry of an `Accept` header.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish<'a> {
    pub(super) media: &'a str,
    pub(super) transform: Option<&'a str>,
    pub(super) group: Option<&'a str>,
    pub(super) version: Option<&'a str>,
}

/// The entries of an `Accept` header, in the client's order.
pub(super) fn wishes(headers: &HeaderMap) -> Vec<Wish<'_>> {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut wishes: Vec<Wish<'_>> = values.flat_map(|value| value.split(',')).map(wish).collect();
    if wishes.is_empty() {
        wishes.push(Wish { media: "*/*", ..Wish::default() });
    }
    wishes
}

fn wish(entry: &str) -> Wish<'_> {
    let mut parts = entry.split(';').map(str::trim);
    let mut wish = Wish { media: parts.next().unwrap_or_default(), ..Wish::default() };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "as" => wish.transform = Some(value),
            "g" => wish.group = Some(value),
            "v" => wish.version = Some(value),
            _ => {}
        }
    }
    wish
}

/// Chooses the first wish that can be served for an answer made of objects, as text.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Accept, Status> {
    negotiate_with(headers, false)
}

/// The same where whole objects may be `writable` as protobuf too.
pub(super) fn negotiate_with(headers: &HeaderMap, writable: bool) -> Result<Accept, Status> {
    let chosen = wishes(headers).iter().find_map(|wish| {
        let is_protobuf = writable && wish.media == PROTOBUF && wish.transform.is_none();
        let format = format_of(wish.media).or(is_protobuf.then_some(Format::Protobuf))?;
        let version = wish.version.unwrap_or("v1").to_owned();
        let is_known = wish.group == Some("meta.k8s.io") && matches!(&*version, "v1" | "v1beta1");
        let view = match wish.transform {
            None => View::Whole,
            Some("Table") if is_known => View::Table(version),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if is_known => {
                View::Metadata(version)
            }
            Some(_) => return None,
        };
        Some(Accept { format, view })
    });
    chosen.ok_or_else(|| {
        match wishes(headers).iter().any(|wish| WRITABLE.contains(&wish.media) || wish.media.contains('*')) {
            true => not_acceptable(),
            false => Status::not_acceptable(&WRITABLE.join(", ")),
        }
    })
}

/// The text format of a media type.
pub(super) fn format_of(media: &str) -> Option<Format> {
    match media {
        "application/json" | "*/*" | "application/*" => Some(Format::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Format::Yaml),
        _ => None,
    }
}

/// What a real server writes.
const WRITABLE: &[&str] = &["application/json", "application/yaml", PROTOBUF];

/// The media type is one we know, and what is wanted of it cannot be served.
pub(super) fn not_acceptable() -> Status {
    let message = format!("only the following media types are accepted: {}", WRITABLE.join(", "));
    Status::new(406, "NotAcceptable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<Accept> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        negotiate(&headers).ok()
    }

    #[test]
    fn the_first_servable_wish_wins() {
        let whole = Accept { format: Format::Json, view: View::Whole };
        assert_eq!(chosen("application/vnd.kubernetes.protobuf, */*"), Some(whole.clone()));
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "application/vnd.kubernetes.protobuf, */*".parse().unwrap());
        let protobuf = Accept { format: Format::Protobuf, view: View::Whole };
        assert_eq!(negotiate_with(&headers, true).ok(), Some(protobuf));
        assert_eq!(chosen("application/json;as=Nope;g=meta.k8s.io;v=v1,application/json"), Some(whole));
        let table = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(chosen(table).unwrap().view, View::Table("v1beta1".into()));
        assert_eq!(chosen("application/yaml").unwrap().format, Format::Yaml);
        assert_eq!(chosen("text/html"), None);
    }
}
