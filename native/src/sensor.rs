//! One sensor of a facility: its newest reading, its detector, and the alarms of its rules.

use std::sync::Arc;

use crate::alarm::Condition;
use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::config::{SensorUpsert, Settings, Status};
use crate::detection::Detection;
use crate::detector::{Reason, Score, Scorer};
use crate::facility_score::sample::Sample;
use crate::flag;
use crate::journal::Event;
use crate::limits::VALUE_MAX;
use crate::newest::{Kept, Newest};
use crate::number::{Datum, Meaning};
use crate::rate::Moves;
use crate::recent::Recent;
use crate::rule::{Alert, Rule};
use crate::rule_set::RuleSet;
use crate::rules::{self, Priority, TypeRules};
use crate::sink::{Sink, StoredRow};
use crate::still::Still;
use crate::usable::is_usable;

#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    pub id: Box<str>,
    pub no: i32,
    pub type_index: u8,
    pub status: Status,
    pub expected_interval_s: f64,
    pub rule_version: i64,
    /// Where the facility's listening clock stood at the last usable reading that was news.
    pub heard_us: i64,
    pub newest: Option<Newest>,
    /// And at the last reading that was news, usable or not.
    pub arrived_us: i64,
    /// Different texts that came since the last usable reading, the latest last.
    pub texts: Vec<Box<str>>,
    /// Its silence is told with that of the facility.
    pub is_hushed: bool,
    pub clock: Clock,
    pub recent: Recent,
    /// Event time of the newest reading that was usable.
    pub usable_us: Option<i64>,
    /// Many sensors share one.
    pub rules: Arc<RuleSet>,
    pub alarms: Alarms,
    /// How far it has moved, where a rule asks.
    pub moves: Option<Box<Moves>>,
    /// Since when it has not moved, where a rule asks.
    pub still: Option<Box<Still>>,
    /// The first reading of those that are unusual now, alarm or not.
    pub unusual_since_us: Option<i64>,
    pub detection: Detection,
    pub scorer: Scorer,
}

/// What a sensor must know of its facility and batch.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub facility: &'a str,
    pub settings: &'a Settings,
    pub received_at_us: i64,
    pub listened_us: i64,
}

/// A reading while it is judged.
pub(crate) struct Judged {
    pub(crate) value: Option<f64>,
    pub(crate) score: Option<Score>,
    pub(crate) decades: Option<f64>,
    pub(crate) flags: u16,
    /// How far it has moved, and whether it has stood still, where a rule asks and the reading is a measurement.
    change: Option<f64>,
    is_stuck: Option<bool>,
}

impl Judged {
    /// Whether a limit is violated, or what is physical, by the flags.
    fn is_beyond(&self) -> bool {
        self.flags & (flag::BELOW_LOW | flag::ABOVE_HIGH | flag::OUT_OF_PHYSICAL_RANGE) != 0
    }

    fn is_outside(&self) -> bool {
        self.flags & flag::OUT_OF_PHYSICAL_RANGE != 0
    }
}

impl Sensor {
    pub fn new(upsert: &SensorUpsert, rule_version: i64, listened_us: i64) -> Self {
        Self {
            id: upsert.sensor_id.as_str().into(),
            no: upsert.sensor_no,
            type_index: upsert.type_index,
            status: upsert.status,
            expected_interval_s: upsert.expected_interval_s,
            rule_version,
            heard_us: listened_us,
            arrived_us: listened_us,
            texts: Vec::new(),
            is_hushed: false,
            clock: Clock::default(),
            recent: Recent::default(),
            newest: None,
            usable_us: None,
            rules: upsert.rules.clone(),
            alarms: Alarms::default(),
            moves: moves_for(&upsert.rules),
            still: still_for(&upsert.rules),
            unusual_since_us: None,
            detection: upsert.detection,
            scorer: Scorer::default(),
        }
    }

    /// Leave an empty place: without name, memory or alarms.
    pub fn vacate(&mut self) {
        let nobody = SensorUpsert {
            sensor_id: String::new(),
            sensor_no: 0,
            type_index: self.type_index,
            expected_interval_s: self.expected_interval_s,
            status: Status::Retired,
            detection: self.detection,
            rules: RuleSet::of_type(self.type_index),
        };
        *self = Self::new(&nobody, self.rule_version, self.heard_us);
    }

