//! One sensor of a facility: its newest reading, its detector, and the alarms of its rules.

use crate::alarm::{Alarm, Condition, Delays};
use crate::config::{SensorUpsert, Settings, Status};
use crate::detection::Detection;
use crate::detector::{Score, Scorer};
use crate::facility_score::sample::Sample;
use crate::flag;
use crate::instant::US_PER_S;
use crate::journal::{Event, Rule, ToldAlarm, ACTIVATED, LATE_EXCEEDANCE};
use crate::late::Excursions;
use crate::limits::VALUE_MAX;
use crate::newest::{Kept, Newest};
use crate::number::{Datum, Meaning};
use crate::rules::{self, Priority, TypeRules};
use crate::sink::{Sink, StoredRow};
use crate::usable::is_usable;

/// An anomaly that is over must have been so for this long.
const ANOMALY_OFF_US: i64 = 60 * US_PER_S;

/// A limit's alarm and the excursions it remembers for late readings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitAlarm {
    pub alarm: Alarm,
    pub excursions: Excursions,
}

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
    /// Event time of the newest reading that was usable.
    pub usable_us: Option<i64>,
    pub low: LimitAlarm,
    pub high: LimitAlarm,
    pub anomaly: Alarm,
    /// The first reading of those that are unusual now, alarm or not.
    pub unusual_since_us: Option<i64>,
    pub stale: Alarm,
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
struct Judged {
    value: Option<f64>,
    score: Option<Score>,
    decades: Option<f64>,
    flags: u16,
}

