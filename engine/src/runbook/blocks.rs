//! Steps and parallel blocks as a script writes them: where each begins, and the tokens of its options and body.
//! Spaces and comments are no tokens, so that two texts can be compared by what they do. Nothing is parsed here:
//! a tree does not say where a call ends.

use std::collections::BTreeMap;

use rhai::{Position, Token};

use super::compiler;

/// A call of `step` or `parallel`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// Tells it from all others of its script: the function and the blocks around it, its name as it is written, and
    /// which one of that name it is.
    pub(crate) path: Vec<String>,
    /// Where it begins.
    pub(crate) position: Position,
    /// All that is in its parentheses behind the first argument.
    pub(crate) tokens: Vec<Token>,
}

impl Block {
    /// The tokens without those of a literal options map.
    pub(crate) fn body(&self) -> &[Token] {
        if self.tokens.first() != Some(&Token::MapStart) {
            return &self.tokens;
        }
        let mut depth = 0_usize;
        let end = self.tokens.iter().position(|token| {
            match token {
                Token::LeftBrace | Token::MapStart => depth += 1,
                Token::RightBrace => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        // A comma stands behind it.
        end.and_then(|end| self.tokens.get(end + 2..)).unwrap_or_default()
    }
}

/// Every block of a text, outer ones first. Of a text that is no script, those before the mistake.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let tokens = tokens(text);
    let mut reader = Reader::default();
    for at in 0..tokens.len() {
        reader.take(&tokens, at);
    }
    let mut blocks = reader.closed;
    blocks.sort_by_key(|block| (block.position.line(), block.position.position()));
    blocks
}

/// The tokens of a text. What stands inside `${ }` is code as any other, behind it the text goes on: the tokenizer
/// has to be told when.
fn tokens(text: &str) -> Vec<(Token, Position)> {
    let engine = compiler();
    let texts = [text];
    let (stream, control) = engine.lex(&texts);
    let mut found: Vec<(Token, Position)> = Vec::new();
    let mut braces = Vec::new();
    for (token, position) in stream {
        match &token {
            Token::EOF | Token::LexError(_) => break,
            Token::LeftBrace | Token::MapStart => {
                braces.push(matches!(found.last(), Some((Token::InterpolatedString(_), _))));
            }
            Token::RightBrace if braces.pop() == Some(true) => control.borrow_mut().is_within_text = true,
            _ => {}
        }
        found.push((token, position));
    }
    found
}

#[derive(Default)]
struct Reader {
    depth: usize,
    /// The function whose body this is, and those that were met of its name.
    function: Option<String>,
    open: Vec<Open>,
    closed: Vec<Block>,
    met: BTreeMap<Vec<String>, usize>,
}

/// A block whose parentheses are open.
struct Open {
    start: usize,
    depth: usize,
    /// Known once its first argument has been read.
    label: Option<(String, usize)>,
}

impl Reader {
    fn take(&mut self, tokens: &[(Token, Position)], at: usize) {
        match &tokens[at].0 {
            Token::Fn => {
                self.function = tokens.get(at + 1).and_then(|(next, _)| word(next)).map(str::to_owned);
            }
            Token::LeftParen | Token::LeftBracket | Token::LeftBrace | Token::MapStart => {
                self.depth += 1;
                if begins(tokens, at) {
                    self.open.push(Open { start: at, depth: self.depth, label: None });
                }
            }
            Token::RightParen | Token::RightBracket | Token::RightBrace => self.close(tokens, at),
            Token::Comma => self.label(tokens, at),
            _ => {}
        }
    }

    /// A comma behind the first argument of the innermost block.
    fn label(&mut self, tokens: &[(Token, Position)], at: usize) {
        let (depth, around) = (self.depth, self.path());
        let Some(open) = self.open.last_mut().filter(|open| open.depth == depth && open.label.is_none())
        else {
            return;
        };
        let name = tokens.get(open.start - 1).and_then(|(token, _)| word(token)).unwrap_or_default();
        // The items of a parallel block are no name: they may change while it stays the same.
        let first = if name == "step" { &tokens[open.start + 1..at] } else { &[] };
        let words: Vec<String> = first.iter().map(|(token, _)| format!("{token:?}")).collect();
        let label = format!("{name} {}", words.join(" "));
        let met = self.met.entry([around, vec![label.clone()]].concat()).or_default();
        open.label = Some((format!("{label}#{met}"), at));
        *met += 1;
    }

    fn close(&mut self, tokens: &[(Token, Position)], at: usize) {
        if self.open.last().is_some_and(|open| open.depth == self.depth) {
            let path = self.path();
            if let Some(Open { start, label: Some((_, comma)), .. }) = self.open.pop() {
                let inside = tokens[comma + 1..at].iter().map(|(token, _)| token.clone()).collect();
                self.closed.push(Block { path, position: tokens[start - 1].1, tokens: inside });
            }
        }
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 && tokens[at].0 == Token::RightBrace {
            self.function = None;
        }
    }

    /// The function and the blocks that are open.
    fn path(&self) -> Vec<String> {
        let labels = self.open.iter().filter_map(|open| open.label.as_ref()).map(|(label, _)| label.clone());
        self.function.iter().map(|name| format!("fn {name}")).chain(labels).collect()
    }
}

/// Whether a parenthesis opens the arguments of a block.
fn begins(tokens: &[(Token, Position)], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at].0);
    let named = before(1).and_then(word).is_some_and(|name| matches!(name, "step" | "parallel"));
    let own = !matches!(before(2), Some(Token::Period | Token::DoubleColon | Token::Fn));
    tokens[at].0 == Token::LeftParen && named && own
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Identifier(name) => Some(name.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, usize)> {
        let blocks = blocks(text).into_iter();
        blocks.map(|block| (block.path.join(" > "), block.position.line().unwrap_or(0))).collect()
    }

