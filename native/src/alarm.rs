//! One alarm's memories and how a condition moves them. Follows the practice of ISA-18.2: never one mutable state.

use crate::wire::{put_bool, put_option_i64, put_signed, Reader, Wire, WireError};

/// How a reading stands to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Violated,
    /// Inside the deadband: starts nothing, ends nothing.
    Between,
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Activated,
    Returned,
}

impl Transition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::Returned => "returned",
        }
    }
}

/// Why an alarm is kept from people while its evaluation and the journal go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suppression {
    #[default]
    None,
    Shelved {
        until_us: i64,
    },
    ByDesign,
    OutOfService,
}

impl Suppression {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shelved { .. } => "shelved",
            Self::ByDesign => "by_design",
            Self::OutOfService => "out_of_service",
        }
    }
}

/// Delays in event time: how long a condition must have held, from reading to reading, before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    pub on_us: i64,
    pub off_us: i64,
}

/// Three independent memories (active, acknowledged, suppression) and latched; what people see is derived from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub active: bool,
    pub acknowledged: bool,
    pub suppression: Suppression,
    pub latched: bool,
    /// Event time of the last activation or return.
    pub since_us: i64,
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
        suppression: Suppression::None,
        latched: false,
        since_us: 0,
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
        self.acknowledged = false;
        self.since_us = at_us;
        Some(Transition::Activated)
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

    pub fn is_normal(&self) -> bool {
        !self.active && self.acknowledged && !self.latched && self.suppression == Suppression::None
    }

    /// What people see, derived from the memories.
    pub fn shown_as(&self) -> &'static str {
        if self.suppression != Suppression::None {
            return self.suppression.name();
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
        match self.suppression {
            Suppression::None => out.push(0),
            Suppression::Shelved { until_us } => {
                out.push(1);
                put_signed(out, until_us);
            }
            Suppression::ByDesign => out.push(2),
            Suppression::OutOfService => out.push(3),
        }
        put_signed(out, self.since_us);
        put_option_i64(out, self.violated_since_us);
        put_option_i64(out, self.clear_since_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self {
            active: reader.bool()?,
            acknowledged: reader.bool()?,
            latched: reader.bool()?,
            suppression: match reader.u8()? {
                0 => Suppression::None,
                1 => Suppression::Shelved { until_us: reader.signed()? },
                2 => Suppression::ByDesign,
                3 => Suppression::OutOfService,
                other => return Err(WireError::new(format!("a suppression of kind {other}"))),
            },
            since_us: reader.signed()?,
            violated_since_us: reader.option_i64()?,
            clear_since_us: reader.option_i64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Between, Clear, Violated};

    fn run(delays: Delays, readings: &[(i64, Condition)]) -> Vec<(i64, Transition)> {
        let mut alarm = Alarm::default();
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
        let mut alarm = Alarm::default();
        alarm.step(Violated, 1, Delays::default());
        alarm.end(2);
        assert_eq!(alarm.shown_as(), "returned_unacknowledged");
        assert!(!alarm.is_normal());
        assert_eq!(alarm.end(3), None);
    }

    #[test]
    fn what_people_see() {
        let shown = |active, acknowledged, latched, suppression| {
            Alarm { active, acknowledged, latched, suppression, ..Alarm::default() }.shown_as()
        };
        assert_eq!(shown(false, true, false, Suppression::None), "normal");
        assert_eq!(shown(true, false, false, Suppression::None), "unacknowledged");
        assert_eq!(shown(true, true, false, Suppression::None), "acknowledged");
        assert_eq!(shown(false, true, true, Suppression::None), "latched");
        assert_eq!(shown(true, false, false, Suppression::Shelved { until_us: 5 }), "shelved");
    }
}
