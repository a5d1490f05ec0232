//! One alarm's memories and how a condition moves them. Follows the practice of ISA-18.2: never one mutable state.

use crate::wire::{put_bool, put_bytes, put_option_i64, put_signed, Reader, Wire, WireError};

/// How a reading stands to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Violated,
    /// Inside the deadband: starts nothing, ends nothing.
    Between,
    Clear,
}

/// What a condition does to its alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The condition became true, and people are told.
    Activated,
    /// The condition became true while the alarm is kept from people.
    ActivatedSilently,
    Returned,
}

impl Transition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::ActivatedSilently => "activated_silently",
            Self::Returned => "returned",
        }
    }
}

/// What keeps an alarm from people; the later ones are the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suppressor {
    /// Somebody, for a time.
    Shelf,
    /// The state of the plant makes it meaningless.
    Design,
    /// The instrument is being worked on.
    Service,
}

impl Suppressor {
    pub fn name(self) -> &'static str {
        match self {
            Self::Shelf => "shelved",
            Self::Design => "by_design",
            Self::Service => "out_of_service",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        [Self::Shelf, Self::Design, Self::Service].into_iter().find(|suppressor| suppressor.name() == name)
    }
}

/// Why an alarm is kept from people while its evaluation and the journal go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppression {
    pub by: Suppressor,
    /// When it ends by itself.
    pub until_us: Option<i64>,
}

/// What the passing of time did to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elapsed {
    /// A suppression came to its end.
    Released(Suppressor),
    /// It is still active and nobody has acknowledged it.
    ReAlarmed,
}

/// Delays in event time: how long a condition must have held, from reading to reading, before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    pub on_us: i64,
    pub off_us: i64,
}

/// Three independent memories (active, acknowledged, suppression) and latched; what people see is derived from them.
/// Nobody needs to acknowledge what nobody was told: a silent activation leaves `acknowledged` as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub active: bool,
    pub acknowledged: bool,
    pub suppression: Option<Suppression>,
    /// It was active, and stays until it is reset.
    pub latched: bool,
    /// Event time of the last activation or return, as all readings that came tell it; the journal keeps what was told.
    pub since_us: i64,
    pub assignee: Option<Box<str>>,
    /// When it is told again, by the clock of ticks, unless somebody acknowledges it.
    re_alarm_us: Option<i64>,
    violated_since_us: Option<i64>,
    clear_since_us: Option<i64>,
}

impl Default for Alarm {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl Alarm {
    /// As an alarm begins.
    pub const NORMAL: Self = Self {
        active: false,
        acknowledged: true,
        suppression: None,
        latched: false,
        since_us: 0,
        assignee: None,
        re_alarm_us: None,
        violated_since_us: None,
        clear_since_us: None,
    };

    /// Move on by one reading. Called in order of event time; anything else is late and does not come here.
    #[inline]
    pub fn step(&mut self, condition: Condition, at_us: i64, delays: Delays) -> Option<Transition> {
        if self.active {
            return self.step_active(condition, at_us, delays.off_us);
        }
        if condition != Condition::Violated {
            self.violated_since_us = None;
            return None;
        }
        let since_us = *self.violated_since_us.get_or_insert(at_us);
        if at_us - since_us < delays.on_us {
            return None;
        }
        self.violated_since_us = None;
        self.clear_since_us = None;
        self.active = true;
        self.since_us = at_us;
        Some(self.tell())
    }

    /// The same where people are told by something else, later, or never.
    pub fn step_silently(&mut self, condition: Condition, at_us: i64, delays: Delays) -> Option<Transition> {
        let acknowledged = self.acknowledged;
        let transition = self.step(condition, at_us, delays)?;
        self.acknowledged = acknowledged;
        Some(if transition == Transition::Activated { Transition::ActivatedSilently } else { transition })
    }