    pub fn of_type(&self) -> &'static TypeRules {
        rules::get(self.type_index)
    }

    /// Whether its readings count in the facility's score.
    pub(crate) fn is_watched(&self) -> bool {
        self.status == Status::Active && self.detection.tuning.is_on
    }

    pub(crate) fn is_in_alarm(&self) -> bool {
        self.alarms.iter().any(|(rule, alarm)| alarm.active && rule.kind().alert == Alert::Anomaly)
    }

    /// Seconds between its readings, as observed or else as configured.
    pub(crate) fn interval_s(&self) -> f64 {
        self.scorer.interval_s().unwrap_or(self.configured_interval_s())
    }

    pub(crate) fn configured_interval_s(&self) -> f64 {
        if self.expected_interval_s > 0.0 {
            self.expected_interval_s
        } else {
            60.0
        }
    }

    pub(crate) fn priority(&self, rule: Rule) -> Priority {
        self.rules.spec(rule).map_or(Priority::Low, |spec| spec.priority)
    }

    pub(crate) fn silence_s_max(&self, settings: &Settings) -> f64 {
        (settings.stale_intervals * self.expected_interval_s).max(settings.stale_s_min)
    }

    /// The newest reading for the facility's score, with its event time; none where it is no measurement.
    pub(crate) fn sample(&self) -> Option<(i64, Sample)> {
        const NO_MEASUREMENT: u16 = flag::TEXT | flag::NON_FINITE | flag::OUT_OF_PHYSICAL_RANGE;
        let newest = self.newest.as_ref().filter(|newest| newest.flags & NO_MEASUREMENT == 0 && self.is_watched())?;
        match self.rules.spelling.meaning(&newest.data.datum()) {
            Meaning::Number(value) if value.abs() <= VALUE_MAX => {
                Some((newest.tracked_at_us, Sample { value, decades: newest.score.unwrap_or(0.0) }))
            }
            _ => None,
        }
    }

    pub(crate) fn number(&self, datum: &Datum<'_>) -> Option<f64> {
        match self.rules.spelling.meaning(datum) {
            Meaning::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The newest reading if it is none that counts.
    pub(crate) fn unusable(&self) -> Option<&Newest> {
        let counts = |newest: &Newest| self.is_usable(self.number(&newest.data.datum()), newest.flags);
        self.newest.as_ref().filter(|newest| !counts(newest))
    }

    fn is_usable(&self, value: Option<f64>, flags: u16) -> bool {
        is_usable(self.of_type(), self.rules.tells_range(), value, flags)
    }

    /// Since when it has given the facility's score nothing but what cannot be used.
    pub(crate) fn unusable_since_us(&self) -> Option<i64> {
        self.usable_us.filter(|_| self.is_watched() && self.unusable().is_some())
    }

    /// Take a reading in, in order of arrival.
    #[inline]
    pub fn reading<S: Sink>(&mut self, stamp_us: i64, datum: Datum<'_>, around: &Surroundings<'_>, sink: &mut S) {
        let mut judged = self.judge_datum(&datum);
        let moment_us = self.moment(stamp_us, &datum, around, sink);
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        if moment_us.is_some_and(|at_us| at_us != stamp_us) {
            judged.flags |= flag::CLOCK;
        }
        let is_news = moment_us.is_some() && moment_us != newest_us;
        match (moment_us, newest_us) {
            (Some(at_us), Some(newest_us)) if at_us == newest_us => self.same_time(&datum, &mut judged),
            (Some(at_us), Some(newest_us)) if at_us < newest_us => self.late(at_us, &mut judged, around, sink),
            (Some(at_us), _) => self.in_order(at_us, &datum, &mut judged, around, sink),
            (None, _) => {}
        }
        if let Some(score) = &judged.score {
            sink.scored(score);
        }
        let score = judged.decades.map(|decades| decades as f32);
        sink.stored(
            &StoredRow {
                sensor_no: self.no,
                tracked_at_us: stamp_us,
                datum,
                value: judged.value,
                score,
                flags: judged.flags,
            },
            is_news,
        );
    }

    fn judge_datum(&self, datum: &Datum<'_>) -> Judged {
        let mut judged = Judged { value: None, score: None, decades: None, flags: 0, change: None, is_stuck: None };
        match self.rules.spelling.meaning(datum) {
            Meaning::Words => judged.flags = flag::TEXT,
            Meaning::NonFinite => judged.flags = flag::TEXT | flag::NON_FINITE,
            Meaning::Number(value) => {
                judged.value = Some(value);
                judged.flags |= self.rules.flags_of(value);
                let (floor, ceiling) = self.detection.physical;
                if value < floor || value > ceiling {
                    judged.flags |= flag::OUT_OF_PHYSICAL_RANGE;
                }
            }
        }
        judged
    }

    /// The same time as the newest: the database keeps what it has, and the newest stays.
    fn same_time(&mut self, datum: &Datum<'_>, judged: &mut Judged) {
        if self.newest.as_ref().is_none_or(|newest| newest.data.datum() != *datum) {
            judged.flags |= flag::CONFLICT;
        }
    }

    fn in_order<S: Sink>(
        &mut self,
        at_us: i64,
        datum: &Datum<'_>,
        judged: &mut Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.arrived_us = around.listened_us;
        if self.is_usable(judged.value, judged.flags) {
            self.hear(at_us, around, sink);
        } else {
            let is_told = judged.is_outside() && self.rules.tells_range();
            self.hear_nothing_usable(at_us, datum, is_told, around, sink);
        }
        if self.status == Status::Inactive {
            self.forget_excursions(at_us);
        } else if let Some(value) = judged.value {
            self.see_movement(at_us, value, judged);
            if S::SCORED {
                self.score(at_us, value, judged);
            }
            if judged.is_beyond() || self.alarms.has_limits() {
                self.step_limits(at_us, value, judged, around, sink);
            }
            if judged.is_outside() {
                self.range_was_told(at_us, around, sink);
            }
            if let Some(change) = judged.change {
                self.step_rate(at_us, value, change, around, sink);
            }
            if let Some(is_stuck) = judged.is_stuck {
                self.step_stuck(at_us, value, is_stuck, around, sink);
            }
            self.step_anomaly(at_us, value, judged, around, sink);
        }
        if self.status != Status::Inactive {
            self.recent.push(at_us, judged.value);
            self.settle(at_us, around);
        }
        self.newest = Some(Newest {
            tracked_at_us: at_us,
            data: Kept::of(datum),
            score: judged.decades.map(|decades| decades as f32),
            flags: judged.flags,
        });
    }

    fn score(&mut self, at_us: i64, value: f64, judged: &mut Judged) {
        if judged.flags & flag::OUT_OF_PHYSICAL_RANGE != 0 {
            return;
        }
        let score = self.scorer.observe(at_us, value, self.expected_interval_s, &self.detection.tuning);
        if score.warming {
            judged.flags |= flag::WARMING;
        }
        judged.decades = score.decades;
        judged.score = Some(score);
    }

    /// Before anything else is made of a reading: what this waits for in memory comes while the score is made.
    fn see_movement(&mut self, at_us: i64, value: f64, judged: &mut Judged) {
        if judged.is_outside() || value.abs() > VALUE_MAX {
            return;
        }
        judged.change = self.moves.as_mut().map(|moves| moves.see(at_us, value));
        judged.is_stuck =
            self.still.as_mut().zip(self.rules.still_band()).map(|(still, band)| still.see(at_us, value, band));
    }

    fn step_rate<S: Sink>(&mut self, at_us: i64, value: f64, change: f64, around: &Surroundings<'_>, sink: &mut S) {
        let Some(condition) = self.rules.condition_of_change(change) else { return };
        if self.alarms.is_at_rest(Rule::RateOfChange, condition) {
            return; // as nearly always
        }
        let rules = Arc::clone(&self.rules);
        let Some(spec) = rules.spec(Rule::RateOfChange) else { return };
        let transition = self.step_news(spec, condition, at_us, value, around, sink);
        if let (Some(transition), true) = (transition, S::WANTED) {
            sink.event(self.rate_event(spec, transition, at_us, value, change, around));
        }
    }

    fn step_stuck<S: Sink>(&mut self, at_us: i64, value: f64, is_stuck: bool, around: &Surroundings<'_>, sink: &mut S) {
        let condition = if is_stuck { Condition::Violated } else { Condition::Clear };
        if self.alarms.is_at_rest(Rule::Stuck, condition) {
            return; // as nearly always
        }
        let rules = Arc::clone(&self.rules);
        let (Some(spec), Some(still)) = (rules.spec(Rule::Stuck), &self.still) else { return };
        let since_us = still.since_us;
        let transition = self.step_news(spec, condition, at_us, value, around, sink);
        if let (Some(transition), true) = (transition, S::WANTED) {
            sink.event(self.stuck_event(spec, transition, at_us, value, since_us, around));
        }
        if is_stuck && self.alarms.stands(Rule::Stuck) {
            self.stuck_was_told(at_us, around, sink);
        }
    }

    /// What the detector found unusual is that the value stands still: now that is told by its name.
    fn stuck_was_told<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        const REASON: &str = "it stands still, and that is told";
        let Some(transition) = self.alarms.end(Rule::Anomaly, at_us) else { return };
        if let Some(untold) = self.alarms.find(Rule::Anomaly).and_then(|each| each.course.untold.take()) {
            return self.tell_past_news(Rule::Anomaly, &untold, at_us, around, sink);
        }
        self.alarms.tell(Rule::Anomaly, at_us);
        if S::WANTED {
            let explanation = serde_json::json!({"rule": Rule::Anomaly.name(), "reason": REASON});
            let message = format!("{}: {REASON}", self.named(around));
            let event = self.event(Rule::Anomaly, transition.name(), at_us, message, &explanation);
            sink.event(Event { reason: REASON.into(), ..event });
        }
    }

    fn step_anomaly<S: Sink>(
        &mut self,
        at_us: i64,
        value: f64,
        judged: &mut Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let Some(score) = judged.score else { return };
        if score.calm {
            self.unusual_since_us = None;
        } else if score.decades.is_some() {
            self.unusual_since_us.get_or_insert(at_us);
        }
        let condition = match score {
            // what a limit says already needs no second voice
            Score { alarming: true, .. } if !judged.is_beyond() && !self.tells_stuck(&score) => Condition::Violated,
            Score { alarming: true, .. } => Condition::Between,
            Score { calm: true, .. } => Condition::Clear,
            _ => Condition::Between,
        };
        if self.alarms.is_at_rest(Rule::Anomaly, condition) {
            return; // as nearly always
        }
        let rules = Arc::clone(&self.rules);
        let Some(spec) = rules.spec(Rule::Anomaly) else { return };
        let transition = self.step_news(spec, condition, at_us, value, around, sink);
        if self.alarms.get(Rule::Anomaly).active {
            judged.flags |= flag::ANOMALY;
        }
        if let (Some(transition), true) = (transition, S::WANTED) {
            sink.event(self.anomaly_event(transition, at_us, value, &score, around));
        }
    }

    /// Whether the score only says what the rule `stuck` says here, or will when its time comes.
    fn tells_stuck(&self, score: &Score) -> bool {
        self.still.is_some() && (score.reason == Some(Reason::Stuck) || self.alarms.get(Rule::Stuck).active)
    }

    /// Older than the newest: stored and flagged, never learned.
    fn late<S: Sink>(&mut self, at_us: i64, judged: &mut Judged, around: &Surroundings<'_>, sink: &mut S) {
        judged.flags |= flag::LATE;
        if self.status == Status::Inactive {
            return;
        }
        if let Some(value) = judged.value.filter(|_| judged.flags & flag::OUT_OF_PHYSICAL_RANGE == 0) {
            judged.decades = self.scorer.peek(value, &self.detection.tuning);
        }
        self.late_limits(at_us, judged.value, judged, around, sink);
        if let (Some(still), Some(value), false) = (self.still.as_mut(), judged.value, judged.is_outside()) {
            still.see_late(at_us, value, self.rules.still_band().unwrap_or(0.0));
        }
        if let Some(newest) = self.newest.as_ref().filter(|_| self.recent.is_too_long()) {
            self.settle(newest.tracked_at_us, around);
        }
    }
}

/// What a sensor with these rules must remember of how far it has moved.
pub(crate) fn moves_for(rules: &RuleSet) -> Option<Box<Moves>> {
    rules.spec(Rule::RateOfChange).map(|spec| Box::new(Moves::within(spec.window_us)))
}

/// The same of how long it has not.
pub(crate) fn still_for(rules: &RuleSet) -> Option<Box<Still>> {
    rules.spec(Rule::Stuck).map(|spec| Box::new(Still::within(spec.window_us)))
}
