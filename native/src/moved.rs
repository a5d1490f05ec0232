//! What people and the passing of time do to an alarm, in words and fields: the same for a sensor's and the facility's.

use std::borrow::Cow;

use crate::alarm::{Alarm, Elapsed, Suppression, Suppressor};
use crate::command::{released, Action, Command};
use crate::instant;
use crate::journal::{Event, ACTIVATED, SYSTEM};
use crate::rule::Rule;

pub const RE_ALARMED: &str = "re_alarmed";

/// One row of the journal, less what only the alarm's owner knows of it.
pub struct Moved {
    pub transition: &'static str,
    pub at_us: i64,
    pub message: String,
    pub fields: serde_json::Value,
    actor: Cow<'static, str>,
    reason: Cow<'static, str>,
}

impl Moved {
    /// The row, from what its owner says of it.
    pub fn over(self, event: Event) -> Event {
        Event { actor: self.actor, reason: self.reason, ..event }
    }
}

/// What a command did: its own row, and one that tells what stands where it gave the alarm back to people.
///
/// `named`: whose alarm; `threshold`: the limit that stands, in brackets, or nothing.
pub fn by_command(
    command: &Command,
    transition: &'static str,
    alarm: &Alarm,
    named: &str,
    threshold: &str,
) -> Vec<Moved> {
    let (said, over) = match &command.action {
        Action::Acknowledge => ("acknowledged".to_owned(), None),
        Action::Comment => ("comment".to_owned(), None),
        Action::Assign(None) => ("assigned to nobody".to_owned(), None),
        Action::Assign(Some(assignee)) => (format!("assigned to {assignee}"), None),
        Action::Suppress(suppression) => (begun(*suppression), None),
        Action::Release(by) => (ended(*by).to_owned(), Some(*by)),
        Action::Reset => ("reset".to_owned(), None),
        Action::Judge(verdict) => (format!("{} alarm, as somebody says", verdict.name), None),
    };
    let until_us = match &command.action {
        Action::Suppress(suppression) => suppression.until_us,
        Action::Acknowledge
        | Action::Comment
        | Action::Assign(_)
        | Action::Release(_)
        | Action::Reset
        | Action::Judge(_) => None,
    };
    let mut fields = serde_json::json!({
        "rule": command.rule.name(),
        "command_id": command.id,
        "suppression": alarm.suppression_name(),
        "until_us": until_us,
        "assignee": alarm.assignee,
        "work_order": command.work_order,
    });
    if let (Action::Judge(verdict), Some(fields)) = (&command.action, fields.as_object_mut()) {
        fields.insert("verdict".into(), verdict.name.into());
        fields.insert("about_event_id".into(), verdict.event_id.into());
    }
    let own = Moved {
        transition,
        at_us: command.at_us,
        message: format!("{named}, {}: {said}", command.rule.name()),
        fields,
        actor: command.actor.clone().into(),
        reason: command.reason.clone().into(),
    };
    let standing = over.filter(|_| alarm.active).map(|by| standing(command.rule, by, command.at_us, named, threshold));
    std::iter::once(own).chain(standing).collect()
}

/// What the passing of time did, and what stands where it gave the alarm back to people.
pub fn by_time(rule: Rule, elapsed: Elapsed, alarm: &Alarm, at_us: i64, named: &str, threshold: &str) -> Vec<Moved> {
    let (transition, said, over) = match elapsed {
        Elapsed::Released(by) => (released(by), ended(by).to_owned(), Some(by)),
        Elapsed::ReAlarmed => {
            (RE_ALARMED, format!("still {}, and nobody has acknowledged it", rule.kind().standing), None)
        }
    };
    let own = Moved {
        transition,
        at_us,
        message: format!("{named}, {}: {said}", rule.name()),
        fields: serde_json::json!({"rule": rule.name(), "suppression": alarm.suppression_name()}),
        actor: SYSTEM.into(),
        reason: match elapsed {
            Elapsed::Released(_) => "its time is over".into(),
            Elapsed::ReAlarmed => "not acknowledged".into(),
        },
    };
    let standing = over.filter(|_| alarm.active).map(|by| standing(rule, by, at_us, named, threshold));
    std::iter::once(own).chain(standing).collect()
}

/// The alarm is people's again, and its condition is true: they are told.
fn standing(rule: Rule, by: Suppressor, at_us: i64, named: &str, threshold: &str) -> Moved {
    let so = rule.kind().standing;
    let reason = format!("{}, still {so}", ended(by));
    Moved {
        transition: ACTIVATED,
        at_us,
        message: format!("Problem detected: {named} is still {so}{threshold}"),
        fields: serde_json::json!({"rule": rule.name(), "reason": reason}),
        actor: SYSTEM.into(),
        reason: reason.into(),
    }
}

fn begun(suppression: Suppression) -> String {
    let what = match suppression.by {
        Suppressor::Shelf => "shelved",
        Suppressor::Design => "suppressed by design",
        Suppressor::Service => "taken out of service",
    };
    suppression.until_us.map_or_else(|| what.to_owned(), |until_us| format!("{what} until {}", instant::text(until_us)))
}

fn ended(by: Suppressor) -> &'static str {
    match by {
        Suppressor::Shelf => "shelving ended",
        Suppressor::Design => "suppression by design ended",
        Suppressor::Service => "back in service",
    }
}
