//! When a facility's tick ends: at the pace of its slowest usual channel, and just before the next round of readings.
//!
//! A hub sends its sensors in rounds, a little off any grid. A tick begins with the first reading after the one before
//! and is over when a reading comes most of a tick later: so a round is never cut in two.

use crate::sensor::Sensor;
use crate::wire::{put_f64, put_signed, put_varint, Reader, Wire, WireError};

/// Channels slower than so many times the median are not waited for.
const SLOW_MEDIANS: f64 = 4.0;
/// A round's readings come within a quarter of its distance to the next.
const ROUND_SHARE: f64 = 0.75;
/// The pace is looked at again after so many ticks, and changes when it is off by so much.
const PACE_TICKS: u32 = 100;
const PACE_OFF: f64 = 1.3;
/// A channel that was silent for so many ticks is stale.
const STALE_TICKS: f64 = 3.0;
/// After a silence of so many ticks the past says nothing of now.
const GAP_TICKS: f64 = 8.0;
/// A tick while no sensor is in use.
const IDLE_S: f64 = 60.0;
const TICK_S: (f64, f64) = (0.01, 7.0 * 86_400.0);

#[derive(Debug, Clone, PartialEq)]
pub struct TickClock {
    pub tick_s: f64,
    /// Event time from which on a reading belongs to the next tick.
    pub due_us: i64,
    started_us: Option<i64>,
    ticks: u32,
}

impl Default for TickClock {
    fn default() -> Self {
        Self { tick_s: 0.0, due_us: i64::MIN, started_us: None, ticks: 0 }
    }
}

impl TickClock {
    /// A tick begins with this reading. None: it is the first; else whether a silence lies before it.
    pub fn begin(&mut self, at_us: i64, sensors: &[Sensor]) -> Option<bool> {
        if self.ticks == 0 {
            self.keep_pace(sensors);
        }
        self.ticks = (self.ticks + 1) % PACE_TICKS;
        let began_us = self.started_us.replace(at_us);
        self.due_us = at_us.saturating_add((ROUND_SHARE * self.tick_s * 1e6) as i64);
        began_us.map(|began_us| (at_us - began_us) as f64 > GAP_TICKS * self.tick_s * 1e6)
    }

    pub fn is_stale(&self, age_us: i64) -> bool {
        age_us as f64 > STALE_TICKS * self.tick_s * 1e6
    }

    /// A sensor is new: look at the pace with the next tick.
    pub fn look_again(&mut self) {
        self.ticks = 0;
    }

    fn keep_pace(&mut self, sensors: &[Sensor]) {
        let mut paces: Vec<f64> = sensors.iter().filter(|sensor| sensor.is_watched()).map(Sensor::interval_s).collect();
        paces.sort_unstable_by(f64::total_cmp);
        let median = paces.get(paces.len() / 2).unwrap_or(&IDLE_S);
        let slowest = paces.iter().rev().find(|pace| **pace <= SLOW_MEDIANS * median).unwrap_or(median);
        let tick_s = slowest.clamp(TICK_S.0, TICK_S.1);
        if !(self.tick_s / PACE_OFF..=self.tick_s * PACE_OFF).contains(&tick_s) {
            self.tick_s = tick_s;
        }
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f64(out, self.tick_s);
        crate::wire::put_option_i64(out, self.started_us);
        put_signed(out, self.due_us);
        put_varint(out, u64::from(self.ticks));
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let tick_s = reader.f64()?;
        if tick_s != 0.0 && !(TICK_S.0..=TICK_S.1).contains(&tick_s) {
            return Err(WireError::new(format!("a tick of {tick_s} s")));
        }
        Ok(Self {
            tick_s,
            started_us: reader.option_i64()?,
            due_us: reader.signed()?,
            ticks: u32::try_from(reader.varint()?).map_err(|_| WireError::new("a count of ticks does not fit"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SensorUpsert, Status};
    use crate::detection::Detection;

    fn sensors(intervals: &[f64], status: Status) -> Vec<Sensor> {
        let sensor = |(no, interval_s): (usize, &f64)| SensorUpsert {
            sensor_id: format!("s{no}"),
            sensor_no: no as i32,
            type_index: 0,
            expected_interval_s: *interval_s,
            status,
            detection: Detection::of_type(0),
            rules: crate::rule_set::RuleSet::of_type(0),
        };
        intervals.iter().enumerate().map(|each| Sensor::new(&sensor(each), 1, 0)).collect()
    }

    fn tick_s(intervals: &[f64], status: Status) -> f64 {
        let mut clock = TickClock::default();
        clock.begin(0, &sensors(intervals, status));
        clock.tick_s
    }

    #[test]
    fn a_tick_waits_for_the_slowest_that_is_not_far_behind() {
        assert_eq!(tick_s(&[15.0, 15.0, 60.0, 3_600.0], Status::Active), 60.0);
        assert_eq!(tick_s(&[15.0, 15.0, 15.0, 60.1], Status::Active), 15.0);
    }

    #[test]
    fn a_facility_out_of_use_does_not_tick_with_every_reading() {
        assert_eq!(tick_s(&[15.0, 15.0], Status::Inactive), 60.0);
        assert_eq!(tick_s(&[], Status::Active), 60.0);
    }

    #[test]
    fn a_round_is_not_cut_and_a_gap_is_seen() {
        let sensors = sensors(&[10.0, 10.0], Status::Active);
        let mut clock = TickClock::default();
        assert_eq!(clock.begin(0, &sensors), None);
        assert_eq!(clock.due_us, 7_500_000);
        assert_eq!(clock.begin(9_000_000, &sensors), Some(false));
        assert_eq!(clock.begin(100_000_000, &sensors), Some(true));
    }
}
