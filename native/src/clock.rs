//! Whether a sensor's stamps can be believed, and when its readings were if not.
//!
//! A stamp tells the order of what was measured, and the time of arrival tells when that was, about. Stamps that stay
//! behind are believed as long as another reason is likelier: what is redelivered or delivered after an outage comes much
//! faster than it was measured, and stragglers come between readings that are stamped right. A clock is behind when
//! readings arrive as fast as they are stamped, several of them over some time, and nothing that is stamped right comes
//! meanwhile. From then on the difference to their arrival is added to the stamps. It is erratic when they are stamped
//! anyhow and arrive as fast as they are measured; from then on they are judged as they arrive (`erratic`).
//!
//! A single stamp ahead is found out by the readings after it: they are stamped right and seem to be late.

use crate::erratic::Erratic;
use crate::instant::US_PER_S;
use crate::strange::{Intervals, Stamped, Strange};
use crate::wire::{put_bool, put_signed, put_varint, Reader, Wire, WireError};

/// Arrivals at different times before a clock is called wrong.
const ARRIVALS_MIN: u32 = 4;
/// And the time over which they come: at least this, and two of the sensor's intervals.
const SPAN_US_MIN: i64 = 10 * US_PER_S;
const SPAN_INTERVALS: f64 = 2.0;
/// A stamp that is ahead of its arrival by no more is as right as clocks are.
const AHEAD_US: i64 = 5 * US_PER_S;
/// Up to here a clock may be ahead and its readings come in disorder without being called ahead.
const LEAD_US: i64 = 30 * US_PER_S;
/// How long a reading may have been on its way when it comes after one that was ahead.
const LATENCY_US: i64 = 30 * US_PER_S;
/// Stamps that were found to be ahead and are remembered, to know them when they are delivered again.
const AHEAD_MAX: usize = 8;

/// What the clock knows of a reading when it comes.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub stamp_us: i64,
    pub received_us: i64,
    /// The judged moment of the newest reading.
    pub newest_us: Option<i64>,
    /// And of the one before it.
    pub before_newest_us: Option<i64>,
    /// Its data are those of the newest reading.
    pub is_newest_again: bool,
    /// By moment and value it may be a reading in memory once more.
    pub is_known: bool,
    pub interval_s: f64,
    pub intervals: Intervals,
    /// Where the facility's listening clock stands.
    pub listened_us: i64,
    /// Younger is the present, older is the past.
    pub old_us: i64,
}

