//! What people ask of an alarm: reading a command and doing it to the alarm's memories. Each is one row of the journal,
//! or none where it makes no sense now: then it is done already, or somebody else was quicker.

use std::collections::VecDeque;

use serde::Deserialize;

use crate::alarm::{Alarm, Suppression, Suppressor};
use crate::config::{check_time, us_of, PayloadError, Settings};
use crate::journal::alarm_key;
use crate::limits::{COMMANDS_REMEMBERED, COMMAND_ID_BYTES_MAX, COMMAND_NAME_BYTES_MAX, COMMAND_REASON_BYTES_MAX};
use crate::printable::{first_control, lines_escaped};
use crate::rule::{Owner, Rule};
use crate::wire::{put_bytes, put_varint, Reader, Wire, WireError};

#[derive(Debug, Deserialize)]
struct RawCommand {
    command_id: String,
    at_us: i64,
    actor: String,
    command: String,
    alarm_key: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    until_us: Option<i64>,
    #[serde(default)]
    assignee: Option<String>,
    #[serde(default)]
    work_order: Option<String>,
    #[serde(default)]
    verdict: Option<String>,
    #[serde(default)]
    about_event_id: Option<i64>,
}

/// What somebody says of an activation, afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub name: &'static str,
    /// The row of the journal that it is about.
    pub event_id: i64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Acknowledge,
    Comment,
    /// None: nobody is to look after it.
    Assign(Option<String>),
    Suppress(Suppression),
    Release(Suppressor),
    Reset,
    Judge(Verdict),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: String,
    pub at_us: i64,
    pub actor: String,
    pub action: Action,
    /// None: of the facility as a whole.
    pub sensor_no: Option<i32>,
    pub rule: Rule,
    pub reason: String,
    pub work_order: Option<String>,
}

fn wrong(text: impl std::fmt::Display) -> PayloadError {
    PayloadError(format!("command: {text}"))
}

fn bounded(field: &str, text: String, bytes_max: usize) -> Result<String, PayloadError> {
    match text.len() {
        bytes if bytes > bytes_max => Err(wrong(format_args!("{field} of {bytes} bytes; {bytes_max} are the most"))),
        _ => Ok(text),
    }
}

/// The name of somebody or something.
fn named(field: &str, name: String) -> Result<String, PayloadError> {
    match first_control(&name) {
        Some(control) => Err(wrong(format_args!("{field} holds the control character {control:?}"))),
        None => bounded(field, name, COMMAND_NAME_BYTES_MAX),
    }
}

impl Command {
    pub fn read(payload: &[u8]) -> Result<Self, PayloadError> {
        let raw: RawCommand = serde_json::from_slice(payload).map_err(wrong)?;
        check_time("command: at_us", raw.at_us)?;
        if let Some(until_us) = raw.until_us {
            check_time("command: until_us", until_us)?;
        }
        let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        if !(1..=COMMAND_ID_BYTES_MAX).contains(&raw.command_id.len()) || !raw.command_id.chars().all(is_plain) {
            return Err(wrong(format_args!(
                "command_id {:?} is not 1 to {COMMAND_ID_BYTES_MAX} of A-Z, a-z, 0-9, _ and -",
                raw.command_id
            )));
        }
        let actor = named("actor", raw.actor)?;
        if actor.trim().is_empty() {
            return Err(wrong("nobody is named as its actor"));
        }
        let reason = bounded("reason", raw.reason.unwrap_or_default(), COMMAND_REASON_BYTES_MAX)?;
        let reason = lines_escaped(&reason);
        if matches!(raw.command.as_str(), "comment" | "shelve" | "out_of_service") && reason.trim().is_empty() {
            return Err(wrong(format_args!("{} needs a reason", raw.command)));
        }
        let work_order = raw.work_order.map(|order| named("work_order", order)).transpose()?;
        let action = match raw.command.as_str() {
            "acknowledge" => Action::Acknowledge,
            "comment" => Action::Comment,
            "assign" => {
                let Some(assignee) = raw.assignee else { return Err(wrong("assign needs an assignee")) };
                let assignee = named("assignee", assignee)?;
                Action::Assign(Some(assignee).filter(|name| !name.is_empty()))
            }
            "shelve" if raw.until_us.is_none() => return Err(wrong("shelve needs until_us")),
            "shelve" => Action::Suppress(Suppression { by: Suppressor::Shelf, until_us: raw.until_us }),
            "suppress" => Action::Suppress(Suppression { by: Suppressor::Design, until_us: None }),
            "out_of_service" => Action::Suppress(Suppression { by: Suppressor::Service, until_us: raw.until_us }),
            "unshelve" => Action::Release(Suppressor::Shelf),
            "unsuppress" => Action::Release(Suppressor::Design),
            "return_to_service" => Action::Release(Suppressor::Service),
            "reset" => Action::Reset,
            "verdict" => Action::Judge(read_verdict(raw.verdict.as_deref(), raw.about_event_id)?),
            other => return Err(wrong(format_args!("unknown command {other:?}"))),
        };
        if let Action::Suppress(Suppression { until_us: Some(until_us), .. }) = action {
            if until_us <= raw.at_us {
                return Err(wrong(format_args!("until_us {until_us} is not after at_us {}", raw.at_us)));
            }
        }
        let (sensor_no, rule) = read_key(&raw.alarm_key)?;
        Ok(Self { id: raw.command_id, at_us: raw.at_us, actor, action, sensor_no, rule, reason, work_order })
    }