    /// People are told of what is active, unless it is kept from them.
    pub fn tell(&mut self) -> Transition {
        if self.suppression.is_some() {
            return Transition::ActivatedSilently;
        }
        self.annunciate();
        Transition::Activated
    }

    /// People are told, and it is theirs to acknowledge.
    fn annunciate(&mut self) {
        self.acknowledged = false;
        self.re_alarm_us = None;
    }

    fn step_active(&mut self, condition: Condition, at_us: i64, off_us: i64) -> Option<Transition> {
        if condition != Condition::Clear {
            self.clear_since_us = None;
            return None;
        }
        let since_us = *self.clear_since_us.get_or_insert(at_us);
        if at_us - since_us < off_us {
            return None;
        }
        self.end(at_us)
    }

    /// Return without delay, for a reason outside of the readings (the sensor was taken out of use).
    pub fn end(&mut self, at_us: i64) -> Option<Transition> {
        self.violated_since_us = None;
        self.clear_since_us = None;
        if !self.active {
            return None;
        }
        self.active = false;
        self.since_us = at_us;
        Some(Transition::Returned)
    }

    /// Be as it was announced. A delay that runs towards the other state goes on, one towards this state is over.
    pub fn recall(&mut self, active: bool, acknowledged: bool, since_us: i64) {
        if self.active != active {
            self.violated_since_us = None;
            self.clear_since_us = None;
        }
        self.active = active;
        self.acknowledged = acknowledged;
        self.since_us = since_us;
    }

    /// Whether that is news. Acknowledging clears nothing.
    pub fn acknowledge(&mut self) -> bool {
        !std::mem::replace(&mut self.acknowledged, true)
    }

    /// Whether that is news; none: nobody is to look after it.
    pub fn assign(&mut self, assignee: Option<&str>) -> bool {
        let is_news = self.assignee.as_deref() != assignee;
        self.assignee = assignee.map(Into::into);
        is_news
    }

    /// Keep it from people; false where something stronger does already.
    pub fn suppress(&mut self, new: Suppression) -> bool {
        let gives_way = self.suppression.is_none_or(|present| present.by <= new.by);
        if gives_way {
            self.suppression = Some(new);
        }
        gives_way
    }

    /// Give it back to people; false where it is not this that keeps it from them. What is true now is told anew.
    pub fn release(&mut self, by: Suppressor, at_us: i64) -> bool {
        let is_released = self.suppression.is_some_and(|present| present.by == by);
        if is_released {
            self.suppression = None;
            if self.active {
                self.annunciate();
                self.since_us = at_us;
            }
        }
        is_released
    }

    /// Let go of what was active once; false where there is nothing to let go of, or the condition is true.
    pub fn reset(&mut self) -> bool {
        !self.active && std::mem::replace(&mut self.latched, false)
    }

    /// Move on by the clock of ticks: a suppression ends, or what nobody acknowledged is told again.
    pub fn tick(&mut self, watermark_us: i64, re_alarm_us: Option<i64>) -> Option<Elapsed> {
        if let Some(Suppression { by, until_us: Some(until_us) }) = self.suppression {
            if until_us <= watermark_us {
                self.release(by, watermark_us);
                return Some(Elapsed::Released(by));
            }
        }
        let wait_us = re_alarm_us.filter(|_| self.active && !self.acknowledged && self.suppression.is_none());
        let due_us =
            std::mem::replace(&mut self.re_alarm_us, wait_us.map(|wait_us| watermark_us.saturating_add(wait_us)));
        match (wait_us, due_us) {
            (Some(_), Some(due_us)) if due_us <= watermark_us => Some(Elapsed::ReAlarmed),
            (Some(_), Some(_)) => {
                self.re_alarm_us = due_us;
                None
            }
            _ => None,
        }
    }

    /// Be as another is in what conditions move: active, since when, and the delays that run. Nobody is told by this.
    pub fn follow(&mut self, other: &Self) {
        self.active = other.active;
        self.since_us = other.since_us;
        self.violated_since_us = other.violated_since_us;
        self.clear_since_us = other.clear_since_us;
    }