impl Arrival {
    fn stamped(&self, late_us: Option<i64>) -> Stamped {
        let Self { stamp_us, received_us, listened_us, .. } = *self;
        Stamped { stamp_us, received_us, late_us, listened_us }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is of this moment.
    Of(i64),
    /// Its stamp was found to be ahead before: it is a redelivery.
    Again,
    /// The newest was ahead; it is to be moved to `newest_us` before this one is taken in.
    NewestWasAhead { newest_us: i64 },
    /// A clock that was ahead for some readings was set right: what they claimed ends at `newest_us`. From `first_us` on
    /// readings were taken for late ones meanwhile.
    SetBack { newest_us: i64, first_us: Option<i64> },
    /// From this one on the clock is known to be behind, or to be erratic; from `first_us` on readings were taken for late
    /// ones. The newest had been ahead and is to be moved to `newest_us`.
    Behind { at_us: i64, newest_us: Option<i64>, first_us: Option<i64> },
    /// From this one on stamps are right again; they were behind by so much. The newest is to be moved to `newest_us`.
    /// From `first_us` on readings were taken for late ones.
    Right { behind_us: i64, newest_us: Option<i64>, first_us: Option<i64> },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clock {
    /// What is to be added to stamps; 0: nothing.
    offset_us: i64,
    /// The first stamp of the strange ones, while they are.
    pub from_us: i64,
    /// The newest stamp that was right before.
    right_us: i64,
    newest_received_us: i64,
    strange: Option<Strange>,
    ahead: Vec<i64>,
    erratic: Option<Erratic>,
}

impl Clock {
    /// What is added to stamps.
    #[inline]
    pub fn offset_us(&self) -> i64 {
        self.offset_us
    }

    /// Whether its stamps jump about.
    pub fn is_erratic(&self) -> bool {
        self.erratic.is_some()
    }

    /// Where the listening clock stood when readings came last that may be of now, although their stamps say otherwise.
    pub fn lively_us(&self) -> Option<i64> {
        self.strange.and_then(|strange| strange.lively_us())
    }

    /// The moment of a stamp, as far as the clock is known.
    #[inline]
    pub fn moment_us(&self, stamp_us: i64, received_us: i64) -> i64 {
        let corrected_us = stamp_us.saturating_add(self.offset_us);
        // a stamp from before the clock went wrong
        if self.offset_us > 0 && corrected_us > received_us.saturating_add(AHEAD_US) {
            return stamp_us;
        }
        corrected_us
    }

    /// A reading arrives. What this says holds if the reading is taken in.
    #[inline]
    pub fn arrive(&mut self, arrival: &Arrival) -> Verdict {
        if self.erratic.is_some() {
            return self.as_it_arrives(arrival);
        }
        let at_us = self.moment_us(arrival.stamp_us, arrival.received_us);
        if !self.ahead.is_empty() && self.ahead.contains(&arrival.stamp_us) {
            return match self.behind(at_us, true, arrival) {
                Verdict::Of(_) => Verdict::Again,
                verdict => verdict,
            };
        }
        let lag_us = arrival.received_us.saturating_sub(at_us);
        let is_next = arrival.newest_us.is_none_or(|newest_us| at_us > newest_us);
        let is_as_before = self.offset_us == 0 || at_us != arrival.stamp_us;
        if is_next && lag_us < arrival.old_us && is_as_before {
            // of a clock that is right that ends every doubt
            let strange = self.strange.take().filter(|_| self.offset_us != 0);
            self.strange = strange.and_then(|strange| strange.mixed(&arrival.stamped(None)));
            self.newest_received_us = arrival.received_us;
            return Verdict::Of(at_us);
        }
        self.doubt(at_us, is_next, arrival)
    }

    #[cold]
    fn doubt(&mut self, at_us: i64, is_next: bool, arrival: &Arrival) -> Verdict {
        // the newest once more, as a hub sends it that measures nothing any more: no reading, and nothing of its clock
        if arrival.is_newest_again && arrival.newest_us == Some(at_us) {
            return Verdict::Of(at_us);
        }
        if let Some(verdict) = self.right_again(at_us, arrival).or_else(|| self.newest_ahead(arrival)) {
            return verdict;
        }
        let verdict = self.behind(at_us, arrival.is_known, arrival);
        if is_next {
            self.newest_received_us = arrival.received_us;
        }
        verdict
    }

    /// While it is behind: a stamp after the last right one, and of the time of its arrival as it stands.
    fn right_again(&mut self, at_us: i64, arrival: &Arrival) -> Option<Verdict> {
        let stamp_us = arrival.stamp_us;
        let is_corrected = at_us != stamp_us && self.offset_us > 0;
        let lag_us = arrival.received_us.saturating_sub(stamp_us);
        if self.offset_us == 0 || is_corrected || stamp_us <= self.right_us || lag_us >= arrival.old_us {
            return None;
        }
        let behind_us = self.offset_us;
        self.offset_us = 0;
        let first_us = self.strange.take().and_then(|strange| strange.late_us);
        self.newest_received_us = arrival.received_us;
        // what came before it was judged by its arrival, which is a little later than its time
        let newest_us =
            arrival.newest_us.filter(|newest_us| *newest_us >= stamp_us).map(|_| stamp_us.saturating_sub(1));
        Some(Verdict::Right { behind_us, newest_us, first_us })
    }

    /// The newest was stamped later than it came, and this one is stamped right and came after it.
    fn newest_ahead(&mut self, arrival: &Arrival) -> Option<Verdict> {
        let claimed_us = arrival.newest_us.filter(|_| self.offset_us == 0)?;
        let is_right = arrival.stamp_us <= arrival.received_us.saturating_add(AHEAD_US);
        let was_ahead = self.newest_received_us > 0 && claimed_us > self.newest_received_us.saturating_add(LEAD_US);
        let newest_us = self.newest_received_us.min(arrival.stamp_us.saturating_sub(1));
        let is_live = arrival.stamp_us >= self.newest_received_us.saturating_sub(LATENCY_US);
        let is_after = arrival.before_newest_us.is_none_or(|before_us| newest_us > before_us);
        if !(is_right && is_live && was_ahead && is_after && arrival.received_us >= self.newest_received_us) {
            return None;
        }
        self.strange = None;
        self.newest_received_us = arrival.received_us;
        if self.ahead.len() == AHEAD_MAX {
            self.ahead.remove(0);
        }
        self.ahead.push(claimed_us);
        Some(Verdict::NewestWasAhead { newest_us })
    }

    /// A strange stamp: one more after others. A redelivery alone convicts nobody.
    fn behind(&mut self, at_us: i64, is_known: bool, arrival: &Arrival) -> Verdict {
        let received_us = arrival.received_us;
        let is_late = arrival.newest_us.is_some_and(|newest_us| at_us < newest_us);
        let is_young = received_us.saturating_sub(at_us) < arrival.old_us;
        let late_us = Some(at_us).filter(|_| is_late && is_young);
        let reading = arrival.stamped(late_us);
        if let Some(strange) = self.strange.as_mut().filter(|strange| strange.last_received_us == received_us) {
            strange.join(&reading);
            return Verdict::Of(at_us);
        }
        // what arrives together with a right one is no clock of its own
        if received_us <= self.newest_received_us {
            return Verdict::Of(at_us);
        }
        let Some(strange) = &mut self.strange else {
            self.strange = Some(Strange::begin(&reading));
            return Verdict::Of(at_us);
        };
        if received_us < strange.last_received_us {
            return Verdict::Of(at_us);
        }
        let is_of_no_pace = strange.go_on(&reading, arrival.intervals);
        if !strange.is_regular && is_of_no_pace {
            *strange = Strange::begin(&reading);
            return Verdict::Of(at_us);
        }
        let span_us_min = SPAN_US_MIN.max((SPAN_INTERVALS * arrival.interval_s * US_PER_S as f64) as i64);
        let is_long = strange.count >= ARRIVALS_MIN + u32::from(is_known) && strange.span_us() >= span_us_min;
        if !is_long || !(strange.is_regular || strange.is_paced) {
            return Verdict::Of(at_us);
        }
        let strange = *strange;
        self.convict(&strange, arrival)
    }

    fn convict(&mut self, strange: &Strange, arrival: &Arrival) -> Verdict {
        let (stamp_us, received_us, first_us) = (arrival.stamp_us, arrival.received_us, strange.late_us);
        self.strange = None;
        self.newest_received_us = received_us;
        let mut newest_us = None;
        if self.offset_us == 0 {
            let was_ahead = arrival.newest_us.is_some_and(|newest_us| newest_us > received_us);
            if was_ahead && strange.is_regular {
                return Verdict::SetBack { newest_us: stamp_us.saturating_sub(1), first_us };
            }
            newest_us = Some(received_us.saturating_sub(1)).filter(|_| was_ahead);
            self.from_us = strange.first_stamp_us;
            self.right_us = arrival.newest_us.unwrap_or(stamp_us);
        }
        let after_us = newest_us.or(arrival.newest_us).map_or(i64::MIN, |newest_us| newest_us.saturating_add(1));
        let at_us = received_us.max(after_us);
        self.offset_us = at_us.saturating_sub(stamp_us);
        self.erratic = (!strange.is_regular).then(|| Erratic::begin(stamp_us, at_us));
        Verdict::Behind { at_us, newest_us, first_us }
    }

    /// A reading of an erratic clock.
    #[cold]
    fn as_it_arrives(&mut self, arrival: &Arrival) -> Verdict {
        let (stamp_us, received_us) = (arrival.stamp_us, arrival.received_us);
        let Some(erratic) = &mut self.erratic else { return Verdict::Of(stamp_us) };
        if received_us <= self.newest_received_us {
            return Verdict::Of(erratic.moment_us(stamp_us));
        }
        self.newest_received_us = received_us;
        if erratic.is_over(stamp_us, received_us, arrival.old_us) {
            let behind_us = erratic.most_us;
            (self.erratic, self.offset_us) = (None, 0);
            let newest_us = arrival.newest_us.filter(|newest_us| *newest_us >= stamp_us);
            return Verdict::Right {
                behind_us,
                newest_us: newest_us.map(|_| stamp_us.saturating_sub(1)),
                first_us: None,
            };
        }
        let after_us = arrival.newest_us.map_or(received_us, |newest_us| newest_us.saturating_add(1));
        let at_us = received_us.max(after_us);
        erratic.go_on(stamp_us, at_us);
        self.offset_us = at_us.saturating_sub(stamp_us);
        Verdict::Of(at_us)
    }

    pub fn heap_bytes(&self) -> usize {
        self.ahead.capacity() * 8
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for number in [self.offset_us, self.from_us, self.right_us, self.newest_received_us] {
            put_signed(out, number);
        }
        put_bool(out, self.strange.is_some());
        if let Some(strange) = &self.strange {
            strange.save(out);
        }
        put_varint(out, self.ahead.len() as u64);
        self.ahead.iter().for_each(|stamp_us| put_signed(out, *stamp_us));
        put_bool(out, self.erratic.is_some());
        if let Some(erratic) = &self.erratic {
            erratic.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut clock = Self::load_as(reader, Strange::load)?;
        if reader.bool()? {
            clock.erratic = Some(Erratic::load(reader)?);
        }
        Ok(clock)
    }

    /// As versions before 6 kept it, which knew no erratic ones.
    pub fn load_before_6(reader: &mut Reader<'_>) -> Wire<Self> {
        Self::load_as(reader, Strange::load_before_6)
    }

    fn load_as<'a>(reader: &mut Reader<'a>, strange: impl FnOnce(&mut Reader<'a>) -> Wire<Strange>) -> Wire<Self> {
        let mut clock = Self {
            offset_us: reader.signed()?,
            from_us: reader.signed()?,
            right_us: reader.signed()?,
            newest_received_us: reader.signed()?,
            ..Self::default()
        };
        if reader.bool()? {
            clock.strange = Some(strange(reader)?);
        }
        let count = reader.count()?;
        if count > AHEAD_MAX {
            return Err(WireError::new(format!("{count} stamps ahead, {AHEAD_MAX} are the most")));
        }
        for _ in 0..count {
            clock.ahead.push(reader.signed()?);
        }
        Ok(clock)
    }
}

/// How long in the largest fitting unit, for people: "1 h", "20786 days".
pub fn about(us: i64) -> String {
    let seconds = us.unsigned_abs() as f64 / US_PER_S as f64;
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        90.0..3_570.0 => format!("{:.0} min", seconds / 60.0),
        3_570.0..172_800.0 => format!("{} h", (seconds / 360.0).round() / 10.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = US_PER_S;
    const HOUR: i64 = 3_600 * S;
    const START: i64 = 1_767_225_600 * S;

    /// A sensor with a reading every four seconds; what the clock says of each, with the judged moment.
    #[derive(Default)]
    struct Watch {
        clock: Clock,
        newest_us: Option<i64>,
        before_us: Option<i64>,
    }

    impl Watch {
        fn live(seconds: i64) -> Self {
            let mut watch = Self::default();
            (0..seconds).step_by(4).for_each(|at_s| {
                assert_eq!(watch.see(at_s * S, at_s * S + S), Verdict::Of(START + at_s * S));
            });
            watch
        }

        /// Stamped and received so long after the start.
        fn see(&mut self, stamp_us: i64, received_us: i64) -> Verdict {
            let verdict = self.clock.arrive(&Arrival {
                stamp_us: START + stamp_us,
                received_us: START + received_us,
                newest_us: self.newest_us,
                before_newest_us: self.before_us,
                is_newest_again: false,
                is_known: false,
                interval_s: 4.0,
                intervals: Intervals { shorter_s: 4.0, longer_s: 4.0 },
                listened_us: received_us,
                old_us: 300 * S,
            });
            let at_us = match verdict {
                Verdict::Of(at_us) => at_us,
                Verdict::Behind { at_us, newest_us, .. } => {
                    self.newest_us = newest_us.or(self.newest_us);
                    at_us
                }
                Verdict::Again => START + stamp_us,
                Verdict::Right { newest_us, .. } => {
                    self.newest_us = newest_us.or(self.newest_us);
                    START + stamp_us
                }
                Verdict::NewestWasAhead { newest_us } | Verdict::SetBack { newest_us, .. } => {
                    self.newest_us = Some(newest_us);
                    START + stamp_us
                }
            };
            if verdict != Verdict::Again && self.newest_us.is_none_or(|newest_us| at_us > newest_us) {
                self.before_us = self.newest_us.replace(at_us);
            }
            verdict
        }

        fn is_behind(&self) -> bool {
            self.clock.offset_us() != 0
        }
    }

    #[test]
    fn an_hour_back_is_known_after_some_readings_and_judged_as_it_arrives() {
        for back in [HOUR, 40 * S, START - 5 * S] {
            let mut watch = Watch::live(100);
            let found = (100..200)
                .step_by(4)
                .position(|at_s| matches!(watch.see(at_s * S - back, at_s * S + S), Verdict::Behind { .. }));
            assert_eq!(found, Some(3), "{back}");
            // jitter of the delivery
            for (at_s, late_s) in [(116, 1), (120, 3), (124, 1), (128, 5), (132, 1)] {
                let verdict = watch.see(at_s * S - back, (at_s + late_s) * S);
                assert_eq!(verdict, Verdict::Of(START + (at_s + 1) * S), "{back} {at_s}");
            }
        }
    }

    #[test]
    fn it_ends_when_stamps_are_right_again() {
        let mut watch = Watch::live(100);
        (100..4_000).step_by(4).for_each(|at_s| {
            watch.see(at_s * S - HOUR, at_s * S + S);
        });
        assert!(watch.is_behind(), "also when the stamps have passed the last right one");
        assert!(
            matches!(watch.see(4_002 * S, 4_003 * S), Verdict::Right { behind_us, .. } if (behind_us - HOUR).abs() < 5 * S)
        );
        assert_eq!(watch.see(4_006 * S, 4_007 * S), Verdict::Of(START + 4_006 * S));
        assert!(!watch.is_behind());
    }

    #[test]
    fn a_clock_that_stands_still_or_was_wrong_from_the_beginning_is_found() {
        let mut watch = Watch::live(100);
        let still = (100..200).step_by(4).any(|at_s| matches!(watch.see(50 * S, at_s * S), Verdict::Behind { .. }));
        let mut watch = Watch::default();
        let zone =
            (0..60).step_by(4).any(|at_s| matches!(watch.see(at_s * S - 2 * HOUR, at_s * S), Verdict::Behind { .. }));
        assert!(still && zone);
    }

    #[test]
    fn late_data_is_no_wrong_clock() {
        // a backlog of an hour, in order, ten times as fast as it was measured, then live
        let mut watch = Watch::live(100);
        for step in 0..900 {
            assert!(!matches!(watch.see(100 * S + step * 4 * S, HOUR + step * 4 * S / 10), Verdict::Behind { .. }));
        }
        // live first, then the backlog of a day, newest first and oldest first
        for direction in [1, -1] {
            let mut watch = Watch::live(100);
            watch.see(90_000 * S, 90_000 * S);
            for step in 0..2_000 {
                let stamp_s = 40_000 + direction * 4 * step;
                watch.see(stamp_s * S, 90_001 * S + step * S / 10);
            }
            assert!(!watch.is_behind(), "{direction}");
        }
        // stragglers and redeliveries between right ones
        let mut watch = Watch::live(100);
        for at_s in (100..1_000).step_by(4) {
            watch.see(at_s * S, at_s * S + S);
            watch.see((at_s - 50) * S, at_s * S + 2 * S);
            watch.see((at_s / 2) * S, at_s * S + 3 * S);
        }
        assert!(!watch.is_behind());
        // a batch that is delivered again, whole
        let mut watch = Watch::live(400);
        (0..100).for_each(|row| {
            watch.see(row * 4 * S, 500 * S);
        });
        assert!(!watch.is_behind());
    }

    #[test]
    fn few_or_quick_ones_are_not_enough() {
        let steps = |count: i64, every_us: i64| {
            let mut watch = Watch::live(100);
            (0..count).for_each(|step| {
                watch.see(step * every_us - HOUR, 100 * S + step * every_us);
            });
            watch.is_behind()
        };
        assert!(!steps(3, 10 * S) && steps(4, 10 * S));
        assert!(!steps(10, S) && steps(11, S));
    }

    #[test]
    fn a_stamp_ahead_is_found_out_by_the_next_and_known_when_it_comes_again() {
        let mut watch = Watch::live(100);
        assert_eq!(watch.see(390 * S, 101 * S), Verdict::Of(START + 390 * S));
        assert_eq!(watch.see(104 * S, 105 * S), Verdict::NewestWasAhead { newest_us: START + 101 * S });
        assert_eq!(watch.see(108 * S, 109 * S), Verdict::Of(START + 108 * S));
        assert_eq!(watch.see(390 * S, 110 * S), Verdict::Again);
        // a clock that is always ahead is as right as ever, with its stragglers
        let mut watch = Watch::default();
        for at_s in (0..100).step_by(4) {
            assert_eq!(watch.see((at_s + 60) * S, at_s * S), Verdict::Of(START + (at_s + 60) * S));
            assert_eq!(watch.see((at_s + 58) * S, at_s * S + S), Verdict::Of(START + (at_s + 58) * S));
        }
    }

    #[test]
    fn a_little_ahead_and_in_disorder_is_only_late() {
        for (ahead_s, is_ahead) in [(30, false), (31, true)] {
            let mut watch = Watch::live(100);
            watch.see((101 + ahead_s) * S, 101 * S);
            let verdict = watch.see(104 * S, 105 * S);
            assert_eq!(matches!(verdict, Verdict::NewestWasAhead { .. }), is_ahead, "{ahead_s}");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_for_long_is_set_back() {
        let mut watch = Watch::default();
        (0..100).step_by(4).for_each(|at_s| {
            watch.see((at_s + 60) * S, at_s * S);
        });
        let back: Vec<_> = (100..120).step_by(4).map(|at_s| watch.see(at_s * S, at_s * S + S)).collect();
        let set_back = Verdict::SetBack { newest_us: START + 112 * S - 1, first_us: Some(START + 100 * S) };
        assert_eq!((back[3], back[4]), (set_back, Verdict::Of(START + 116 * S)));
        assert!(!watch.is_behind());
    }

    #[test]
    fn the_difference_is_told_in_a_fitting_unit() {
        let told: Vec<_> =
            [40 * S, 89 * S, 90 * S, HOUR - S, HOUR + S, 5_400 * S, 24 * HOUR, 1_795_000_000 * S].map(about).to_vec();
        assert_eq!(told, ["40 s", "89 s", "2 min", "1 h", "1 h", "1.5 h", "24 h", "20775 days"]);
    }

    #[test]
    fn a_snapshot_keeps_it() {
        let mut watch = Watch::live(100);
        watch.see(390 * S, 101 * S);
        watch.see(104 * S, 105 * S);
        (108..150).step_by(4).for_each(|at_s| {
            watch.see(at_s * S - HOUR, at_s * S + S);
        });
        watch.see(3 * S, 152 * S);
        assert!(watch.clock.strange.is_some() && watch.is_behind() && !watch.clock.ahead.is_empty());
        let mut bytes = Vec::new();
        watch.clock.save(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Clock::load(&mut reader).unwrap(), watch.clock);
        assert!(reader.is_empty());
    }
}