    /// What the settings of now have against it. A replay does not ask: settings may have been others then.
    pub fn check(&self, settings: &Settings) -> Result<(), PayloadError> {
        match self.action {
            Action::Suppress(Suppression { by: Suppressor::Shelf, until_us: Some(until_us) })
                if until_us - self.at_us > us_of(settings.shelve_s_max) =>
            {
                Err(wrong(format_args!(
                    "shelved for {} s; {} are the most",
                    (until_us - self.at_us) as f64 / 1e6,
                    settings.shelve_s_max
                )))
            }
            _ => Ok(()),
        }
    }

    pub fn alarm_key(&self) -> String {
        alarm_key(self.sensor_no, self.rule.name())
    }

    pub fn no_such_alarm(&self) -> PayloadError {
        wrong(format_args!("no alarm here has the key {:?}", self.alarm_key()))
    }
}

fn read_verdict(verdict: Option<&str>, event_id: Option<i64>) -> Result<Verdict, PayloadError> {
    let known = VERDICTS.into_iter().find(|name| Some(*name) == verdict);
    let name = known.ok_or_else(|| wrong(format_args!("verdict is one of {}", VERDICTS.join(", "))))?;
    let event_id = event_id.filter(|id| *id > 0).ok_or_else(|| wrong("verdict needs about_event_id"))?;
    Ok(Verdict { name, event_id })
}

fn read_key(key: &str) -> Result<(Option<i32>, Rule), PayloadError> {
    let found = key.split_once(':').and_then(|(whose, rule)| {
        let rule = Rule::find(rule)?;
        let sensor_no = match rule.kind().owner {
            Owner::Sensor | Owner::Group => Some(whose.parse().ok()?),
            Owner::Facility => None,
        };
        (alarm_key(sensor_no, rule.name()) == key).then_some((sensor_no, rule))
    });
    found.ok_or_else(|| wrong(format_args!("no alarm can have the key {key:?}")))
}

impl Action {
    /// Do it; the name of the transition, none where it makes no sense now.
    pub fn change(&self, alarm: &mut Alarm, at_us: i64) -> Option<&'static str> {
        let is_done = match self {
            Self::Acknowledge => alarm.acknowledge(),
            Self::Comment | Self::Judge(_) => true,
            Self::Assign(assignee) => alarm.assign(assignee.as_deref()),
            Self::Suppress(suppression) => alarm.suppress(*suppression),
            Self::Release(by) => alarm.release(*by, at_us),
            Self::Reset => alarm.reset(),
        };
        is_done.then(|| self.transition())
    }

    fn transition(&self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledged",
            Self::Comment => "commented",
            Self::Assign(_) => "assigned",
            Self::Suppress(Suppression { by, .. }) => match by {
                Suppressor::Shelf => "shelved",
                Suppressor::Design => "suppressed",
                Suppressor::Service => "out_of_service",
            },
            Self::Release(by) => released(*by),
            Self::Reset => RESET,
            Self::Judge(_) => VERDICT,
        }
    }
}

pub const RESET: &str = "reset";
const VERDICT: &str = "verdict";
/// It was as the alarm says; it was not; it was, and somebody meant it to be.
const VERDICTS: [&str; 3] = ["true", "false", "expected"];

/// The transition when what kept an alarm from people is over.
pub fn released(by: Suppressor) -> &'static str {
    match by {
        Suppressor::Shelf => "unshelved",
        Suppressor::Design => "unsuppressed",
        Suppressor::Service => "in_service",
    }
}

/// The newest command ids: a command that comes again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(VecDeque<Box<str>>);

impl Known {
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|known| &**known == id)
    }

    pub fn add(&mut self, id: &str) {
        if self.0.len() == COMMANDS_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(id.into());
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Box<str>>() + self.0.iter().map(|id| id.len()).sum::<usize>()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|id| put_bytes(out, id.as_bytes()));
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let count = reader.count()?;
        if count > COMMANDS_REMEMBERED {
            return Err(WireError::new(format!("{count} commands remembered, {COMMANDS_REMEMBERED} are the most")));
        }
        (0..count).map(|_| Ok(reader.text()?.into())).collect::<Wire<_>>().map(Self)
    }
}