    /// Nothing was later than this, whatever it claimed.
    pub fn turn_back(&mut self, to_us: i64) {
        self.since_us = self.since_us.min(to_us);
        for moment_us in [&mut self.violated_since_us, &mut self.clear_since_us] {
            *moment_us = moment_us.map(|at_us| at_us.min(to_us));
        }
    }

    /// A reading was of another moment than it claimed.
    pub fn move_moment(&mut self, from_us: i64, to_us: i64) {
        if self.active && self.since_us == from_us {
            self.since_us = to_us;
        }
        for moment_us in [&mut self.violated_since_us, &mut self.clear_since_us] {
            if *moment_us == Some(from_us) {
                *moment_us = Some(to_us);
            }
        }
    }

    /// Whether a delay runs.
    pub fn is_waiting(&self) -> bool {
        self.violated_since_us.is_some() || self.clear_since_us.is_some()
    }

    /// Keep only what conditions move.
    pub fn forget_people(&mut self) {
        let mut kept = Self::NORMAL;
        kept.follow(self);
        *self = kept;
    }

    pub fn is_normal(&self) -> bool {
        !self.active && self.acknowledged && !self.latched && self.suppression.is_none()
    }

    /// What keeps it from people, by name.
    pub fn suppression_name(&self) -> &'static str {
        self.suppression.map_or("none", |suppression| suppression.by.name())
    }

    /// What people see, derived from the memories.
    pub fn shown_as(&self) -> &'static str {
        if self.suppression.is_some() {
            return self.suppression_name();
        }
        match (self.active, self.acknowledged, self.latched) {
            (true, false, _) => "unacknowledged",
            (true, true, _) => "acknowledged",
            (false, _, true) => "latched",
            (false, false, false) => "returned_unacknowledged",
            (false, true, false) => "normal",
        }
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_bool(out, self.active);
        put_bool(out, self.acknowledged);
        put_bool(out, self.latched);
        put_bytes(out, self.suppression.map_or("", |suppression| suppression.by.name()).as_bytes());
        put_option_i64(out, self.suppression.and_then(|suppression| suppression.until_us));
        put_signed(out, self.since_us);
        put_option_i64(out, self.violated_since_us);
        put_option_i64(out, self.clear_since_us);
        put_bytes(out, self.assignee.as_deref().unwrap_or("").as_bytes());
        put_option_i64(out, self.re_alarm_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (active, acknowledged, latched) = (reader.bool()?, reader.bool()?, reader.bool()?);
        let (name, until_us) = (reader.text()?, reader.option_i64()?);
        let by = Suppressor::find(name);
        if by.is_none() && !name.is_empty() {
            return Err(WireError::new(format!("a suppression of kind {name:?}")));
        }
        Ok(Self {
            active,
            acknowledged,
            suppression: by.map(|by| Suppression { by, until_us }),
            latched,
            since_us: reader.signed()?,
            violated_since_us: reader.option_i64()?,
            clear_since_us: reader.option_i64()?,
            assignee: Some(reader.text()?).filter(|text| !text.is_empty()).map(Into::into),
            re_alarm_us: reader.option_i64()?,
        })
    }

