//! `aegis run --step`: asks before each effect, with its live diff: do it, leave it out with a note, or stop.
//! Answers are read line by line from stdin; its end means stop.

use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_engine::run::confirm::{Answer, Confirm, Proposal};
use aegis_engine::text::printable;

use super::running::Watcher;
use crate::view::say;

/// Asks the person at the terminal.
pub(crate) struct Stepping {
    watcher: Arc<Watcher>,
    /// Branches ask at the same time; a person is asked one thing at a time.
    asking: Mutex<()>,
}

impl Stepping {
    pub(crate) fn at(watcher: &Arc<Watcher>) -> Arc<dyn Confirm> {
        Arc::new(Self { watcher: Arc::clone(watcher), asking: Mutex::default() })
    }
}

impl Confirm for Stepping {
    fn ask(&self, proposal: &Proposal) -> Answer {
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.watcher.pause(|| {
            say(&described(proposal));
            answer(&mut std::io::stdin().lock())
        })
    }
}

fn described(proposal: &Proposal) -> String {
    let summary = if proposal.plan.summary.is_empty() { &proposal.function } else { &proposal.plan.summary };
    let mut text = format!("\n{} ({}): {summary}", proposal.effect.word(), proposal.function);
    for line in proposal.plan.diff.iter().flat_map(|diff| diff.lines()) {
        text.push_str("\n    ");
        text.push_str(&printable(line));
    }
    text
}

fn answer(input: &mut impl BufRead) -> Answer {
    loop {
        say("do it, skip it, or stop here? [d/s/x]");
        match line(input).as_deref() {
            Some("d" | "do" | "y" | "yes") => return Answer::Do,
            Some("s" | "skip") => {
                say("why is it skipped?");
                return line(input).map_or(Answer::Stop, Answer::Skip);
            }
            None | Some("x" | "stop" | "q" | "quit") => return Answer::Stop,
            Some(_) => {}
        }
    }
}

/// A line without its end; `None` when there are no more.
fn line(input: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    let read = input.read_line(&mut text).ok()?;
    (read > 0).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_or_letters_and_the_end_stops() {
        let table = [
            ("d\n", Answer::Do),
            ("what\nyes\n", Answer::Do),
            ("skip\nalready there\n", Answer::Skip("already there".to_owned())),
            ("s\n", Answer::Stop),
            ("x\n", Answer::Stop),
            ("", Answer::Stop),
        ];
        for (typed, expected) in table {
            assert_eq!(answer(&mut typed.as_bytes()), expected, "{typed:?}");
        }
    }
}
