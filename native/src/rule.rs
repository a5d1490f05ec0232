//! The rules by which alarms are raised: one entry of the table each, with what is the same wherever a rule holds.
//!
//! What differs from sensor to sensor is in `rule_set`; what makes a rule's condition true is where its input comes by:
//! `sensor` for readings and ticks, `facility_score` for a facility as a whole.

use crate::flag;
use crate::instant::US_PER_S;

/// Which side of a limit is the wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Below,
    Above,
    /// Either, of a range that has no limit: that of what is physical.
    Outside,
}

impl Side {
    #[inline]
    pub fn is_violated(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::Above => value > limit,
            Self::Outside => false,
        }
    }

    /// Whether a value is far enough inside to end what was violated.
    pub fn is_clear(self, value: f64, limit: f64, deadband: f64) -> bool {
        match self {
            Self::Below => value >= limit + deadband,
            Self::Above => value <= limit - deadband,
            Self::Outside => false,
        }
    }

    /// The value of two that is further on the wrong side.
    pub fn further(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Below => one.min(other),
            Self::Above => one.max(other),
            Self::Outside if other.abs() > one.abs() => other,
            Self::Outside => one,
        }
    }

    /// The flag of a reading on the wrong side.
    pub fn flag(self) -> u16 {
        match self {
            Self::Below => flag::BELOW_LOW,
            Self::Above => flag::ABOVE_HIGH,
            Self::Outside => flag::OUT_OF_PHYSICAL_RANGE,
        }
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::Below => "below minimum",
            Self::Above => "above maximum",
            Self::Outside => "outside of what is physical",
        }
    }
}

/// Whose alarm a rule raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Sensor,
    /// The facility as a whole.
    Facility,
    /// Several sensors of a facility together.
    Group,
}

/// What its alarm is about: the contract's kinds of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// What is measured.
    Anomaly,
    /// The measuring.
    System,
}

/// What of a rule is the same wherever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    pub owner: Owner,
    pub alert: Alert,
    /// What is so while the condition is true: "… is still unusual".
    pub standing: &'static str,
    /// What its limit is held against, if it has one.
    pub measure: Measure,
    /// How long it must have been over to end, of a rule without a limit; a limit's is its sensor type's.
    pub off_us: i64,
    /// While it is true no limit can speak: it is as urgent as they are, and of no type whose readings are words.
    pub mutes_limits: bool,
}

/// Which of the limits on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The one that a sensor type has by itself.
    First,
    /// Beyond the first, and more urgent.
    Second,
}

/// What a rule's limit is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The value of each reading.
    Value(Side, Level),
    /// The value of each reading, against what its instrument can measure.
    Physical,
    /// How far the value has moved within the rule's window, up or down.
    Change,
    /// How long the value has not moved, of which the rule's window is the limit.
    Stillness,
    /// It has no limit.
    None,
}

const fn limit(name: &'static str, side: Side, level: Level) -> Kind {
    Kind {
        name,
        owner: Owner::Sensor,
        alert: Alert::Anomaly,
        standing: side.words(),
        measure: Measure::Value(side, level),
        off_us: 0,
        mutes_limits: false,
    }
}

const fn other(name: &'static str, alert: Alert, owner: Owner, standing: &'static str) -> Kind {
    Kind { name, owner, alert, standing, measure: Measure::None, off_us: 0, mutes_limits: false }
}

const fn of_group(name: &'static str, alert: Alert, standing: &'static str) -> Kind {
    other(name, alert, Owner::Group, standing)
}

const DEVIATION: Kind = Kind { off_us: 60 * US_PER_S, ..other("anomaly", Alert::Anomaly, Owner::Sensor, "unusual") };

const BAD_VALUE: Kind =
    Kind { mutes_limits: true, ..other("bad_value", Alert::System, Owner::Sensor, "without a usable value") };