    /// As versions before 4 kept it, when nobody could suppress, assign or reset anything.
    pub fn load_before_4(reader: &mut Reader<'_>) -> Wire<Self> {
        let (active, acknowledged) = (reader.bool()?, reader.bool()?);
        if reader.bool()? || reader.u8()? != 0 {
            return Err(WireError::new("an alarm latched or suppressed before there were commands"));
        }
        Ok(Self {
            active,
            acknowledged,
            since_us: reader.signed()?,
            violated_since_us: reader.option_i64()?,
            clear_since_us: reader.option_i64()?,
            ..Self::NORMAL
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Between, Clear, Violated};

    fn run(delays: Delays, readings: &[(i64, Condition)]) -> Vec<(i64, Transition)> {
        let mut alarm = Alarm::NORMAL;
        readings
            .iter()
            .filter_map(|(at, condition)| alarm.step(*condition, *at, delays).map(|found| (*at, found)))
            .collect()
    }

    #[test]
    fn without_delays_one_reading_decides() {
        let events = run(Delays::default(), &[(1, Violated), (2, Violated), (3, Between), (4, Clear), (5, Violated)]);
        assert_eq!(events, [(1, Transition::Activated), (4, Transition::Returned), (5, Transition::Activated)]);
    }

    #[test]
    fn delays_run_in_event_time_and_start_again_when_broken() {
        let delays = Delays { on_us: 10, off_us: 10 };
        let events = run(
            delays,
            &[
                (0, Violated),
                (9, Violated),
                (9, Between),
                (10, Violated),
                (20, Violated),
                (30, Clear),
                (39, Between),
                (40, Clear),
                (50, Clear),
            ],
        );
        assert_eq!(events, [(20, Transition::Activated), (50, Transition::Returned)]);
    }

    #[test]
    fn a_return_does_not_acknowledge() {
        let mut alarm = Alarm::NORMAL;
        alarm.step(Violated, 1, Delays::default());
        alarm.end(2);
        assert_eq!(alarm.shown_as(), "returned_unacknowledged");
        assert!(!alarm.is_normal());
        assert_eq!(alarm.end(3), None);
    }

    #[test]
    fn what_people_see() {
        let shown = |active, acknowledged, latched, by: Option<Suppressor>| {
            let suppression = by.map(|by| Suppression { by, until_us: None });
            Alarm { active, acknowledged, latched, suppression, ..Alarm::NORMAL }.shown_as()
        };
        assert_eq!(shown(false, true, false, None), "normal");
        assert_eq!(shown(true, false, false, None), "unacknowledged");
        assert_eq!(shown(true, true, false, None), "acknowledged");
        assert_eq!(shown(false, false, false, None), "returned_unacknowledged");
        assert_eq!(shown(false, true, true, None), "latched");
        assert_eq!(shown(true, true, true, None), "acknowledged");
        assert_eq!(shown(true, false, false, Some(Suppressor::Shelf)), "shelved");
        assert_eq!(shown(false, true, true, Some(Suppressor::Design)), "by_design");
        assert_eq!(shown(false, true, false, Some(Suppressor::Service)), "out_of_service");
    }

    #[test]
    fn an_alarm_that_nobody_acknowledges_is_told_again_until_somebody_does() {
        let mut alarm = Alarm::NORMAL;
        alarm.step(Violated, 1, Delays::default());
        let told: Vec<i64> = (100..140).filter(|at| alarm.tick(*at, Some(10)) == Some(Elapsed::ReAlarmed)).collect();
        assert_eq!(told, [110, 120, 130], "counted from the first tick that saw it");
        assert!(alarm.acknowledge());
        assert!((140..200).all(|at| alarm.tick(at, Some(10)).is_none()));
        alarm.end(200);
        alarm.step(Violated, 201, Delays::default());
        assert_eq!((alarm.tick(201, Some(10)), alarm.tick(210, None), alarm.tick(211, Some(10))), (None, None, None));
    }

    #[test]
    fn a_snapshot_keeps_every_memory() {
        let mut alarm = Alarm::NORMAL;
        alarm.step(Violated, 5, Delays { on_us: 0, off_us: 9 });
        alarm.step(Clear, 6, Delays { on_us: 0, off_us: 9 });
        alarm.tick(7, Some(3));
        (alarm.latched, alarm.assignee) = (true, Some("Ada".into()));
        alarm.suppress(Suppression { by: Suppressor::Shelf, until_us: Some(77) });
        let mut bytes = Vec::new();
        alarm.save(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Alarm::load(&mut reader), Ok(alarm));
        assert!(reader.is_empty());
    }
}
