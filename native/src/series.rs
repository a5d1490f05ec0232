//! Whole series through the code that scores live readings: for notebooks, backtests and benches.
//!
//! A twin is a facility without names, alarms told and clocks: its sensors take readings in the order given, exactly as
//! `Core::apply` would, and what the scorer says of each is kept in columns.

use crate::config::{PayloadError, SensorUpsert, Settings, Status};
use crate::core::Core;
use crate::detection::{Detection, RawDetection};
use crate::detector::{Score, GAP_INTERVALS, VIEWS};
use crate::facility_score::{Contributor, FacilityScore};
use crate::instant;
use crate::journal::Event;
use crate::limits::INTERVAL_S_MAX;
use crate::number::Datum;
use crate::rule_set::RuleSets;
use crate::rules;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::{Sink, StoredRow};
use crate::wanted::Wanted;

/// How messages call what has no facility.
const PLACE: &str = "the recording";

/// What is known of a sensor before its first reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    pub expected_interval_s: f64,
    /// One of the contract's sensor types; none: no limits and any physical range.
    pub sensor_type: Option<&'a str>,
    /// What is set of detection, as in a configuration; `{}` is as usual.
    pub tuning_json: &'a str,
    /// What is set of its alarm rules, likewise.
    pub rules_json: &'a str,
}

impl Default for Member<'_> {
    fn default() -> Self {
        Self { expected_interval_s: 0.0, sensor_type: None, tuning_json: "{}", rules_json: "{}" }
    }
}

/// A column each of what the core says; one entry a reading, in their order. What is not said is NaN.
#[derive(Debug, Default)]
pub struct Scores {
    pub score: Vec<f32>,
    pub threshold: Vec<f32>,
    pub expected: Vec<f64>,
    pub band: Vec<f64>,
    pub flags: Vec<i16>,
    pub alarming: Vec<bool>,
    /// `VIEWS` numbers a reading.
    pub shares: Vec<f32>,
    /// What would have been told live, with its row; late readings raise none here.
    pub events: Vec<(usize, Event)>,
    /// Place in `Reason::ALL`; -1: none.
    pub reason: Vec<i8>,
    pub facility_score: Vec<f32>,
    pub facility_threshold: Vec<f32>,
    pub facility_alarming: Vec<bool>,
    /// Who makes the facility unusual, with the row, where anybody does.
    pub contributors: Vec<(usize, Vec<Contributor>)>,
    /// Sensors that have been silent for longer than ever before, with the row in which that was first seen.
    pub silent: Vec<(usize, usize)>,
    told: Option<Score>,
    of_facility: Option<FacilityScore>,
}

impl Scores {
    fn for_rows(rows: usize) -> Self {
        Self {
            score: Vec::with_capacity(rows),
            threshold: Vec::with_capacity(rows),
            expected: Vec::with_capacity(rows),
            band: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            alarming: Vec::with_capacity(rows),
            shares: Vec::with_capacity(rows * VIEWS),
            events: Vec::new(),
            reason: Vec::with_capacity(rows),
            facility_score: Vec::with_capacity(rows),
            facility_threshold: Vec::with_capacity(rows),
            facility_alarming: Vec::with_capacity(rows),
            contributors: Vec::new(),
            silent: Vec::new(),
            told: None,
            of_facility: None,
        }
    }
}

impl Scores {
    /// A row in which nobody gave a reading.
    fn put_nothing(&mut self) {
        self.put_facility_score();
        self.reason.push(-1);
        self.score.push(f32::NAN);
        self.flags.push(0);
        self.put_score(None);
    }

    fn put_score(&mut self, told: Option<Score>) {
        let (nan, nothing) = (f64::NAN, [0.0; VIEWS]);
        let (threshold, expected, band, alarming, shares) = told.map_or((nan, nan, nan, false, nothing), |score| {
            (score.threshold, score.expected, score.band, score.alarming, score.shares)
        });
        self.threshold.push(threshold as f32);
        self.expected.push(expected);
        self.band.push(band);
        self.alarming.push(alarming);
        self.shares.extend_from_slice(&shares);
    }

    /// What the facility said of the tick that the present row ended.
    fn put_facility_score(&mut self) {
        let told = self.of_facility.take();
        let (score, threshold) = told.as_ref().map_or((f32::NAN, f32::NAN), |told| (told.decades, told.threshold));
        self.facility_score.push(score);
        self.facility_threshold.push(threshold);
        self.facility_alarming.push(told.as_ref().is_some_and(|told| told.alarming));
        if let Some(told) = told.filter(|told| !told.contributors.is_empty()) {
            self.contributors.push((self.score.len(), told.contributors));
        }
    }
}

