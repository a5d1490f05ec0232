//! One group: its alarms, moved on by what its members say, and what people are told of them.

use std::sync::Arc;

use serde_json::{json, Value};

use crate::alarm::{Condition, Elapsed, Transition};
use crate::alarms::Alarms;
use crate::command::Command;
use crate::facility_alarm;
use crate::groups::definition::{Definition, Kind, Member};
use crate::groups::expression::{Expression, Truth};
use crate::groups::inputs::{self, Field};
use crate::groups::vote::{Ballot, Count, Outcome, Policy};
use crate::journal::{Event, ToldAlarm};
use crate::moved;
use crate::rule::Rule;
use crate::rule_set::Spec;
use crate::rules::Priority;
use crate::sensor::Surroundings;
use crate::sink::Sink;
use crate::wire::{put_signed, put_varint, Reader, Wire};

/// How many members a row names in words; its explanation has all of them.
const NAMED_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub definition: Definition,
    pub alarms: Alarms,
    /// Of the newest row of the journal: no two of one alarm are of the same moment.
    last_us: i64,
    /// How many had left the vote when people were told last.
    told_out: usize,
}

/// What is to be told of a group.
struct Tale {
    what: String,
    reason: String,
    fields: Value,
}

impl Group {
    pub fn new(definition: Definition) -> Self {
        Self { definition, alarms: Alarms::default(), last_us: 0, told_out: 0 }
    }

    /// The same with what people set anew.
    pub fn redefined(self, definition: Definition) -> Self {
        Self { definition, ..self }
    }

    pub fn spec(&self, rule: Rule) -> Option<&Spec> {
        self.definition.specs.iter().find(|spec| spec.rule == rule)
    }

    pub fn priority(&self, rule: Rule) -> Priority {
        self.spec(rule).map_or(Priority::Low, |spec| spec.priority)
    }

    /// Whether a delay runs, so that time alone may move it.
    pub fn is_waiting(&self) -> bool {
        self.alarms.iter().any(|(_, alarm)| alarm.is_waiting())
    }