impl Judged {
    fn violated(&self) -> impl Iterator<Item = Rule> {
        let flags = self.flags;
        let rules = [(Rule::Low, flag::BELOW_LOW), (Rule::High, flag::ABOVE_HIGH)];
        rules.into_iter().filter(move |(_, bit)| flags & bit != 0).map(|(rule, _)| rule)
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
            newest: None,
            usable_us: None,
            low: LimitAlarm::default(),
            high: LimitAlarm::default(),
            anomaly: Alarm::default(),
            unusual_since_us: None,
            stale: Alarm::default(),
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
        };
        *self = Self::new(&nobody, self.rule_version, self.heard_us);
    }

    pub fn rules(&self) -> &'static TypeRules {
        rules::get(self.type_index)
    }

    /// Whether its readings count in the facility's score.
    pub(crate) fn is_watched(&self) -> bool {
        self.status == Status::Active && self.detection.tuning.is_on
    }

    pub(crate) fn is_in_alarm(&self) -> bool {
        self.low.alarm.active || self.high.alarm.active || self.anomaly.active
    }

    /// Seconds between its readings, as observed or else as configured.
    pub(crate) fn interval_s(&self) -> f64 {
        self.scorer.interval_s().unwrap_or(if self.expected_interval_s > 0.0 { self.expected_interval_s } else { 60.0 })
    }

    /// The newest reading for the facility's score, with its event time; none where it is no measurement.
    pub(crate) fn sample(&self) -> Option<(i64, Sample)> {
        const NO_MEASUREMENT: u16 = flag::TEXT | flag::NON_FINITE | flag::OUT_OF_PHYSICAL_RANGE;
        let newest = self.newest.as_ref().filter(|newest| newest.flags & NO_MEASUREMENT == 0 && self.is_watched())?;
        match newest.data.datum().meaning() {
            Meaning::Number(value) if value.abs() <= VALUE_MAX => {
                Some((newest.tracked_at_us, Sample { value, decades: newest.score.unwrap_or(0.0) }))
            }
            _ => None,
        }
    }

    /// The newest reading if it is none that counts.
    pub(crate) fn unusable(&self) -> Option<&Newest> {
        let counts = |newest: &Newest| is_usable(self.rules(), newest.data.datum().number(), newest.flags);
        self.newest.as_ref().filter(|newest| !counts(newest))
    }

    /// Since when it has given the facility's score nothing but what cannot be used.
    pub(crate) fn unusable_since_us(&self) -> Option<i64> {
        self.usable_us.filter(|_| self.is_watched() && self.unusable().is_some())
    }

    /// Take a reading in, in order of arrival.
    #[inline]
    pub fn reading<S: Sink>(&mut self, at_us: i64, datum: Datum<'_>, around: &Surroundings<'_>, sink: &mut S) {
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        let mut judged = self.judge_datum(&datum);
        let mut is_news = true;
        match newest_us {
            Some(newest_us) if at_us == newest_us => {
                is_news = false;
                self.same_time(at_us, &datum, &mut judged, around);
            }
            Some(newest_us) if at_us < newest_us => self.late(at_us, &mut judged, around, sink),
            _ => self.in_order(at_us, &datum, &mut judged, around, sink),
        }
        if let Some(score) = &judged.score {
            sink.scored(score);
        }
        let score = judged.decades.map(|decades| decades as f32);
        sink.stored(
            &StoredRow {
                sensor_no: self.no,
                tracked_at_us: at_us,
                datum,
                value: judged.value,
                score,
                flags: judged.flags,
            },
            is_news,
        );
    }

    fn judge_datum(&self, datum: &Datum<'_>) -> Judged {
        let rules = self.rules();
        let mut judged = Judged { value: None, score: None, decades: None, flags: 0 };
        match datum.meaning() {
            Meaning::Words => judged.flags = flag::TEXT,
            Meaning::NonFinite => judged.flags = flag::TEXT | flag::NON_FINITE,
            Meaning::Number(value) => {
                judged.value = Some(value);
                if rules.low.is_some_and(|low| value < low) {
                    judged.flags |= flag::BELOW_LOW;
                }
                if rules.high.is_some_and(|high| value > high) {
                    judged.flags |= flag::ABOVE_HIGH;
                }
                let (floor, ceiling) = self.detection.physical;
                if value < floor || value > ceiling {
                    judged.flags |= flag::OUT_OF_PHYSICAL_RANGE;
                }
            }
        }
        judged
    }

    /// The same time as the newest: the database keeps what it has, and the newest stays. Once there are newer readings
    /// a redelivery of this one counts as late, so a violation is noted now as it would be then.
    fn same_time(&mut self, at_us: i64, datum: &Datum<'_>, judged: &mut Judged, around: &Surroundings<'_>) {
        if self.newest.as_ref().is_some_and(|newest| newest.data.datum() == *datum) {
            return;
        }
        if self.status != Status::Inactive {
            for rule in judged.violated() {
                self.is_late_news(rule, at_us, around);
            }
        }
        judged.flags |= flag::CONFLICT;
    }

    fn in_order<S: Sink>(
        &mut self,
        at_us: i64,
        datum: &Datum<'_>,
        judged: &mut Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if is_usable(self.rules(), judged.value, judged.flags) {
            self.hear(at_us, around, sink);
        }
        if self.status == Status::Inactive {
            self.low.excursions.forget(at_us);
            self.high.excursions.forget(at_us);
        } else {
            if let Some(value) = judged.value {
                self.score(at_us, value, judged);
                self.step_limit(Rule::Low, at_us, value, judged, around, sink);
                self.step_limit(Rule::High, at_us, value, judged, around, sink);
                self.step_anomaly(at_us, value, judged, around, sink);
            }
        }
        self.newest = Some(Newest {
            tracked_at_us: at_us,
            data: Kept::of(datum),
            score: judged.decades.map(|decades| decades as f32),
            flags: judged.flags,
        });
    }

    /// Take note of a usable reading: nobody is stale who gives one.
    fn hear<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        self.heard_us = around.listened_us;
        let told_us = at_us.max(self.stale.since_us); // the alarm began by our clock, the reading has its own
        if let Some(transition) = self.stale.end(told_us) {
            let reason = if self.unusable().is_some() { "a usable value arrived" } else { "a reading arrived" };
            self.tell_stale(transition, told_us, around, sink, reason);
        }
        self.usable_us = Some(at_us);
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

    fn step_limit<S: Sink>(
        &mut self,
        rule: Rule,
        at_us: i64,
        value: f64,
        judged: &Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let rules = self.rules();
        let Some(limit) = self.limit(rule) else { return };
        let this = self.limit_alarm(rule);
        let condition = limit_condition(rule, value, limit, rules.deadband(), judged.flags);
        let delays = Delays { on_us: rules.on_delay_us, off_us: rules.off_delay_us };
        let transition = this.alarm.step(condition, at_us, delays);
        if condition == Condition::Violated {
            this.excursions.open(at_us);
        } else if !this.alarm.active {
            this.excursions.close(at_us);
        }
        if let Some(transition) = transition {
            if S::WANTED {
                let event = self.limit_event(rule, transition.name(), at_us, value, around);
                sink.event(Event { score: judged.decades, ..event });
            }
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
            Score { alarming: true, .. } if judged.violated().next().is_none() => Condition::Violated,
            Score { alarming: true, .. } => Condition::Between,
            Score { calm: true, .. } => Condition::Clear,
            _ => Condition::Between,
        };
        let transition = self.anomaly.step(condition, at_us, Delays { on_us: 0, off_us: ANOMALY_OFF_US });
        if self.anomaly.active {
            judged.flags |= flag::ANOMALY;
        }
        if let Some(transition) = transition {
            if S::WANTED {
                sink.event(self.anomaly_event(transition, at_us, value, &score, around));
            }
        }
    }

    /// Older than the newest: stored and flagged, never learned; a violation is told if it is young and news.
    fn late<S: Sink>(&mut self, at_us: i64, judged: &mut Judged, around: &Surroundings<'_>, sink: &mut S) {
        judged.flags |= flag::LATE;
        if self.status == Status::Inactive {
            return;
        }
        let Some(value) = judged.value else { return };
        if judged.flags & flag::OUT_OF_PHYSICAL_RANGE == 0 {
            judged.decades = self.scorer.peek(value, &self.detection.tuning);
        }
        for rule in judged.violated() {
            let is_news = self.is_late_news(rule, at_us, around);
            if S::WANTED {
                let transition = if is_news { ACTIVATED } else { LATE_EXCEEDANCE };
                let event = self.limit_event(rule, transition, at_us, value, around);
                sink.event(Event {
                    late: true,
                    only_if_stored: Some((self.no, at_us)),
                    score: judged.decades,
                    ..event
                });
            }
        }
    }

    /// Whether a late violation is young and belongs to no excursion that is known; from now on it does.
    fn is_late_news(&mut self, rule: Rule, at_us: i64, around: &Surroundings<'_>) -> bool {
        let age_s = around.received_at_us.saturating_sub(at_us) as f64 / 1e6;
        age_s < around.settings.late_alarm_s_max && self.limit_alarm(rule).excursions.late_violation(at_us)
    }

    fn limit_alarm(&mut self, rule: Rule) -> &mut LimitAlarm {
        match rule {
            Rule::Low => &mut self.low,
            _ => &mut self.high,
        }
    }

    pub(crate) fn limit(&self, rule: Rule) -> Option<f64> {
        match rule {
            Rule::Low => self.rules().low,
            _ => self.rules().high,
        }
    }

    fn alarm_of(&mut self, rule: Rule) -> &mut Alarm {
        match rule {
            Rule::Low => &mut self.low.alarm,
            Rule::High => &mut self.high.alarm,
            Rule::Anomaly | Rule::FacilityAnomaly => &mut self.anomaly,
            Rule::Stale => &mut self.stale,
        }
    }

    /// Be as the journal left an alarm (none: it is not in it). An active limit's excursion is known, however long it lasts.
    pub(crate) fn recall(&mut self, rule: Rule, told: Option<&ToldAlarm>) {
        let Some(told) = told else {
            return self.alarm_of(rule).recall(false, true, 0);
        };
        self.alarm_of(rule).recall(told.active, told.acknowledged, told.since_us);
        if told.active && matches!(rule, Rule::Low | Rule::High) {
            self.limit_alarm(rule).excursions.open(told.since_us);
        }
    }

    /// Judge silence, and readings that say nothing, against the facility's listening clock.
    pub fn tick<S: Sink>(&mut self, watermark_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        if self.status != Status::Active || self.stale.active {
            return;
        }
        let silent_s = (around.listened_us - self.heard_us) as f64 / 1e6;
        if silent_s > self.silence_s_max(around.settings) {
            if let Some(transition) = self.stale.step(Condition::Violated, watermark_us, Delays::default()) {
                self.tell_stale(transition, watermark_us, around, sink, "");
            }
        }
    }

    /// Every alarm the sensor can have, with its rule and priority.
    pub fn alarms(&self) -> [(Rule, &Alarm, Priority); 4] {
        let alarms = [
            (Rule::Low, &self.low.alarm),
            (Rule::High, &self.high.alarm),
            (Rule::Anomaly, &self.anomaly),
            (Rule::Stale, &self.stale),
        ];
        alarms.map(|(rule, alarm)| (rule, alarm, self.priority(rule)))
    }

    pub(crate) fn priority(&self, rule: Rule) -> Priority {
        match rule {
            Rule::Low | Rule::High => self.rules().priority,
            Rule::Anomaly | Rule::Stale | Rule::FacilityAnomaly => Priority::Low,
        }
    }

    pub(crate) fn silence_s_max(&self, settings: &Settings) -> f64 {
        (settings.stale_intervals * self.expected_interval_s).max(settings.stale_s_min)
    }

    /// Take a configuration over. A sensor that goes out of use returns its alarms; one that comes back is heard anew.
    pub fn configure<S: Sink>(
        &mut self,
        upsert: &SensorUpsert,
        version: i64,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let was = self.status;
        self.status = upsert.status;
        if upsert.status == Status::Active && was != Status::Active {
            self.heard_us = around.listened_us;
        }
        if matches!(upsert.status, Status::Inactive | Status::Retired) {
            self.retire(at_us, around, sink);
        } else if upsert.status != Status::Active {
            self.retire_rule(Rule::Stale, "the sensor is under maintenance or faulty", at_us, around, sink);
        }
        if !upsert.detection.tuning.is_on {
            self.retire_rule(Rule::Anomaly, "detection was switched off", at_us, around, sink);
        }
        self.type_index = upsert.type_index;
        self.detection = upsert.detection;
        self.expected_interval_s = upsert.expected_interval_s;
        self.rule_version = version;
    }

    fn retire<S: Sink>(&mut self, at_us: Option<i64>, around: &Surroundings<'_>, sink: &mut S) {
        if let Some(newest) = &self.newest {
            self.low.excursions.forget(newest.tracked_at_us);
            self.high.excursions.forget(newest.tracked_at_us);
        }
        for rule in Rule::ALL {
            self.retire_rule(rule, "the sensor was deactivated", at_us, around, sink);
        }
    }

    /// End a rule's alarm because of a configuration, and say why.
    fn retire_rule<S: Sink>(
        &mut self,
        rule: Rule,
        reason: &'static str,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        let alarm = self.alarm_of(rule);
        let end_us = ending(alarm, at_us, newest_us);
        let transition = alarm.end(end_us);
        match rule {
            Rule::Low => self.low.excursions.close(end_us),
            Rule::High => self.high.excursions.close(end_us),
            Rule::Anomaly | Rule::Stale | Rule::FacilityAnomaly => {}
        }
        let Some(transition) = transition else { return };
        if S::WANTED {
            let message = format!("{}: {reason}", self.named(around));
            let explanation = serde_json::json!({"rule": rule.name(), "reason": reason});
            sink.event(Event { reason, ..self.event(rule, transition.name(), end_us, message, &explanation) });
        }
    }
}

/// A value beyond what is physical may raise an alarm but never ends one.
fn limit_condition(rule: Rule, value: f64, limit: f64, deadband: f64, flags: u16) -> Condition {
    let (is_violated, is_clear) = match rule {
        Rule::Low => (value < limit, value >= limit + deadband),
        _ => (value > limit, value <= limit - deadband),
    };
    match (is_violated, is_clear && flags & flag::OUT_OF_PHYSICAL_RANGE == 0) {
        (true, _) => Condition::Violated,
        (false, true) => Condition::Clear,
        (false, false) => Condition::Between,
    }
}

/// The event time of a return that no reading caused: when it was told, but never before the alarm began.
fn ending(alarm: &Alarm, at_us: Option<i64>, newest_us: Option<i64>) -> i64 {
    at_us.or(newest_us).unwrap_or(alarm.since_us).max(alarm.since_us)
}
