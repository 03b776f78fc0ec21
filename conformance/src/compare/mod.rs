//! Two answers as a list of differences. What may differ is in `rules`; what is learnt on the way goes
//! into `learnt`. Lists of objects are sets by name, causes are a set, everything else is in order.

mod pairs;
mod rules;
mod watches;

use serde_json::Value;

use self::rules::Rule;
pub(crate) use self::watches::{Extent, reached, watch};
use crate::client::Answer;
use crate::learnt::{Learnt, words};
use crate::motion::Motion;

/// One place where two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, such as `body/metadata/labels/app`.
    pub place: String,
    /// What the real server said; none when it said nothing there.
    pub recorded: Option<Value>,
    /// What the sandbox said.
    pub here: Option<Value>,
}

/// Which line is compared, and what else is known of its scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) seq: u64,
    pub(crate) is_capped: bool,
    pub(crate) is_read: bool,
    /// What is in a list depends on what was drawn: it is a page, or selects by the node that was picked.
    pub(crate) is_by_chance: bool,
    /// The answer may still become what was recorded, so what is under way is not excused yet.
    pub(crate) is_patient: bool,
    pub(crate) motion: &'a Motion,
}

/// Headers that are compared by value, and those that must only be there.
const TELLING: &[&str] = &["warning", "retry-after", "location", "allow", "www-authenticate"];
const PRESENT: &[&str] = &["etag"];

/// Compares two answers.
pub(crate) fn answers(
    recorded: &Answer,
    here: &Answer,
    context: Context<'_>,
    learnt: &mut Learnt,
) -> Vec<Difference> {
    let goes = context.motion.list_moves(context.seq) || context.motion.goes(context.seq, &recorded.body);
    if context.is_read && goes && is_gone(recorded, here) {
        return Vec::new();
    }
    let mut comparison = Comparison::new(context, learnt);
    comparison.at("status", |c| c.values(&recorded.status.into(), &here.status.into()));
    comparison.at("content_type", |c| {
        c.values(&recorded.content_type.as_str().into(), &here.content_type.as_str().into());
    });
    comparison.at("headers", |c| c.headers(recorded, here));
    comparison.at("body", |c| match (parsed(recorded), parsed(here)) {
        (Some(recorded), Some(here)) => c.object(&recorded, &here),
        _ => c.object(&recorded.body, &here.body),
    });
    comparison.differences
}

/// Whether an object that was going in the recording has gone here.
fn is_gone(recorded: &Answer, here: &Answer) -> bool {
    recorded.status == 200 && here.status == 404
}

/// A YAML answer, or one of JSON line by line, as what it means.
fn parsed(answer: &Answer) -> Option<Value> {
    let text = answer.body["@text"].as_str().filter(|text| !text.is_empty())?;
    match answer.content_type.contains("yaml") {
        true => serde_saphyr::from_str(text).ok(),
        false => text.lines().map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Option<Value>>(),
    }
}

