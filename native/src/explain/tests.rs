use super::*;
use crate::detector::VIEWS;

const MINUTE_US: i64 = 60 * US_PER_S;

/// A score whose views say what `voices` say; 64.35 is expected, 63.9 to 64.8 is usual.
fn score(voices: &[(&str, f32)]) -> Score {
    let mut shares = [0.0; VIEWS];
    for (share, name) in shares.iter_mut().zip(VIEW_NAMES) {
        *share = voices.iter().find(|(voice, _)| voice == name).map_or(0.0, |(_, decades)| *decades);
    }
    let (expected, band) = (64.35, 0.45);
    Score { decades: Some(9.5), threshold: 9.0, expected, band, shares, alarming: true, ..Score::default() }
}

/// A calm course at 64.35, a reading a minute.
fn calm() -> Course {
    Course { interval_s: 60.0, spread: 0.3, means: [64.35; 4], step: 0.05, step_long: 0.05, ..Course::default() }
}

fn text(voices: &[(&str, f32)], value: f64, before: f64, course: Course) -> String {
    let score = score(voices);
    let at_us = 1_000 * MINUTE_US;
    Picture { value, before: Some(before), unit: "hPa", at_us, since_us: at_us, score: &score, course }.text()
}

fn falling() -> Course {
    Course { means: [62.0, 63.0, 64.0, 64.3], of_day: Some(64.4), ..calm() }
}

#[test]
fn the_time_of_day() {
    let voices = [("time_of_day", 6.0), ("shift", 5.5)];
    assert_eq!(
        text(&voices, 61.2, 61.3, falling()),
        "is falling faster than this time of day ever saw: 61.2 hPa, expected 63.9 to 64.8"
    );
    let slow = Course { of_day: Some(64.4), ..calm() };
    assert!(text(&[("time_of_day", 6.0)], 61.2, 61.2, slow).starts_with("is lower than this time of day ever saw: "));
    assert!(text(&[("time_of_day", 6.0)], 67.2, 67.2, slow).starts_with("is higher than this time of day ever saw: "));
}

#[test]
fn a_shift() {
    let voices = [("shift", 6.0)];
    assert!(text(&voices, 61.2, 61.3, falling()).starts_with("is falling faster than usual: "));
    let rising = Course { means: [66.0, 65.5, 64.6, 64.3], ..calm() };
    assert!(text(&voices, 66.4, 66.3, rising).starts_with("is rising faster than usual: "));
    let arrived = Course { means: [66.0, 66.0, 66.0, 64.3], ..calm() };
    assert!(text(&voices, 66.0, 66.0, arrived).starts_with("has moved above its usual level: "));
    let below = Course { means: [62.0, 62.0, 62.0, 64.3], ..calm() };
    assert!(text(&voices, 62.0, 62.0, below).starts_with("has moved below its usual level: "));
}

#[test]
fn a_jump_is_told_before_anything_else() {
    let voices = [("shift", 6.0), ("prediction", 2.5), ("shape_1", 6.0)];
    assert!(text(&voices, 61.2, 64.3, calm()).starts_with("jumped down between two readings: "));
    assert!(text(&voices, 67.2, 64.3, calm()).starts_with("jumped up between two readings: "));
    let quieter = [("shift", 6.0), ("prediction", 1.9)];
    assert!(!text(&quieter, 61.2, 64.3, calm()).starts_with("jumped"));
    assert!(
        text(&[("prediction", 6.0)], 64.2, 64.3, calm()).starts_with("does not follow from the readings before it: ")
    );
}

#[test]
fn noise() {
    let voices = [("volatility", 6.0)];
    let noisy = Course { step: 0.21, ..calm() };
    assert!(text(&voices, 64.2, 64.3, noisy).starts_with("is noisier than usual (steps 4.2 times as large): "));
    let quiet = Course { step: 0.001, ..calm() };
    assert!(text(&voices, 64.2, 64.3, quiet).starts_with("is quieter than usual: "));
}

#[test]
fn unrest() {
    let voices = [("unrest_16", 6.0)];
    let lively = Course { unrest: [1.0, 3.25, 1.0], ..calm() };
    assert!(text(&voices, 64.2, 64.3, lively).starts_with("swings 3.2 times as widely as usual over the last 64 min: "));
    let still = Course { unrest: [1.0, 0.1, 1.0], ..calm() };
    assert!(text(&voices, 64.2, 64.3, still).starts_with("is calmer over the last 64 min than usual: "));
}