    #[test]
    fn blocks_are_told_apart_by_what_is_around_them() {
        let text = r#"
step("a", || 1);
step("a", #{ timeout: `${1 + {2}}m` }, || {
    step("b", || `x ${step("in a text", || "}") } y`);
});
fn work(items) { parallel(items, |item, n| step(`do ${item}`, || [item, #{ n: 1 }])) }
// step("not here", || 1);
let x = other::step("nor here", 1);
parallel([step("c", || 1), 2], #{ max: 2 }, |i| i);
"#;
        let told = paths(text);
        let expected = [
            ("step StringConstant(\"a\")#0", 2),
            ("step StringConstant(\"a\")#1", 3),
            ("step StringConstant(\"a\")#1 > step StringConstant(\"b\")#0", 4),
            (
                "step StringConstant(\"a\")#1 > step StringConstant(\"b\")#0 > step StringConstant(\"in a text\")#0",
                4,
            ),
            ("fn work > parallel #0", 6),
        ];
        for (told, (path, line)) in told.iter().zip(expected) {
            assert_eq!((told.0.as_str(), told.1), (path, line));
        }
        assert_eq!(told.len(), 8, "{told:#?}");
        assert!(
            told[5].0.starts_with("fn work > parallel #0 > step InterpolatedString(\"do \")"),
            "{told:#?}"
        );
        assert_eq!(told[6..].iter().map(|(_, line)| *line).collect::<Vec<_>>(), [9, 9]);
    }

    #[test]
    fn spaces_and_comments_are_no_difference() {
        let one = blocks("step(\"a\", || { let x = 1; x })");
        let other = blocks("\n\nstep( \"a\" , || {\n    // one\n    let x = 1;\n    x /* it */\n})");
        assert_eq!((&one[0].path, &one[0].tokens), (&other[0].path, &other[0].tokens));
        assert_ne!(one[0].tokens, blocks("step(\"a\", || { let x = 2; x })")[0].tokens);
        let optional = blocks("step(\"a\", #{ retry: #{ max: 1 } }, || { let x = 1; x })");
        assert_ne!(one[0].tokens, optional[0].tokens);
        assert_eq!(one[0].body(), optional[0].body());
    }
}
