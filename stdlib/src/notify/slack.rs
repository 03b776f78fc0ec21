//! A notification for a Slack incoming webhook, and what its refusals mean. Shapes and limits are those of
//! Slack's Block Kit reference: 3000 characters in a section, 2000 in a field, 10 fields in a section; error
//! words are those of its incoming webhook page.

use aegis_engine::{CallError, codes};
use serde_json::{Value, json};

use super::message::{Message, Severity};

const SECTION: usize = 3000;
const FIELD: usize = 2000;
const FIELDS_PER_SECTION: usize = 10;

/// The body of the request: a headline that also shows in desktop notices, and a coloured block with the rest.
pub(super) fn payload(message: &Message) -> Value {
    let mut blocks = Vec::new();
    if message.title.is_some() || message.message.lines().count() > 1 {
        blocks.push(json!({ "type": "section", "text": text(&escaped(&message.message), SECTION) }));
    }
    let fields: Vec<Value> = message
        .shown_fields()
        .map(|(name, value)| text(&format!("*{}*\n{}", escaped(name), escaped(&value)), FIELD))
        .collect();
    blocks.extend(fields.chunks(FIELDS_PER_SECTION).map(|some| json!({ "type": "section", "fields": some })));
    if let Some(link) = &message.link {
        let address = escaped(link).replace('|', "%7C");
        blocks
            .push(json!({ "type": "section", "text": text(&format!("<{address}|Open details>"), SECTION) }));
    }
    blocks.push(json!({ "type": "context", "elements": [text(&escaped(&message.origin()), FIELD)] }));
    json!({
        "text": format!("{}*{}*", sign(message.severity), escaped(message.headline())),
        "attachments": [{ "color": color(message.severity), "blocks": blocks }],
    })
}

fn text(mrkdwn: &str, limit: usize) -> Value {
    let fits = mrkdwn.chars().count() <= limit;
    let shown = if fits {
        mrkdwn.to_owned()
    } else {
        format!("{}…", mrkdwn.chars().take(limit - 1).collect::<String>())
    };
    json!({ "type": "mrkdwn", "text": shown })
}

/// The three characters that Slack reads as control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Readable without colour.
const fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => ":white_check_mark: ",
        Severity::Info => "",
        Severity::Warning => ":warning: ",
        Severity::Critical => ":rotating_light: ",
    }
}

const fn color(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "#2eb67d",
        Severity::Info => "#36c5f0",
        Severity::Warning => "#ecb22e",
        Severity::Critical => "#e01e5a",
    }
}

/// A refusal: the word that Slack answers with, and what it means for whoever must fix it.
pub(super) fn refused(channel: &str, status: u16, word: &str) -> CallError {
    let word = word.trim();
    let message = format!("Slack refuses the notification for `{channel}`: {status} `{word}`");
    let error = CallError::new(codes::NOTIFY, message);
    match meaning(word) {
        Some(meaning) => error.hint(meaning),
        None => error,
    }
}

fn meaning(word: &str) -> Option<&'static str> {
    Some(match word {
        "invalid_payload" | "no_text" | "too_many_attachments" => {
            "Slack cannot read the message; shorten it, and report this as a defect of aegis if that does not help"
        }
        "invalid_token" | "no_service" | "no_service_id" | "no_team" | "team_disabled"
        | "no_active_hooks" => {
            "the webhook was removed or its URL is wrong; make a new incoming webhook and put its URL into the channel"
        }
        "channel_not_found" | "user_not_found" => {
            "the conversation of the webhook is gone; make a new incoming webhook for a conversation that exists"
        }
        "channel_is_archived" => "unarchive the conversation, or make a new incoming webhook for another one",
        "action_prohibited" | "posting_to_general_channel_denied" => {
            "an administrator of the Slack workspace restricts posting there"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character_and_marked() {
        let cut = text(&"ä".repeat(SECTION + 1), SECTION);
        let cut = cut["text"].as_str().unwrap();
        assert_eq!(cut.chars().count(), SECTION);
        assert!(cut.ends_with("ä…"));
        assert_eq!(text("short", SECTION)["text"], "short");
    }
}