#[test]
fn states() {
    let voices = [("prototypes", 6.0)];
    assert!(text(&voices, 61.2, 61.2, calm()).starts_with("is lower than it has been: "));
    assert!(text(&voices, 67.2, 67.2, calm()).starts_with("is higher than it has been: "));
    assert_eq!(
        text(&voices, 64.2, 64.2, calm()),
        "moves at this level as it has not before: 64.2 hPa, by itself within 63.9 to 64.8"
    );
}

#[test]
fn shapes() {
    let swinging = |swings| Course { swings: [0, swings, 0], ..calm() };
    let voices = [("shape_4", 6.0), ("shift", 5.5)];
    assert!(
        text(&voices, 64.2, 64.2, swinging(4)).starts_with("oscillates over the last 64 min as it has not before: ")
    );
    let voices = [("shape_4", 6.0)];
    assert!(text(&voices, 64.2, 64.2, swinging(8)).starts_with("is restless over the last 64 min as it has not been: "));
    assert!(text(&voices, 64.2, 64.2, swinging(2)).starts_with("has an unusual shape over the last 64 min: "));
    assert!(
        text(&voices, 61.2, 61.3, falling()).starts_with("is falling over the last 64 min in a way not seen before: ")
    );
    assert!(text(&[("shape_16", 6.0)], 64.2, 64.2, calm()).starts_with("has an unusual shape over the last 4 h: "));
}

#[test]
fn a_score_without_a_loud_view_is_just_unusual() {
    assert!(text(&[("shift", 1.9)], 61.2, 61.2, calm()).starts_with("is unusual: "));
}

#[test]
fn how_long_it_has_been_unusual() {
    let score = score(&[("shift", 6.0)]);
    let at_us = 1_000 * MINUTE_US;
    let told = |minutes: i64| {
        let since_us = at_us - minutes * MINUTE_US;
        Picture { value: 61.0, before: None, unit: "", at_us, since_us, score: &score, course: calm() }.text()
    };
    assert!(told(0).ends_with(": 61.0, expected 63.9 to 64.8"));
    assert!(told(12).ends_with("; unusual for 12 min"));
}

#[test]
fn fields_name_the_views_loudest_first() {
    let score = score(&[("shift", 4.0), ("time_of_day", 5.125), ("volatility", 1.0)]);
    let (at_us, since_us) = (1_000 * MINUTE_US, 990 * MINUTE_US);
    let fields =
        Picture { value: 61.2, before: Some(61.3), unit: "hPa", at_us, since_us, score: &score, course: falling() }
            .fields();
    assert_eq!(fields["movement"], "falling");
    assert_eq!(fields["since_us"], since_us);
    assert_eq!(fields["band"][0], 64.35 - 0.45);
    assert_eq!(
        fields["views"],
        serde_json::json!([
            {"name": "time_of_day", "decades": 5.13, "says": "is falling faster than this time of day ever saw"},
            {"name": "shift", "decades": 4.0, "says": "is falling faster than usual"},
        ])
    );
}

#[test]
fn every_view_has_a_sentence() {
    for view in VIEW_NAMES {
        let told = text(&[(view, 6.0)], 61.2, 61.3, calm());
        assert!(!told.starts_with(UNEXPLAINED), "{view}: {told}");
    }
}

#[test]
fn numbers_for_people_stay_short() {
    let numbers =
        [(22.456, 0.3), (22.456, 3.0), (22.456, 300.0), (0.0, 0.0), (-0.012_34, 0.01), (1e300, 1.0), (0.0, 5e-324)];
    assert_eq!(
        numbers.map(|(value, band)| digits(value, band, 6)),
        ["22.46", "22.5", "22", "0.00", "-0.012", "1.00e300", "0.00e0"]
    );
    assert_eq!(digits(22.456, 0.03, 1), "22.5");
    assert_eq!([5.0, 89.0, 600.0, 7_200.0, 200_000.0].map(span), ["5 s", "89 s", "10 min", "2 h", "2 days"]);
}

#[test]
fn what_the_kind_of_signal_says_needs_no_band() {
    let told = |reason, unit| {
        let score = Score { reason: Some(reason), ..score(&[]) };
        let picture = Picture {
            value: 61.2,
            before: Some(61.2),
            unit,
            at_us: MINUTE_US,
            since_us: MINUTE_US,
            score: &score,
            course: calm(),
        };
        assert_eq!(picture.fields()["reason"], reason.name());
        picture.text()
    };
    assert_eq!(told(Reason::Stuck, "hPa"), "has stood still for longer than it ever does: 61.2 hPa");
    assert_eq!(told(Reason::LongDwell, ""), "has stayed for longer than it ever did: 61.2");
    assert_eq!(
        told(Reason::CounterRate, "m³"),
        "counts at an unusual rate: 61.2 m³, expected 63.90 to 64.80 m³ a second"
    );
}