struct Comparison<'a> {
    context: Context<'a>,
    learnt: &'a mut Learnt,
    place: Vec<String>,
    columns: Vec<String>,
    differences: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    fn new(context: Context<'a>, learnt: &'a mut Learnt) -> Self {
        Self { context, learnt, place: Vec::new(), columns: Vec::new(), differences: Vec::new() }
    }

    fn at(&mut self, part: &str, work: impl FnOnce(&mut Self)) {
        // As in a JSON pointer, so that a place can be taken apart again.
        self.place.push(part.replace('/', "~1"));
        work(self);
        self.place.pop();
    }

    fn differ(&mut self, recorded: Option<&Value>, here: Option<&Value>) {
        let place = self.place.join("/");
        self.differences.push(Difference { place, recorded: recorded.cloned(), here: here.cloned() });
    }

    fn headers(&mut self, recorded: &Answer, here: &Answer) {
        for &name in TELLING.iter().chain(PRESENT) {
            let value = |answer: &Answer| answer.headers.get(name).map(|values| Value::from(values.clone()));
            let (recorded, here) = (value(recorded), value(here));
            self.at(name, |c| match (&recorded, &here) {
                (Some(recorded), Some(here)) if PRESENT.contains(&name) => {
                    c.learn_opaque(&recorded[0], &here[0])
                }
                (Some(recorded), Some(here)) => c.values(recorded, here),
                (None, None) => {}
                (recorded, here) => c.differ(recorded.as_ref(), here.as_ref()),
            });
        }
    }

    /// An object, a list of them, a table, or anything else. Of one in motion, what controllers write
    /// does not count.
    fn object(&mut self, recorded: &Value, here: &Value) {
        if recorded.get("@summary").is_some() {
            return;
        }
        let before = self.differences.len();
        match recorded["spec"]["containers"].is_array() {
            true => self.pod(recorded, here),
            false => self.values(&pairs::without_trigger(recorded), &pairs::without_trigger(here)),
        }
        let motion = self.context.motion;
        let moves = match self.context.is_read {
            true => motion.moves(self.context.seq, recorded),
            false => Motion::is_unfinished(recorded),
        };
        let is_on_its_way =
            Motion::is_under_way(recorded) || motion.is_read_early(self.context.seq, recorded);
        let moves = moves || (!self.context.is_patient && is_on_its_way);
        if moves {
            self.excuse_controllers(before, recorded, self.place.len());
        }
    }

    /// Forgets, of the differences since there were `before`, those in what controllers write of an object, which
    /// stands `depth` parts deep.
    fn excuse_controllers(&mut self, before: usize, recorded: &Value, depth: usize) {
        let later = self.differences.split_off(before);
        let is_owned = recorded["metadata"]["ownerReferences"].is_array();
        let counts = |difference: &Difference| !rules::is_controllers(&difference.place, depth, is_owned);
        self.differences.extend(later.into_iter().filter(counts));
    }

    /// A pod, without what was imitated of its status.
    fn pod(&mut self, recorded: &Value, here: &Value) {
        let before = self.differences.len();
        self.values(&pairs::without_imitation(recorded), &pairs::without_imitation(here));
        let mut differences = self.differences.split_off(before);
        differences.retain(|difference| {
            !rules::is_imitated(&difference.place.split('/').map(str::to_owned).collect::<Vec<_>>())
        });
        self.differences.extend(differences);
    }

    fn values(&mut self, recorded: &Value, here: &Value) {
        match (recorded, here) {
            (Value::Object(recorded), Value::Object(here)) => {
                for (key, pair) in pairs::members(recorded, here, self.learnt) {
                    self.at(&key, |c| c.members(&key, pair));
                }
            }
            (Value::Array(recorded), Value::Array(here)) => self.arrays(recorded, here),
            (recorded, here) => self.scalars(recorded, here),
        }
    }

    fn members(&mut self, key: &str, pair: (Option<&Value>, Option<&Value>)) {
        match pair {
            (Some(Value::Array(recorded)), Some(Value::Array(here))) if rules::is_set(key) => {
                self.objects(recorded, here);
            }
            (Some(Value::Array(recorded)), Some(Value::Array(here))) if key == "causes" => {
                self.arrays(&pairs::sorted(recorded), &pairs::sorted(here));
            }
            (Some(Value::Array(recorded)), Some(Value::Array(here))) if key == "sources" => {
                let ours = |source: &&Value| !rules::is_foreign_source(source);
                let recorded: Vec<Value> = recorded.iter().filter(ours).cloned().collect();
                let here: Vec<Value> = here.iter().filter(ours).cloned().collect();
                self.arrays(&recorded, &here);
            }
            (Some(Value::Array(recorded)), Some(Value::Array(here)))
                if rules::is_endpoints(key, recorded) =>
            {
                let here = pairs::in_order_of(recorded, here, self.learnt);
                self.arrays(recorded, &here);
            }
            (Some(Value::Array(recorded)), Some(Value::Array(here))) if key == "managedFields" => {
                self.owners(recorded, here);
            }
            (Some(recorded), Some(here)) => {
                if key == "columnDefinitions" {
                    self.columns = pairs::column_names(recorded);
                }
                self.values(recorded, here);
            }
            (recorded, here) => self.differ(recorded, here),
        }
    }

    /// Field owners; their order in a list is that of their times.
    fn owners(&mut self, recorded: &[Value], here: &[Value]) {
        for (recorded, here) in pairs::owners(recorded, here) {
            let owner = pairs::owner(recorded.or(here).unwrap_or(&Value::Null));
            if rules::is_imitation(&owner) {
                continue;
            }
            self.at(&owner, |c| match (recorded, here) {
                (Some(recorded), Some(here)) => c.values(recorded, here),
                (recorded, here) => c.differ(recorded, here),
            });
        }
    }

    fn arrays(&mut self, recorded: &[Value], here: &[Value]) {
        for index in 0..recorded.len().max(here.len()) {
            self.at(&index.to_string(), |c| match (recorded.get(index), here.get(index)) {
                (Some(recorded), Some(here)) => c.values(recorded, here),
                (recorded, here) => c.differ(recorded, here),
            });
        }
    }

    /// A set of named objects. Those of whom it is known who is who come first: what they tell helps with the others.
    fn objects(&mut self, recorded: &[Value], here: &[Value]) {
        let moves = self.context.motion.list_moves(self.context.seq);
        let before = moves.then(|| self.learnt.clone());
        let real = |objects: &[Value]| -> Vec<Value> {
            let is_foreign =
                |object: &Value| pairs::is_imitation(object) || rules::is_foreign(&pairs::name(object));
            objects.iter().filter(|object| !is_foreign(object)).cloned().collect()
        };
        let (recorded, here) = (real(recorded), real(here));
        let mut left = pairs::Left::of(&here);
        let mut open = Vec::new();
        for recorded in &recorded {
            match left.known(recorded, self.learnt) {
                Some(here) => self.pair(Some(recorded), Some(here)),
                None => open.push(recorded),
            }
        }
        for recorded in open {
            let is_by_chance = self.context.is_by_chance && pairs::is_drawn(recorded);
            let here = left.nearest(recorded, self.learnt);
            if !is_by_chance {
                self.pair(Some(recorded), here);
            }
        }
        let is_by_chance = self.context.is_by_chance;
        for here in left.rest().filter(|here| !(is_by_chance && pairs::is_drawn(here))) {
            self.pair(None, Some(here));
        }
        // Of a list whose members come and go, who is who is not known yet.
        if let Some(before) = before {
            *self.learnt = before;
        }
    }

    fn pair(&mut self, recorded: Option<&Value>, here: Option<&Value>) {
        let one = recorded.or(here).unwrap_or(&Value::Null);
        let (motion, seq) = (self.context.motion, self.context.seq);
        let is_being_made = !self.context.is_patient && motion.is_early(seq) && pairs::is_drawn(one);
        let moves = motion.list_moves(seq) || is_being_made;
        let name = pairs::name(one);
        self.at(&name, |c| match (recorded, here) {
            (Some(recorded), Some(here)) if recorded.get("cells").is_some() => c.row(recorded, here),
            (Some(recorded), Some(here)) => c.object(recorded, here),
            (None, Some(_)) if c.context.is_capped => {}
            (Some(recorded), None) if c.context.motion.goes(c.context.seq, recorded) => {}
            _ if moves => {}
            (recorded, here) => c.differ(recorded, here),
        });
    }

    /// A row of a table: of an object in motion the name must be right, of any other every cell.
    fn row(&mut self, recorded: &Value, here: &Value) {
        let cells = |row: &Value| row["cells"].as_array().cloned().unwrap_or_default();
        let (motion, seq) = (self.context.motion, self.context.seq);
        let moves = motion.moves(seq, &recorded["object"])
            || (!self.context.is_patient && motion.is_row_read_early(seq, &cells(recorded)));
        let before = self.differences.len();
        self.at("object", |c| c.object(&recorded["object"], &here["object"]));
        if moves {
            self.excuse_controllers(before, &recorded["object"], self.place.len() + 1);
        }
        let (recorded, here) = (cells(recorded), cells(here));
        let columns = self.columns.clone();
        for index in 0..recorded.len().max(here.len()) {
            let column = columns.get(index).map_or("", String::as_str);
            if moves && column != "Name" {
                continue;
            }
            self.at(column, |c| match (recorded.get(index), here.get(index)) {
                (Some(recorded), Some(here)) => c.by(rules::cell_rule(column), recorded, here),
                (recorded, here) => c.differ(recorded, here),
            });
        }
    }

    fn scalars(&mut self, recorded: &Value, here: &Value) {
        self.by(rules::rule(&self.place), recorded, here);
    }

    fn by(&mut self, rule: Rule, recorded: &Value, here: &Value) {
        let is_same = match (rule, recorded.as_str(), here.as_str()) {
            (Rule::Present, ..) => recorded.is_null() == here.is_null(),
            (Rule::Repeated, ..) => {
                (recorded.as_i64() > Some(1)) == (here.as_i64() > Some(1))
                    && recorded.is_i64() == here.is_i64()
            }
            (Rule::Address, None, None) => recorded.is_number() == here.is_number(),
            (Rule::Version, Some(recorded), Some(here)) => {
                self.learnt.version(recorded, here);
                recorded.is_empty() == here.is_empty()
            }
            (Rule::Opaque, Some(_), Some(_)) => {
                self.learn_opaque(recorded, here);
                true
            }
            (Rule::Address, Some(recorded), Some(here)) => {
                self.same_words(&rules::without_addresses(recorded), &rules::without_addresses(here))
            }
            (Rule::Placement, Some(recorded), Some(here)) => recorded.is_empty() == here.is_empty(),
            (_, Some(recorded), Some(here)) if rules::tells_placement(recorded) => {
                self.same_words(&rules::without_nodes(recorded), &rules::without_nodes(here))
            }
            (_, Some(recorded), Some(here)) => {
                self.learn_hash(recorded, here);
                self.same_words(recorded, here)
            }
            _ => recorded == here,
        };
        if !is_same {
            self.differ(Some(recorded), Some(here));
        }
    }

    fn learn_opaque(&mut self, recorded: &Value, here: &Value) {
        if let (Some(recorded), Some(here)) = (recorded.as_str(), here.as_str()) {
            self.learnt.opaque(recorded, here);
        }
    }

    /// An address of a document may carry the hash of what is there, for later requests.
    fn learn_hash(&mut self, recorded: &str, here: &str) {
        if let (Some((_, recorded)), Some((_, here))) =
            (recorded.split_once("?hash="), here.split_once("?hash="))
        {
            self.learnt.opaque(recorded, here);
        }
    }

    /// Word by word; what stands between the words is the same.
    fn same_words(&mut self, recorded: &str, here: &str) -> bool {
        if recorded == here {
            return true;
        }
        let (recorded, here) = (rules::masked(recorded), rules::masked(here));
        if recorded == here {
            return true;
        }
        let ((words_recorded, rest_recorded), (words_here, rest_here)) = (words(&recorded), words(&here));
        let is_token = recorded.starts_with("@jwt:");
        if is_token {
            return self.learnt.same(&recorded, &here);
        }
        if rules::is_unordered(&recorded) && pairs::same_bag(&words_recorded, &words_here) {
            return true;
        }
        words_recorded.len() == words_here.len()
            && rest_recorded == rest_here
            && words_recorded.iter().zip(words_here).all(|(recorded, here)| self.learnt.same(recorded, here))
    }
}
