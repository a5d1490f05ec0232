//! Groups and suppressions by design as a configuration says them, read and checked.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use crate::groups::expression::{Expression, Question, RawExpression};
use crate::groups::vote::Policy;
use crate::limits::{GROUPS_MAX, GROUP_NAME_BYTES_MAX, MEMBERS_MAX, RESTING_MAX, RESTS_MAX, VALUE_MAX};
use crate::printable::first_control;
use crate::rule::{Alert, Owner, Rule};
use crate::rule_set::Spec;
use crate::rules::Priority;
use crate::wanted::Change;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    sensor_id: String,
    rules: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    no: i32,
    name: String,
    kind: String,
    #[serde(default)]
    members: Vec<RawMember>,
    votes: Option<usize>,
    degraded: Option<String>,
    when: Option<RawExpression>,
    commanded: Option<String>,
    reported: Option<String>,
    limit: Option<f64>,
    deadband: Option<f64>,
    priority: Option<String>,
    on_delay_s: Option<f64>,
    off_delay_s: Option<f64>,
    latched: Option<bool>,
    re_alarm_s: Option<f64>,
    message: Option<String>,
    consequence: Option<String>,
    response: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRest {
    name: String,
    r#while: RawExpression,
    alarms: Vec<RawMember>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawGroups {
    groups: Vec<RawGroup>,
    rests: Vec<RawRest>,
}

/// A sensor with some of its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub sensor_id: String,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Vote {
        members: Vec<Member>,
        needed: usize,
        policy: Policy,
    },
    FirstOut {
        members: Vec<Member>,
    },
    /// Without a limit the words of both are compared.
    Discrepancy {
        commanded: String,
        reported: String,
        limit: Option<(f64, f64)>,
    },
    Combination {
        when: Expression,
    },
}

