//! The rules by which alarms are raised: one entry of the table each, with what is the same wherever a rule holds.
//!
//! What differs from sensor to sensor is in `rule_set`; what makes a rule's condition true is where its input comes by:
//! `sensor` for readings and ticks, `facility_score` for a facility as a whole.

use crate::flag;

/// Which side of a limit is the wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Below,
    Above,
}

impl Side {
    #[inline]
    pub fn is_violated(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::Above => value > limit,
        }
    }

    /// Whether a value is far enough inside to end what was violated.
    pub fn is_clear(self, value: f64, limit: f64, deadband: f64) -> bool {
        match self {
            Self::Below => value >= limit + deadband,
            Self::Above => value <= limit - deadband,
        }
    }

    /// The flag of a reading on the wrong side.
    pub fn flag(self) -> u16 {
        match self {
            Self::Below => flag::BELOW_LOW,
            Self::Above => flag::ABOVE_HIGH,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Below => "below minimum",
            Self::Above => "above maximum",
        }
    }
}

/// Whose alarm a rule raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Sensor,
    /// The facility as a whole.
    Facility,
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
    /// Of a rule that holds each reading against a limit.
    pub side: Option<Side>,
}

const fn limit(name: &'static str, side: Side) -> Kind {
    Kind { name, owner: Owner::Sensor, alert: Alert::Anomaly, side: Some(side) }
}

const fn other(name: &'static str, alert: Alert, owner: Owner) -> Kind {
    Kind { name, owner, alert, side: None }
}

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
    Low => limit("low", Side::Below),
    High => limit("high", Side::Above),
    Anomaly => other("anomaly", Alert::Anomaly, Owner::Sensor),
    Stale => other("stale", Alert::System, Owner::Sensor),
    FacilityAnomaly => other("facility_anomaly", Alert::Anomaly, Owner::Facility),
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
        self.kind().side
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
    fn the_limit_itself_violates_nothing_and_the_deadband_ends_nothing() {
        for (side, beyond, between, inside) in [(Side::Above, 10.1, 9.5, 9.0), (Side::Below, 9.9, 10.5, 11.0)] {
            assert!(
                side.is_violated(beyond, 10.0) && !side.is_violated(10.0, 10.0) && !side.is_violated(between, 10.0)
            );
            assert!(side.is_clear(inside, 10.0, 1.0) && !side.is_clear(between, 10.0, 1.0));
        }
    }
}
