//! A recorded line as a request of today: learnt values put in, and what the recorder could not keep
//! made again from what it says about it.

mod body;
mod protobuf;

use crate::client::{Asked, Client};
use crate::learnt::Learnt;
use crate::recording::Line;

/// Users of the recorded cluster by name, with their groups.
const USERS: &[(&str, &[&str])] = &[("alice", &["dev", "qa"])];

/// Who a request comes from: the users of a recording as the sandbox knows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speakers {
    /// The token that the recording was last given for a service account.
    pub(crate) service_account: String,
}

/// Makes the request.
pub(crate) fn request(line: &Line, learnt: &Learnt, client: &Client, speakers: &Speakers) -> Asked {
    let mut headers = Vec::new();
    for (name, values) in &line.req_headers {
        for value in values.all() {
            let value = match (&**name, &line.accept_sent) {
                ("Accept", Some(sent)) => sent.clone(),
                ("Content-Type", _) if body::is_made_again(line) => "application/json".to_owned(),
                ("If-None-Match", _) => learnt.opaque_here(value).unwrap_or(value).to_owned(),
                _ => value.clone(),
            };
            headers.push((name.clone(), value));
        }
    }
    headers.extend(authority(line, client, speakers));
    Asked {
        method: line.method.clone(),
        target: target(line, learnt),
        headers,
        body: body::body(line, learnt),
    }
}

/// Says who asks. A user by name is the administrator acting as that user.
fn authority(line: &Line, client: &Client, speakers: &Speakers) -> Vec<(String, String)> {
    let bearer = |token: &str| vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    match &*line.auth {
        "admin" => bearer(&client.token),
        "none" => Vec::new(),
        "serviceaccount-token" => bearer(&speakers.service_account),
        // A server that did not answer 401 saw no token at all: an empty one, or another scheme.
        "invalid-token" if line.status == 401 => bearer("invalid"),
        "invalid-token" => vec![("Authorization".to_owned(), "Basic aW52YWxpZDppbnZhbGlk".to_owned())],
        user => {
            let mut headers = bearer(&client.token);
            headers.push(("Impersonate-User".to_owned(), user.to_owned()));
            let groups = USERS.iter().find(|(name, _)| *name == user).map_or(&[][..], |(_, groups)| groups);
            headers.extend(groups.iter().map(|group| ("Impersonate-Group".to_owned(), (*group).to_owned())));
            headers
        }
    }
}

fn target(line: &Line, learnt: &Learnt) -> String {
    let path = learnt.text_here(&line.path);
    if line.query.is_empty() {
        return path;
    }
    let pairs: Vec<String> = line.query.split('&').map(|pair| parameter(pair, learnt)).collect();
    format!("{path}?{}", pairs.join("&"))
}

/// One `name=value` of a query; what holds nothing learnt keeps its spelling.
fn parameter(pair: &str, learnt: &Learnt) -> String {
    let Some((name, value)) = pair.split_once('=') else {
        return pair.to_owned();
    };
    let plain = decoded(value);
    let here = match name {
        "resourceVersion" => learnt.version_here(&plain),
        "continue" | "hash" => learnt.opaque_here(&plain).unwrap_or(&plain).to_owned(),
        _ => learnt.text_here(&plain),
    };
    if here == plain { pair.to_owned() } else { format!("{name}={}", encoded(&here)) }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = (bytes[index] == b'%').then(|| text.get(index + 1..index + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                index += 3;
            }
            None => {
                out.push(if bytes[index] == b'+' { b' ' } else { bytes[index] });
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