impl Kind {
    /// The rules of its alarms, that of the condition first.
    fn rules(&self) -> &'static [Rule] {
        match self {
            Self::Vote { .. } => &[Rule::Vote, Rule::VoteDegraded, Rule::VoteLost],
            Self::FirstOut { .. } => &[Rule::FirstOut],
            Self::Discrepancy { .. } => &[Rule::Discrepancy, Rule::InputUnknown],
            Self::Combination { .. } => &[Rule::Combination, Rule::InputUnknown],
        }
    }

    /// The sensors that it asks.
    pub fn sensors(&self) -> Vec<&str> {
        match self {
            Self::Vote { members, .. } | Self::FirstOut { members } => {
                members.iter().map(|member| member.sensor_id.as_str()).collect()
            }
            Self::Discrepancy { commanded, reported, .. } => vec![commanded, reported],
            Self::Combination { when } => when.questions().into_iter().map(|(id, _)| id).collect(),
        }
    }

    /// Whether every reading may move it, not only one that moves an alarm or an answer.
    pub fn asks_values(&self) -> bool {
        matches!(self, Self::Discrepancy { .. })
    }

    /// What it asks of values, and of which sensor.
    pub fn questions(&self) -> Vec<(&str, &Question)> {
        match self {
            Self::Combination { when } => when.questions(),
            _ => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub no: i32,
    pub name: String,
    /// Shared, because it is read while the group's alarms move.
    pub kind: Arc<Kind>,
    pub specs: Vec<Spec>,
}

/// While something is so, some alarms are suppressed by design.
#[derive(Debug, Clone, PartialEq)]
pub struct RestDefinition {
    pub name: String,
    pub is_so: Expression,
    pub alarms: Vec<(String, Rule)>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definitions {
    pub groups: Vec<Definition>,
    pub rests: Vec<RestDefinition>,
}

impl Definitions {
    /// Says what is wrong; an empty text defines nothing.
    pub fn read(json: &str) -> Result<Self, String> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let raw: RawGroups = serde_json::from_str(json).map_err(|error| error.to_string())?;
        at_most("groups", raw.groups.len(), GROUPS_MAX)?;
        at_most("suppressions by design", raw.rests.len(), RESTS_MAX)?;
        let groups = raw.groups.into_iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let rests = raw.rests.into_iter().map(rest).collect::<Result<Vec<_>, _>>()?;
        once("the group", groups.iter().map(|group| group.name.as_str()))?;
        once("the number", groups.iter().map(|group| group.no))?;
        once("the suppression", rests.iter().map(|rest| rest.name.as_str()))?;
        let resting = rests.iter().flat_map(|rest| rest.alarms.iter().map(|(id, rule)| format!("{rule:?} of {id}")));
        once("suppressed by design", resting)?;
        Ok(Self { groups, rests })
    }
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most {
        return Err(format!("{count} {what}; {most} are the most"));
    }
    Ok(())
}

fn once<T: Eq + std::hash::Hash + std::fmt::Debug>(what: &str, all: impl Iterator<Item = T>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for each in all {
        let named = format!("{what} {each:?} stands twice");
        if !seen.insert(each) {
            return Err(named);
        }
    }
    Ok(())
}

fn checked_name(name: &str) -> Result<(), String> {
    match first_control(name) {
        Some(control) => Err(format!("a name holds the control character {control:?}")),
        None if name.trim().is_empty() => Err("a name is empty".into()),
        None if name.len() > GROUP_NAME_BYTES_MAX => {
            Err(format!("a name of {} bytes; {GROUP_NAME_BYTES_MAX} are the most", name.len()))
        }
        None => Ok(()),
    }
}

fn group(raw: RawGroup) -> Result<Definition, String> {
    checked_name(&raw.name)?;
    let name = raw.name.clone();
    defined(raw).map_err(|error| format!("group {name:?}: {error}"))
}

fn defined(raw: RawGroup) -> Result<Definition, String> {
    let change = Change {
        priority: raw.priority.clone(),
        on_delay_s: raw.on_delay_s,
        off_delay_s: raw.off_delay_s,
        latched: raw.latched,
        re_alarm_s: raw.re_alarm_s,
        message: raw.message.clone(),
        consequence: raw.consequence.clone(),
        response: raw.response.clone(),
        ..Change::default()
    };
    let (no, name) = (raw.no, raw.name.clone());
    let kind = Arc::new(kind(raw)?);
    let priority = |rule| match rule {
        Rule::FirstOut => Priority::Low,
        Rule::VoteDegraded | Rule::InputUnknown => Priority::Medium,
        _ => Priority::High,
    };
    let is_main = |rule: Rule| kind.rules().first() == Some(&rule);
    // a vote that cannot be reached is as urgent as what it would have told
    let lost = Change { priority: change.priority.clone(), re_alarm_s: change.re_alarm_s, ..Change::default() };
    // a single bad reading makes a sensor leave at once; who waits before the alarm waits before being told of that
    let other = Change {
        on_delay_s: change.on_delay_s,
        off_delay_s: change.off_delay_s,
        re_alarm_s: change.re_alarm_s,
        ..Change::default()
    };
    let spec = |rule: Rule| {
        let of = if is_main(rule) {
            &change
        } else if rule == Rule::VoteLost {
            &lost
        } else {
            &other
        };
        Spec::of_group(rule, priority(rule), of)
    };
    let specs = kind.rules().iter().map(|rule| spec(*rule)).collect::<Result<Vec<_>, _>>()?;
    Ok(Definition { no, name, kind, specs })
}

fn kind(raw: RawGroup) -> Result<Kind, String> {
    const KNOWN: [&str; 4] = ["vote", "first_out", "discrepancy", "combination"];
    if !KNOWN.contains(&raw.kind.as_str()) {
        return Err(format!("unknown kind {:?}; known are {}", raw.kind, KNOWN.join(", ")));
    }
    let is = |said: &str| raw.kind == said;
    for (field, is_said, belongs) in [
        ("members", !raw.members.is_empty(), is("vote") || is("first_out")),
        ("votes", raw.votes.is_some(), is("vote")),
        ("degraded", raw.degraded.is_some(), is("vote")),
        ("when", raw.when.is_some(), is("combination")),
        ("commanded", raw.commanded.is_some(), is("discrepancy")),
        ("reported", raw.reported.is_some(), is("discrepancy")),
        ("limit", raw.limit.is_some(), is("discrepancy")),
        ("deadband", raw.deadband.is_some(), is("discrepancy") && raw.limit.is_some()),
    ] {
        if is_said && !belongs {
            return Err(format!("{:?} has no {field}", raw.kind));
        }
    }
    match raw.kind.as_str() {
        "vote" => {
            let policy = raw.degraded.as_deref().unwrap_or("safe");
            let known = Policy::find(policy);
            let policy = known.ok_or_else(|| format!("degraded is {policy:?}; known are safe and same"))?;
            let members = members(raw.members, MEMBERS_MAX)?;
            let needed = raw.votes.ok_or("votes is missing: how many must agree")?;
            if !(1..=members.len()).contains(&needed) {
                return Err(format!("votes is {needed}, which is not within 1 and its {} members", members.len()));
            }
            Ok(Kind::Vote { members, needed, policy })
        }
        "first_out" => Ok(Kind::FirstOut { members: members(raw.members, MEMBERS_MAX)? }),
        "combination" => Ok(Kind::Combination { when: Expression::of(raw.when.ok_or("when is missing")?)? }),
        _ => {
            let commanded = raw.commanded.ok_or("commanded is missing: a sensor_id")?;
            let reported = raw.reported.ok_or("reported is missing: a sensor_id")?;
            if commanded == reported {
                return Err("commanded and reported are the same sensor".into());
            }
            let limit = raw.limit.map(|limit| (limit, raw.deadband.unwrap_or(0.0)));
            if let Some((limit, deadband)) = limit {
                if !(0.0..=VALUE_MAX).contains(&limit) || !(0.0..=limit).contains(&deadband) {
                    return Err(format!(
                        "limit {limit} is not within 0 and {VALUE_MAX}, or deadband {deadband} above it"
                    ));
                }
            }
            Ok(Kind::Discrepancy { commanded, reported, limit })
        }
    }
}

fn members(raw: Vec<RawMember>, most: usize) -> Result<Vec<Member>, String> {
    if raw.is_empty() {
        return Err("it has no members".into());
    }
    at_most("members", raw.len(), most)?;
    once("the member", raw.iter().map(|member| member.sensor_id.as_str()))?;
    raw.into_iter().map(member).collect()
}

fn member(raw: RawMember) -> Result<Member, String> {
    let rules = rules_of(&raw)?;
    // whoever is silent has left the vote, and cannot vote by it
    match rules.iter().find(|rule| rule.kind().alert == Alert::System) {
        Some(rule) => {
            Err(format!("{:?} cannot take part by {}: it is about the measuring", raw.sensor_id, rule.name()))
        }
        None => Ok(Member { sensor_id: raw.sensor_id, rules }),
    }
}

fn rules_of(raw: &RawMember) -> Result<Vec<Rule>, String> {
    if raw.rules.is_empty() {
        return Err(format!("{:?} takes part by no rule", raw.sensor_id));
    }
    once("the rule", raw.rules.iter())?;
    let find = |name: &String| {
        let rule = Rule::find(name).filter(|rule| rule.kind().owner == Owner::Sensor);
        rule.ok_or_else(|| format!("a sensor has no rule {name:?}"))
    };
    raw.rules.iter().map(find).collect()
}

fn rest(raw: RawRest) -> Result<RestDefinition, String> {
    checked_name(&raw.name)?;
    let wrong = |error: String| format!("suppression {:?}: {error}", raw.name);
    let is_so = Expression::of(raw.r#while).map_err(wrong)?;
    let mut alarms = Vec::new();
    for each in &raw.alarms {
        let rules = rules_of(each).map_err(wrong)?;
        alarms.extend(rules.into_iter().map(|rule| (each.sensor_id.clone(), rule)));
    }
    match alarms.len() {
        0 => Err(wrong("it suppresses nothing".into())),
        count => at_most("alarms", count, RESTING_MAX).map_err(wrong),
    }?;
    Ok(RestDefinition { name: raw.name, is_so, alarms })
}
