//! What a sensor does about its stamps: at which moment a reading is judged, and what is told of a wrong clock.

use crate::alarm::{Condition, Transition};
use crate::clock::{about, Arrival, Verdict};
use crate::config::{us_of, Status};
use crate::instant;
use crate::number::Datum;
use crate::recent::Recent;
use crate::rule::Rule;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::strange::Intervals;

impl Sensor {
    /// The moment at which a reading is judged; none: it was, under a stamp that turned out to lie ahead.
    #[inline]
    pub(crate) fn moment<S: Sink>(
        &mut self,
        stamp_us: i64,
        datum: &Datum<'_>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> Option<i64> {
        if self.status == Status::Inactive {
            return Some(stamp_us);
        }
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        let arrival = Arrival {
            stamp_us,
            received_us: around.received_at_us,
            newest_us,
            before_newest_us: self.recent.before_newest_us(),
            is_newest_again: self.newest.as_ref().is_some_and(|newest| newest.data.datum() == *datum),
            is_known: newest_us.is_some_and(|newest_us| stamp_us < newest_us) && self.is_known(stamp_us, datum),
            interval_s: self.expected_interval_s,
            intervals: self.intervals(),
            listened_us: around.listened_us,
            old_us: us_of(around.settings.late_alarm_s_max),
        };
        match self.clock.arrive(&arrival) {
            Verdict::Of(at_us) => {
                if at_us != stamp_us {
                    self.clock_is_behind(at_us, around, sink);
                }
                Some(at_us)
            }
            Verdict::Again => None,
            Verdict::NewestWasAhead { newest_us } => {
                self.newest_was_ahead(newest_us);
                Some(stamp_us)
            }
            Verdict::SetBack { newest_us, first_us } => {
                first_us.into_iter().for_each(|first_us| self.note_told_as_late(first_us));
                self.clock_was_set_back(newest_us);
                Some(stamp_us)
            }
            Verdict::Behind { at_us, newest_us, first_us } => {
                first_us.into_iter().for_each(|first_us| self.note_told_as_late(first_us));
                newest_us.into_iter().for_each(|newest_us| self.clock_was_set_back(newest_us));
                self.clock_is_behind(at_us, around, sink);
                Some(at_us)
            }
            Verdict::Right { behind_us, newest_us, first_us } => {
                first_us.into_iter().for_each(|first_us| self.note_told_as_late(first_us));
                newest_us.into_iter().for_each(|newest_us| self.clock_was_set_back(newest_us));
                self.clock_is_right(stamp_us, behind_us, around, sink);
                Some(stamp_us)
            }
        }
    }

    /// The shorter and the longer of what is configured and observed.
    fn intervals(&self) -> Intervals {
        let configured_s = self.configured_interval_s();
        let observed_s = self.scorer.interval_s().unwrap_or(configured_s);
        Intervals { shorter_s: configured_s.min(observed_s), longer_s: configured_s.max(observed_s) }
    }

    fn is_known(&self, stamp_us: i64, datum: &Datum<'_>) -> bool {
        let value = self.number(datum).unwrap_or(f64::NAN);
        self.recent.value_at(stamp_us).is_some_and(|known| known.to_bits() == value.to_bits())
    }

    /// What goes on with the present reading may have been told when its readings were taken for late ones.
    fn note_told_as_late(&mut self, first_us: i64) {
        self.alarms.each_mut().for_each(|each| each.course.note_told_as_late(first_us));
    }

    /// The newest reading is moved to the time of its arrival, and what was made of its stamp with it.
    fn newest_was_ahead(&mut self, to_us: i64) {
        let Some(newest) = &mut self.newest else { return };
        let from_us = std::mem::replace(&mut newest.tracked_at_us, to_us);
        self.recent.move_newest(to_us);
        self.scorer.turn_back(to_us);
        if let Some(moves) = &mut self.moves {
            moves.turn_back(to_us);
        }
        if let Some(still) = &mut self.still {
            still.turn_back(to_us);
        }
        if self.unusual_since_us == Some(from_us) {
            self.unusual_since_us = Some(to_us);
        }
        if self.usable_us == Some(from_us) {
            self.usable_us = Some(to_us);
        }
        for each in self.alarms.each_mut() {
            each.course.move_moment(from_us, to_us);
            each.alarm.move_moment(from_us, to_us);
        }
    }

    /// What the readings before claimed to be later ends here; the alarms stay as they made them.
    fn clock_was_set_back(&mut self, to_us: i64) {
        let Some(newest) = &mut self.newest else { return };
        newest.tracked_at_us = to_us;
        self.scorer.turn_back(to_us);
        if let Some(moves) = &mut self.moves {
            moves.turn_back(to_us);
        }
        if let Some(still) = &mut self.still {
            still.turn_back(to_us);
        }
        for moment_us in [&mut self.usable_us, &mut self.unusual_since_us] {
            *moment_us = moment_us.map(|at_us| at_us.min(to_us));
        }
        for each in self.alarms.each_mut() {
            each.alarm.turn_back(to_us);
            if let Some(untold) = &mut each.course.untold {
                untold.since_us = untold.since_us.min(to_us);
            }
        }
        self.recent = Recent::default();
        self.forget_excursions(to_us);
    }

    /// Asked with each reading as long as it is so: the rule may have a delay, or be switched on meanwhile.
    fn clock_is_behind<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        let Some(spec) = self.rules.spec(Rule::Clock) else { return };
        if let Some(transition) = self.alarms.step(spec, Condition::Violated, at_us) {
            let behind_us = self.clock.offset_us();
            self.tell_clock(transition, at_us, behind_us, None, around, sink);
        }
    }

    fn clock_is_right<S: Sink>(&mut self, stamp_us: i64, behind_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        let told_us = stamp_us.max(self.alarms.began_us(Rule::Clock));
        if let Some(transition) = self.alarms.end(Rule::Clock, told_us) {
            self.tell_clock(transition, told_us, behind_us, Some(stamp_us), around, sink);
        }
    }

    fn tell_clock<S: Sink>(
        &mut self,
        transition: Transition,
        at_us: i64,
        behind_us: i64,
        right_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.alarms.tell(Rule::Clock, at_us);
        if !S::WANTED {
            return;
        }
        let (type_name, facility, behind) = (self.of_type().name, around.facility, about(behind_us));
        let is_erratic = self.clock.is_erratic();
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                let how = if is_erratic { "irregularly, now " } else { "" };
                format!("{type_name} Sensor in {facility} is stamped {how}{behind} behind: it is judged as it arrives")
            }
            Transition::Returned => {
                format!("{type_name} Sensor in {facility} is stamped right again, no longer {behind} behind")
            }
        };
        let mut explanation = serde_json::json!({
            "rule": Rule::Clock.name(),
            "offset_s": behind_us as f64 / 1e6,
            "first_stamp": instant::text(self.clock.from_us),
            "right_again": right_us.map(instant::text),
        });
        if let (true, Some(fields)) = (is_erratic, explanation.as_object_mut()) {
            fields.insert("erratic".into(), true.into());
        }
        sink.event(self.event(Rule::Clock, transition.name(), at_us, message, &explanation));
    }
}