impl Sink for Scores {
    const WANTED: bool = true;

    fn sensors(&mut self, _: impl FnOnce() -> Vec<Option<i32>>) {}

    #[inline]
    fn scored(&mut self, score: &Score) {
        self.told = Some(*score);
    }

    fn facility_scored(&mut self, score: &FacilityScore) {
        self.of_facility = Some(score.clone());
    }

    #[inline]
    fn stored(&mut self, row: &StoredRow<'_>, _: bool) {
        self.put_facility_score();
        let reason = self.told.and_then(|score| score.reason);
        self.reason.push(reason.map_or(-1, |reason| reason as i8));
        self.score.push(row.score.unwrap_or(f32::NAN));
        self.flags.push(row.flags as i16);
        let told = self.told.take();
        self.put_score(told);
    }

    fn unknown(&mut self, _: &str, _: i64, _: Datum<'_>) {}

    fn event(&mut self, event: Event) {
        // whether a late reading was stored before, only a database knows
        if !event.late {
            self.events.push((self.score.len(), event));
        }
    }
}

/// What is told where nobody asks for detectors, with its row.
#[derive(Debug, Default)]
struct Unscored {
    rows: usize,
    events: Vec<(usize, Event)>,
}

impl Sink for Unscored {
    const WANTED: bool = true;
    const SCORED: bool = false;

    fn sensors(&mut self, _: impl FnOnce() -> Vec<Option<i32>>) {}

    #[inline]
    fn stored(&mut self, _: &StoredRow<'_>, _: bool) {
        self.rows += 1;
    }

    fn unknown(&mut self, _: &str, _: i64, _: Datum<'_>) {}

    fn event(&mut self, event: Event) {
        if !event.late {
            self.events.push((self.rows, event));
        }
    }
}

/// A facility's sensors by number, 0 to k - 1. Series may be given in pieces: the state stays.
#[derive(Debug, Clone)]
pub struct Twin {
    core: Core,
    listener: Listener,
}

/// Who has fallen silent. Live, the intake's ticks tell of it and the stale alarm speaks; here the times of the rows do.
#[derive(Debug, Clone)]
struct Listener {
    /// Nobody can have been silent for too long before this.
    due_us: i64,
    /// From when on each sensor's silence was strange that was told last.
    told: Vec<Option<i64>>,
}

impl Listener {
    fn new(sensors: usize) -> Self {
        Self { due_us: i64::MIN, told: vec![None; sensors] }
    }