const OUT_OF_RANGE: Kind = Kind {
    measure: Measure::Physical,
    mutes_limits: true,
    ..other("out_of_physical_range", Alert::System, Owner::Sensor, Side::Outside.words())
};

const RATE: Kind =
    Kind { measure: Measure::Change, ..other("rate_of_change", Alert::Anomaly, Owner::Sensor, "changing too fast") };

const STUCK: Kind =
    Kind { measure: Measure::Stillness, ..other("stuck", Alert::System, Owner::Sensor, "standing still") };

macro_rules! rules {
    ($($rule:ident => $kind:expr),* $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($rule),*
        }

        impl Rule {
            /// In the order in which a reading is held against them, which is that of the journal.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            pub fn kind(self) -> &'static Kind {
                match self {
                    $(Self::$rule => { const KIND: Kind = $kind; &KIND })*
                }
            }
        }
    };
}

rules! {
    Low => limit("low", Side::Below, Level::First),
    LowLow => limit("low_low", Side::Below, Level::Second),
    High => limit("high", Side::Above, Level::First),
    HighHigh => limit("high_high", Side::Above, Level::Second),
    OutOfPhysicalRange => OUT_OF_RANGE,
    RateOfChange => RATE,
    Stuck => STUCK,
    Anomaly => DEVIATION,
    Stale => other("stale", Alert::System, Owner::Sensor, "silent"),
    BadValue => BAD_VALUE,
    Clock => other("clock", Alert::System, Owner::Sensor, "stamped behind"),
    FacilityAnomaly => other("facility_anomaly", Alert::Anomaly, Owner::Facility, "unusual as a whole"),
    Silent => other("silent", Alert::System, Owner::Facility, "silent"),
    Vote => of_group("vote", Alert::Anomaly, "voted for"),
    VoteDegraded => of_group("vote_degraded", Alert::System, "voted on by fewer than should"),
    VoteLost => of_group("vote_lost", Alert::System, "voted on by too few"),
    Discrepancy => of_group("discrepancy", Alert::Anomaly, "in disagreement"),
    Combination => of_group("combination", Alert::Anomaly, "so"),
    InputUnknown => of_group("input_unknown", Alert::System, "judged without all that it asks for"),
    FirstOut => of_group("first_out", Alert::Anomaly, "not normal since the first"),
}

impl Rule {
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }

    /// Those of a sensor.
    pub fn of_sensors() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|rule| rule.kind().owner == Owner::Sensor)
    }

    pub fn name(self) -> &'static str {
        self.kind().name
    }

    pub fn alert_type(self) -> &'static str {
        match self.kind().alert {
            Alert::Anomaly => "Anomaly",
            Alert::System => "System",
        }
    }

    pub fn side(self) -> Option<Side> {
        match self.kind().measure {
            Measure::Value(side, _) => Some(side),
            Measure::Physical => Some(Side::Outside),
            Measure::Change | Measure::Stillness | Measure::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name() {
        for rule in Rule::ALL {
            assert_eq!(Rule::find(rule.name()), Some(*rule));
        }
        assert_eq!(Rule::find("unheard"), None);
    }

    #[test]
    fn limits_stand_first() {
        let limits = Rule::ALL.iter().filter(|rule| rule.side().is_some()).count();
        assert!(Rule::ALL.iter().take(limits).all(|rule| rule.side().is_some()));
    }

    #[test]
    fn the_limit_itself_violates_nothing_and_the_deadband_ends_nothing() {
        for (side, beyond, between, inside) in [(Side::Above, 10.1, 9.5, 9.0), (Side::Below, 9.9, 10.5, 11.0)] {
            assert!(
                side.is_violated(beyond, 10.0) && !side.is_violated(10.0, 10.0) && !side.is_violated(between, 10.0)
            );
            assert!(side.is_clear(inside, 10.0, 1.0) && !side.is_clear(between, 10.0, 1.0));
        }
    }
}