    /// Judge it anew.
    pub fn judge<S: Sink>(&mut self, at_us: i64, field: &Field<'_>, version: i64, sink: &mut S) {
        let at_us = at_us.max(self.last_us + 1);
        let kind = Arc::clone(&self.definition.kind);
        match &*kind {
            Kind::Vote { members, needed, policy } => {
                self.judge_vote(members, *needed, *policy, at_us, field, version, sink);
            }
            Kind::FirstOut { members } => self.judge_first(members, at_us, field, version, sink),
            Kind::Discrepancy { commanded, reported, limit } => {
                let unknown: Vec<_> = [commanded.as_str(), reported.as_str()]
                    .into_iter()
                    .filter_map(|id| Some((id, unreadable(id, limit.is_some(), field)?)))
                    .collect();
                let (condition, what) = match unknown.is_empty() {
                    true => differ(commanded, reported, *limit, field),
                    false => (Condition::Between, "one of the two cannot be read".to_owned()),
                };
                let asked = [commanded.as_str(), reported.as_str()];
                let tale = || told_of(&asked, &unknown, what.clone());
                self.step(Rule::Discrepancy, condition, at_us, field, version, sink, tale);
                self.judge_inputs(&asked, &unknown, at_us, field, version, sink);
            }
            Kind::Combination { when } => self.judge_expression(when, at_us, field, version, sink),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn judge_vote<S: Sink>(
        &mut self,
        members: &[Member],
        needed: usize,
        policy: Policy,
        at_us: i64,
        field: &Field<'_>,
        version: i64,
        sink: &mut S,
    ) {
        let ballots: Vec<Ballot> = members.iter().map(|member| ballot(member, field)).collect();
        let count = Count::of(&ballots, needed, policy);
        let out = members.len() - count.present;
        let (ballots, count) = (&ballots, &count);
        let tale = |what: fn(&Count, usize) -> String| {
            move || vote_told(members, ballots, count, needed, what(count, members.len()))
        };
        let voted = |count: &Count, _| format!("{} of {} voted, {} needed", count.votes, count.present, count.needed);
        let left =
            |count: &Count, all| format!("{} of {all} detectors left, {} must agree", count.present, count.needed);
        let condition = match count.outcome() {
            Outcome::Yes => Condition::Violated,
            Outcome::Open => Condition::Between,
            Outcome::No => Condition::Clear,
        };
        self.step(Rule::Vote, condition, at_us, field, version, sink, tale(voted));
        let degraded = self.step(
            Rule::VoteDegraded,
            if out > 0 { Condition::Violated } else { Condition::Clear },
            at_us,
            field,
            version,
            sink,
            tale(left),
        );
        // people know of so many: another one is news
        let stands = self.alarms.get(Rule::VoteDegraded).active;
        if degraded.is_none() && stands && out > self.told_out {
            let transition = self.alarms.change(Rule::VoteDegraded, |each| each.alarm.tell());
            self.tell(Rule::VoteDegraded, transition, at_us, field.around, version, sink, tale(left));
        }
        self.told_out = if stands && degraded.is_none() { self.told_out.max(out) } else { out };
        let lost = if count.is_lost() { Condition::Violated } else { Condition::Clear };
        self.step(Rule::VoteLost, lost, at_us, field, version, sink, tale(left));
    }

    fn judge_first<S: Sink>(&mut self, members: &[Member], at_us: i64, field: &Field<'_>, version: i64, sink: &mut S) {
        let standing = members.iter().enumerate().filter_map(|(place, member)| {
            let sensor = field.sensor(&member.sensor_id)?;
            let of = |rule: &Rule| (sensor.alarms.get(*rule).since_us, place, *rule);
            member.rules.iter().filter(|rule| sensor.alarms.stands(**rule)).map(of).min_by_key(|of| (of.0, of.1))
        });
        let first = standing.min_by_key(|(since_us, place, _)| (*since_us, *place));
        let condition = if first.is_some() { Condition::Violated } else { Condition::Clear };
        let tale = || {
            let named = first.and_then(|(_, place, rule)| Some((members.get(place)?, rule)));
            match named {
                Some((member, rule)) => Tale {
                    what: format!("first out is {} ({})", member.sensor_id, rule.name()),
                    reason: "the first since all were normal".into(),
                    fields: json!({
                        "asked": members.iter().map(|member| member.sensor_id.as_str()).collect::<Vec<_>>(),
                        "first": {"sensor_id": member.sensor_id, "rule": rule.name()},
                        "contributors": contributors(&[member.sensor_id.as_str()]),
                    }),
                },
                None => Tale { what: "all are normal".into(), reason: String::new(), fields: json!({}) },
            }
        };
        // it marks what is told anyway
        let Some(spec) = self.spec(Rule::FirstOut).cloned() else { return };
        if let Some(transition) = self.alarms.step_silently(&spec, condition, at_us) {
            self.tell(Rule::FirstOut, transition, at_us, field.around, version, sink, tale);
        }
    }

    fn judge_expression<S: Sink>(
        &mut self,
        when: &Expression,
        at_us: i64,
        field: &Field<'_>,
        version: i64,
        sink: &mut S,
    ) {
        let (condition, what) = match when.truth(field) {
            Truth::True => (Condition::Violated, "all that it asks for is so"),
            Truth::Unknown => (Condition::Between, "it cannot be known"),
            Truth::False => (Condition::Clear, "it is not so"),
        };
        let asked: Vec<&str> = when.questions().into_iter().map(|(id, _)| id).collect();
        let unknown = when.unknown(field);
        let tale = || told_of(&asked, &unknown, what.to_owned());
        self.step(Rule::Combination, condition, at_us, field, version, sink, tale);
        self.judge_inputs(&asked, &unknown, at_us, field, version, sink);
    }

    fn judge_inputs<S: Sink>(
        &mut self,
        asked: &[&str],
        unknown: &[(&str, &'static str)],
        at_us: i64,
        field: &Field<'_>,
        version: i64,
        sink: &mut S,
    ) {
        let condition = if unknown.is_empty() { Condition::Clear } else { Condition::Violated };
        let tale = || told_of(asked, unknown, format!("{} of its inputs are unknown", unknown.len()));
        self.step(Rule::InputUnknown, condition, at_us, field, version, sink, tale);
    }

    #[allow(clippy::too_many_arguments)]
    fn step<S: Sink>(
        &mut self,
        rule: Rule,
        condition: Condition,
        at_us: i64,
        field: &Field<'_>,
        version: i64,
        sink: &mut S,
        tale: impl FnOnce() -> Tale,
    ) -> Option<Transition> {
        let spec = self.definition.specs.iter().find(|spec| spec.rule == rule)?;
        let transition = self.alarms.step(spec, condition, at_us)?;
        self.tell(rule, transition, at_us, field.around, version, sink, tale);
        Some(transition)
    }

    #[allow(clippy::too_many_arguments)]
    fn tell<S: Sink>(
        &mut self,
        rule: Rule,
        transition: Transition,
        at_us: i64,
        around: &Surroundings<'_>,
        version: i64,
        sink: &mut S,
        tale: impl FnOnce() -> Tale,
    ) {
        self.last_us = at_us;
        if !S::WANTED {
            return;
        }
        let Tale { what, reason, mut fields } = tale();
        let said = if transition == Transition::Returned { "no longer " } else { "" };
        let message = format!("{}: {said}{}: {what}", self.named(around), rule.kind().standing);
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("rule".into(), rule.name().into());
            fields.insert("group".into(), self.definition.name.as_str().into());
            fields.insert("reason".into(), reason.as_str().into());
        }
        if let Some(spec) = self.spec(rule) {
            spec.explain(&mut fields);
        }
        sink.event(Event {
            reason: reason.into(),
            ..self.event(rule, transition.name(), at_us, version, message, &fields)
        });
    }

    /// With the sensor at which it is shown by whoever knows sensors only.
    fn shown_at(&self, fields: &Value) -> Value {
        let mut fields = fields.clone();
        if let Some(fields) = fields.as_object_mut() {
            let foremost = contributors(self.definition.kind.sensors().get(..1).unwrap_or_default());
            fields.insert("contributors".into(), foremost.into());
        }
        fields
    }

    fn named(&self, around: &Surroundings<'_>) -> String {
        format!("{} in {}", self.definition.name, around.facility)
    }

    fn event(
        &self,
        rule: Rule,
        transition: &'static str,
        at_us: i64,
        version: i64,
        message: String,
        explanation: &Value,
    ) -> Event {
        let event =
            facility_alarm::event((rule, self.priority(rule)), transition, at_us, version, message, explanation);
        Event { sensor_no: Some(self.definition.no), ..event }
    }

    /// What a person asks of an alarm.
    pub fn obey<S: Sink>(&mut self, command: &Command, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        let transition = self.alarms.change(command.rule, |each| command.action.change(&mut each.alarm, command.at_us));
        let (Some(transition), true) = (transition, S::WANTED) else { return };
        let alarm = self.alarms.get(command.rule);
        for moved in moved::by_command(command, transition, alarm, &self.named(around), "") {
            let (message, fields) = (moved.message.clone(), self.shown_at(&moved.fields));
            let event = self.event(command.rule, moved.transition, moved.at_us, version, message, &fields);
            sink.event(moved.over(event));
        }
    }

    /// The timers of its alarms.
    pub fn tick<S: Sink>(&mut self, watermark_us: i64, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        let specs = &self.definition.specs;
        let elapsed: Vec<(Rule, Elapsed)> = self
            .alarms
            .each_mut()
            .filter_map(|each| {
                let rule = each.rule();
                let re_alarm_us = specs.iter().find(|spec| spec.rule == rule).and_then(|spec| spec.re_alarm_us);
                Some((rule, each.alarm.tick(watermark_us, re_alarm_us)?))
            })
            .collect();
        for (rule, elapsed) in elapsed.into_iter().filter(|_| S::WANTED) {
            let alarm = self.alarms.get(rule);
            for moved in moved::by_time(rule, elapsed, alarm, watermark_us, &self.named(around), "") {
                let (message, fields) = (moved.message.clone(), self.shown_at(&moved.fields));
                let event = self.event(rule, moved.transition, moved.at_us, version, message, &fields);
                sink.event(moved.over(event));
            }
        }
    }

    /// It is no more: what stands ends, and says why.
    pub fn retire<S: Sink>(&mut self, at_us: i64, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        let at_us = at_us.max(self.last_us + 1);
        for rule in Rule::ALL {
            let Some(transition) = self.alarms.end(*rule, at_us) else { continue };
            let tale = || Tale {
                what: "the group was changed or removed".into(),
                reason: "the group was changed or removed".into(),
                fields: json!({}),
            };
            self.tell(*rule, transition, at_us, around, version, sink, tale);
        }
    }

    /// Be as the journal left its alarms.
    pub fn recall<'a>(&mut self, told: impl Fn(Rule) -> Option<&'a ToldAlarm>) {
        for spec in &self.definition.specs {
            self.alarms.change(spec.rule, |each| match told(spec.rule) {
                Some(told) => each.alarm.recall(told.active, told.acknowledged, told.since_us),
                None => each.alarm.recall(false, true, 0),
            });
        }
        self.last_us = self.alarms.iter().map(|(_, alarm)| alarm.since_us).max().unwrap_or(0);
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.last_us);
        put_varint(out, self.told_out as u64);
        self.alarms.save(out);
    }

    pub fn load(definition: Definition, reader: &mut Reader<'_>) -> Wire<Self> {
        let (last_us, told_out) = (reader.signed()?, reader.count()?);
        Ok(Self { definition, last_us, told_out, alarms: Alarms::load(reader)? })
    }
}

/// How a member stands by its rules: it has left if it cannot be relied upon, or if people or the plant keep it back.
fn ballot(member: &Member, field: &Field<'_>) -> Ballot {
    let sensor = field.sensor(&member.sensor_id);
    let Some(known) = sensor else { return Ballot { is_active: false, out: Some("no such sensor") } };
    let stands = |rule: &Rule| known.alarms.stands(*rule);
    let kept_back = |rule: &Rule| known.alarms.get(*rule).suppression.map(|suppression| suppression.by.name());
    let votes = member.rules.iter().any(|rule| stands(rule) && kept_back(rule).is_none());
    let out = inputs::absence(sensor, field.around)
        .or_else(|| member.rules.iter().find_map(kept_back).filter(|_| !votes))
        .or_else(|| member.rules.iter().all(|rule| known.rules.spec(*rule).is_none()).then_some("rule switched off"));
    Ballot { is_active: member.rules.iter().any(stands), out }
}

fn vote_told(members: &[Member], ballots: &[Ballot], count: &Count, needed: usize, what: String) -> Tale {
    let with = || members.iter().zip(ballots);
    let voted: Vec<&str> = with()
        .filter(|(_, ballot)| ballot.is_active && ballot.out.is_none())
        .map(|(member, _)| member.sensor_id.as_str())
        .collect();
    let out: Vec<(&str, &str)> =
        with().filter_map(|(member, ballot)| Some((member.sensor_id.as_str(), ballot.out?))).collect();
    let foremost = voted.first().or(out.first().map(|(id, _)| id)).copied();
    let foremost = foremost.or_else(|| members.first().map(|member| member.sensor_id.as_str()));
    let shown = if voted.is_empty() { foremost.as_slice() } else { &voted };
    Tale {
        what,
        reason: format!("voted: {}; out: {}", words(&voted), words(&why(&out))),
        fields: json!({
            "asked": members.iter().map(|member| member.sensor_id.as_str()).collect::<Vec<_>>(),
            "voted": voted,
            "out": out_fields(&out),
            "votes": count.votes,
            "needed": count.needed,
            "needed_of_all": needed,
            "members": members.len(),
            "contributors": contributors(shown),
        }),
    }
}

fn told_of(asked: &[&str], unknown: &[(&str, &'static str)], what: String) -> Tale {
    let foremost = unknown.first().map(|(id, _)| id).or(asked.first());
    Tale {
        what,
        reason: format!("unknown: {}", words(&why(unknown))),
        fields: json!({
            "asked": asked,
            "out": out_fields(unknown),
            "contributors": contributors(foremost.copied().as_slice()),
        }),
    }
}

fn out_fields(out: &[(&str, &str)]) -> Vec<Value> {
    out.iter().map(|(id, why)| json!({"sensor_id": id, "why": why})).collect()
}

fn why(out: &[(&str, &str)]) -> Vec<String> {
    out.iter().map(|(id, why)| format!("{id} ({why})")).collect()
}

/// Whoever shows alerts by sensor shows it at the first.
fn contributors(ids: &[&str]) -> Vec<Value> {
    ids.iter().map(|id| json!({"sensor_id": id, "share": 1.0 / ids.len() as f64})).collect()
}

fn words<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(AsRef::as_ref).collect();
    match names.len() {
        0 => "none".into(),
        count if count > NAMED_MAX => format!("{} and {} more", shown.join(", "), count - NAMED_MAX),
        _ => shown.join(", "),
    }
}

/// Why a sensor cannot be compared.
fn unreadable(id: &str, as_number: bool, field: &Field<'_>) -> Option<&'static str> {
    let sensor = field.sensor(id);
    let is_readable =
        |sensor| if as_number { inputs::number(sensor).is_some() } else { inputs::word(sensor).is_some() };
    let absence = inputs::absence(sensor, field.around);
    absence.or_else(|| sensor.is_none_or(|sensor| !is_readable(sensor)).then_some("no usable value"))
}

fn differ(commanded: &str, reported: &str, limit: Option<(f64, f64)>, field: &Field<'_>) -> (Condition, String) {
    let both = field.sensor(commanded).zip(field.sensor(reported));
    let Some((one, other)) = both else { return (Condition::Between, String::new()) };
    if let Some((limit, deadband)) = limit {
        let apart = (inputs::number(one).unwrap_or(0.0) - inputs::number(other).unwrap_or(0.0)).abs();
        let condition = match apart {
            apart if apart > limit => Condition::Violated,
            apart if apart <= limit - deadband => Condition::Clear,
            _ => Condition::Between,
        };
        return (condition, format!("{apart} apart, {limit} allowed"));
    }
    let (said, found) = (inputs::word(one).unwrap_or_default(), inputs::word(other).unwrap_or_default());
    let condition = if inputs::is_same_word(&said, &found) { Condition::Clear } else { Condition::Violated };
    (condition, format!("commanded {said:?}, reported {found:?}"))
}