    /// Before the row at `at_us` is taken in; `speaks` is who gives a value in it.
    fn listen(&mut self, at_us: i64, speaks: Option<usize>, sensors: &[Sensor], scores: &mut Scores) {
        if at_us <= self.due_us {
            return;
        }
        self.due_us = i64::MAX;
        for (place, (sensor, told)) in sensors.iter().zip(&mut self.told).enumerate() {
            // who speaks now or later cannot be silent for too long before this
            let earliest_us = at_us.saturating_add((GAP_INTERVALS * sensor.interval_s() * 1e6) as i64);
            let from_us = sensor.scorer.silent_from_us(&sensor.detection.tuning);
            let is_silent = from_us.is_some_and(|from_us| at_us > from_us);
            if is_silent && speaks != Some(place) && *told != from_us {
                *told = from_us;
                scores.silent.push((scores.score.len(), place));
            }
            self.due_us = self.due_us.min(from_us.filter(|_| !is_silent).unwrap_or(earliest_us));
        }
    }
}

impl Twin {
    pub fn new(members: &[Member<'_>]) -> Result<Self, PayloadError> {
        let mut core = Core::new("", Settings::default());
        let mut sets = RuleSets::default();
        for (index, member) in members.iter().enumerate() {
            core.admit(Sensor::new(&upsert(index, member, &mut sets)?, 0, 0));
        }
        Ok(Self { core, listener: Listener::new(members.len()) })
    }

    /// Score readings and learn them. On an error nothing was learned. Place -1 is nobody's: only time passes.
    pub fn score(&mut self, places: Option<&[i32]>, at_us: &[i64], values: &[f64]) -> Result<Scores, PayloadError> {
        self.check(places, at_us, values)?;
        let mut scores = Scores::for_rows(at_us.len());
        for (row, (at_us, value)) in at_us.iter().zip(values).enumerate() {
            let place = usize::try_from(places.and_then(|places| places.get(row)).copied().unwrap_or(0)).ok();
            let speaks = place.filter(|_| value.is_finite());
            self.listener.listen(*at_us, speaks, &self.core.sensors, &mut scores);
            let around =
                Surroundings { facility: PLACE, settings: &self.core.settings, received_at_us: *at_us, listened_us: 0 };
            if self.core.facility_scorer.is_due(*at_us) {
                self.core.facility_scorer.turn(*at_us, &self.core.sensors, 0, &around, &mut scores);
            }
            match place.and_then(|place| self.core.sensors.get_mut(place)) {
                Some(sensor) => sensor.reading(*at_us, Datum::Bits(value.to_bits()), &around, &mut scores),
                None => scores.put_nothing(),
            }
        }
        Ok(scores)
    }

    /// What rules tell that need no detector, in a fraction of the time. A twin is for this or for `score`, not for both.
    pub fn unscored(
        &mut self,
        places: &[i32],
        at_us: &[i64],
        values: &[f64],
    ) -> Result<Vec<(usize, Event)>, PayloadError> {
        self.check(Some(places), at_us, values)?;
        let mut told = Unscored::default();
        for ((place, at_us), value) in places.iter().zip(at_us).zip(values) {
            let around =
                Surroundings { facility: PLACE, settings: &self.core.settings, received_at_us: *at_us, listened_us: 0 };
            match usize::try_from(*place).ok().and_then(|place| self.core.sensors.get_mut(place)) {
                Some(sensor) => sensor.reading(*at_us, Datum::Bits(value.to_bits()), &around, &mut told),
                None => told.rows += 1,
            }
        }
        Ok(told.events)
    }

    fn check(&self, places: Option<&[i32]>, at_us: &[i64], values: &[f64]) -> Result<(), PayloadError> {
        let rows = at_us.len();
        let lengths = [places.map_or(rows, <[i32]>::len), values.len()];
        if lengths != [rows; 2] {
            return Err(PayloadError(format!(
                "series: columns differ in length: {rows} times, {} values, {} sensors",
                lengths[1], lengths[0]
            )));
        }
        for (row, us) in at_us.iter().enumerate() {
            let wrong = |fault| PayloadError(format!("series: the time of row {row} is {fault}"));
            instant::accepted(*us).map_err(wrong)?;
        }
        let known = self.core.sensors.len();
        let is_known = |place: &i32| *place == -1 || usize::try_from(*place).is_ok_and(|place| place < known);
        match places.and_then(|places| places.iter().position(|place| !is_known(place))) {
            Some(row) => Err(PayloadError(format!("series: the sensor of row {row} is not one of 0 to {}", known - 1))),
            None if places.is_none() && known != 1 => {
                Err(PayloadError(format!("series: of which of {known} sensors?")))
            }
            None => Ok(()),
        }
    }
}

fn upsert(index: usize, member: &Member<'_>, sets: &mut RuleSets) -> Result<SensorUpsert, PayloadError> {
    let wrong = |text: String| Err(PayloadError(format!("series: sensor {index}: {text}")));
    if !(0.0..=f64::from(INTERVAL_S_MAX)).contains(&member.expected_interval_s) {
        return wrong(format!(
            "expected_interval_s {} is not within 0 and {INTERVAL_S_MAX}",
            member.expected_interval_s
        ));
    }
    let type_index = match member.sensor_type {
        None => rules::UNKNOWN,
        Some(name) => match rules::find(name) {
            Some(type_index) => type_index,
            None => return wrong(format!("unknown type {name:?}; known are {}", rules::names())),
        },
    };
    let raw = RawDetection::read(member.tuning_json);
    let detection = match raw.and_then(|raw| raw.over(Detection::of_type(type_index))) {
        Ok(detection) => detection,
        Err(error) => return wrong(format!("tuning {}: {error}", member.tuning_json)),
    };
    let wanted = serde_json::from_str::<Wanted>(member.rules_json).map_err(|error| error.to_string());
    let rules = match wanted.and_then(|wanted| sets.get(type_index, &wanted)) {
        Ok(rules) => rules,
        Err(error) => return wrong(format!("rules: {error}")),
    };
    Ok(SensorUpsert {
        sensor_id: index.to_string(),
        sensor_no: index as i32,
        type_index,
        expected_interval_s: member.expected_interval_s,
        status: Status::Active,
        detection,
        rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Twin {
        Twin::new(&[Member { expected_interval_s: 10.0, ..Member::default() }]).unwrap()
    }

    fn wave(rows: usize) -> (Vec<i64>, Vec<f64>) {
        let times = (0..rows as i64).map(|row| row * 10_000_000);
        let values = (0..rows).map(|row| libm::sin(row as f64 * 0.37) + if row == 900 { 50.0 } else { 0.0 });
        (times.collect(), values.collect())
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let (times, values) = wave(1_000);
        let whole = alone().score(None, &times, &values).unwrap();
        let mut twin = alone();
        let mut pieces = Vec::new();
        for (times, values) in times.chunks(77).zip(values.chunks(77)) {
            pieces.extend(twin.score(None, times, values).unwrap().score);
        }
        let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&whole.score), bits(&pieces));
        assert_eq!(whole.shares.len(), 1_000 * VIEWS);
        assert!(whole.score[900] > 5.0 && whole.alarming[900]);
    }

    #[test]
    fn silence_is_told_once_each_time_and_also_after_the_clock_has_jumped() {
        let (mut times, mut values) = wave(1_200);
        times[600..].iter_mut().for_each(|at_us| *at_us += 150_000_000);
        for row in (900..960).chain(1_050..1_200) {
            values[row] = f64::NAN;
        }
        let scores = alone().score(None, &times, &values).unwrap();
        assert_eq!(scores.silent.iter().map(|(row, _)| *row / 100).collect::<Vec<_>>(), [9, 11], "{:?}", scores.silent);
        assert!(!scores.silent.iter().any(|(row, _)| *row == 600), "it spoke after its gap");
    }

    #[test]
    fn what_no_instrument_measures_does_not_end_a_silence() {
        let member = Member { expected_interval_s: 10.0, sensor_type: Some("Pressure"), ..Member::default() };
        let mut twin = Twin::new(&[member.clone(), member]).unwrap();
        let rows = 1_000;
        let places: Vec<i32> = (0..2 * rows).map(|row| (row + 1) % 2).collect();
        let times: Vec<i64> = (0..2 * i64::from(rows)).map(|row| row / 2 * 10_000_000).collect();
        let value =
            |row: i32| if row >= 1_600 && row % 2 == 1 { -1e9 } else { 1_014.0 + f64::from(row * row % 7) / 10.0 };
        let values: Vec<f64> = (0..2 * rows).map(value).collect();
        let scores = twin.score(Some(&places), &times, &values).unwrap();
        assert_eq!(scores.silent.iter().map(|(_, place)| *place).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_mistake_is_told_and_nothing_is_learned() {
        let mut twin = alone();
        for (places, times, values, said) in [
            (None, vec![0, 1], vec![1.0], "differ in length"),
            (None, vec![0, -1], vec![1.0, 2.0], "time of row 1"),
            (Some(vec![0, 1]), vec![0, 1], vec![1.0, 2.0], "sensor of row 1"),
            (Some(vec![0]), vec![0, 1], vec![1.0, 2.0], "differ in length"),
        ] {
            let error = twin.score(places.as_deref(), &times, &values).unwrap_err();
            assert!(error.0.contains(said), "{}", error.0);
        }
        let kind = |kind| Twin::new(&[Member { sensor_type: Some(kind), ..Member::default() }]);
        assert!(kind("Pressure").is_ok() && kind("Unheard").is_err());
        assert!(Twin::new(&[Member { expected_interval_s: f64::NAN, ..Member::default() }]).is_err());
        let ruled = |rules_json| {
            Twin::new(&[Member { sensor_type: Some("Pressure"), rules_json, ..Member::default() }])
                .err()
                .map(|error| error.0)
        };
        assert_eq!(ruled(r#"{"rules": [{"rule": "high", "limit": 1020}]}"#), None);
        assert!(ruled(r#"{"rules": [{"rule": "loud"}]}"#).unwrap().contains("no rule \"loud\""));
        assert!(ruled(r#"{"rule": []}"#).is_some() || ruled("[").is_some());
        assert_eq!(twin.core.sensors[0], alone().core.sensors[0]);
    }
}
