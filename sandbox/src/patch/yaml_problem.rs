//! What is wrong with a YAML text in the words of the server's parser, which are those of libyaml: ours says the same
//! in others.

/// The server's sentence for what our parser said of `text`.
pub(super) fn in_words_of_libyaml(problem: &str, text: &str) -> String {
    // What was being parsed at the time, libyaml tells apart from the problem.
    let problem = match problem.split_once(", ") {
        Some((context, problem)) if context.starts_with("while ") => problem,
        _ => problem,
    };
    let separator = |open: char| match open {
        '[' => "did not find expected ',' or ']'",
        _ => "did not find expected ',' or '}'",
    };
    let bracket = problem.split('\'').nth(1).and_then(|text| text.chars().next()).unwrap_or('[');
    let words = match problem {
        _ if problem.starts_with("unclosed bracket") && ends_open(text) => {
            "did not find expected node content"
        }
        _ if problem.starts_with("unclosed bracket") || problem.starts_with("mismatched bracket") => {
            separator(bracket)
        }
        "misplaced bracket" => "did not find expected node content",
        "expected ',' or ']'" => separator('['),
        "unclosed quote" => "found unexpected end of stream",
        "simple key expected ':'" | "simple key is no longer valid" => "could not find expected ':'",
        _ if problem.starts_with("unexpected character") || problem.contains("tab") => {
            "found character that cannot start any token"
        }
        "invalid indentation" => "did not find expected key",
        other => other,
    };
    words.to_owned()
}

/// Whether a text ends where a value has to follow.
fn ends_open(text: &str) -> bool {
    text.trim_end().ends_with(['[', '{', ',', ':'])
}

#[cfg(test)]
mod tests {
    use super::super::yaml_to_json;

    #[test]
    fn broken_texts_are_told_as_libyaml_does() {
        let cases = [
            ("a: [", "line 1: did not find expected node content"),
            ("a: [b", "line 1: did not find expected ',' or ']'"),
            ("a: {b: c", "line 1: did not find expected ',' or '}'"),
            ("a: \"b", "line 1: found unexpected end of stream"),
        ];
        for (text, wanted) in cases {
            let told = yaml_to_json(text).unwrap_err().to_string();
            assert!(told.ends_with(wanted), "{text}: {told}");
        }
    }
}
