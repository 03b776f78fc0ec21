//! Who hears what of a run, as headers and schedules declare it: channels of its target by the moment they hear of.
//!
//! ```text
//! notify: "ops"                                    the usual moments
//! notify: #{ failed: ["ops", "pager"], succeeded: "log", waiting: [] }
//! ```
//!
//! What is not declared is left to whoever runs it. Nothing is sent here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Shape, Written};
use crate::diagnostic::Place;
use crate::text::{did_you_mean, list};

/// A moment of a run that people may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// It began.
    Started,
    /// It reached its end.
    Succeeded,
    /// It failed, was cancelled, or its schedule was paused because it kept failing.
    Failed,
    /// It waits for a person.
    Waiting,
    /// Its maintenance window closes soon, and it is stopped then.
    Closing,
    /// It should have run and did not: nobody was there, or it could not be used.
    Missed,
    /// A person let it run outside of its window or inside a freeze.
    BreakGlass,
}

impl Moment {
    /// Every moment, in the order of a run.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::Succeeded,
        Self::Failed,
        Self::Waiting,
        Self::Closing,
        Self::Missed,
        Self::BreakGlass,
    ];

    /// The moments that a lone channel name is for: somebody may have to do something.
    pub const USUAL: [Self; 5] = [Self::Failed, Self::Waiting, Self::Closing, Self::Missed, Self::BreakGlass];

    /// The word as it stands in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Closing => "closing",
            Self::Missed => "missed",
            Self::BreakGlass => "break-glass",
        }
    }
}

/// Channels by the moment they hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notify(BTreeMap<Moment, Vec<String>>);

/// What is wrong with a declaration: where, a sentence, a hint.
pub type Mistake = (Option<Place>, String, Option<String>);

impl Notify {
    /// One channel for the usual moments; without a name nobody.
    #[must_use]
    pub fn usual(channel: &str) -> Self {
        let channels: Vec<String> =
            Some(channel).filter(|name| !name.is_empty()).map(str::to_owned).into_iter().collect();
        Self(Moment::USUAL.map(|moment| (moment, channels.clone())).into_iter().collect())
    }

    /// Reads what was written: a channel, a list of them, or either by moment.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(written: &Written) -> Result<Self, Mistake> {
        let Shape::Map(entries) = &written.shape else {
            let channels = channels(written)?;
            return Ok(Self(Moment::USUAL.map(|moment| (moment, channels.clone())).into_iter().collect()));
        };
        let read = |(key, place, value): &(String, Option<Place>, Written)| {
            let wanted = key.replace('_', "-");
            let moment = Moment::ALL.into_iter().find(|moment| moment.word() == wanted);
            Ok((moment.ok_or_else(|| unknown(key, place.clone()))?, channels(value)?))
        };
        entries.iter().map(read).collect::<Result<_, Mistake>>().map(Self)
    }

    /// Who hears of a moment; `None`: nothing is declared about it.
    #[must_use]
    pub fn of(&self, moment: Moment) -> Option<&[String]> {
        self.0.get(&moment).map(Vec::as_slice)
    }

    /// What this declares, and what another declares about the moments that this leaves open.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut both = other.0.clone();
        both.extend(self.0.iter().map(|(moment, channels)| (*moment, channels.clone())));
        Self(both)
    }

    /// True when nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every channel that is named.
    #[must_use]
    pub fn channels(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(String::as_str).collect()
    }
}

fn channels(written: &Written) -> Result<Vec<String>, Mistake> {
    let name = |written: &Written| match &written.shape {
        Shape::Scalar(serde_json::Value::String(name)) => Ok(name.clone()),
        _ => Err((
            written.place.clone(),
            "expected the name of a channel, or a list of names".to_owned(),
            None,
        )),
    };
    match &written.shape {
        Shape::List(items) => items.iter().map(name).collect(),
        _ => name(written).map(|name| Some(name).filter(|name| !name.is_empty()).into_iter().collect()),
    }
}

fn unknown(key: &str, place: Option<Place>) -> Mistake {
    let words = Moment::ALL.map(Moment::word);
    let hint = did_you_mean(key, words).unwrap_or_else(|| format!("moments are {}", list(&words)));
    (place, format!("`notify` has no moment `{key}`"), Some(hint))
}
