//! What the facility's transitions say, to people and to programs.

use super::block::STATISTIC_NAMES;
use super::score::FacilityScore;
use crate::alarm::Transition;
use crate::facility_alarm;
use crate::journal::Event;
use crate::rule::Rule;
use crate::rules::Priority;
use crate::sensor::{Sensor, Surroundings};

pub const RULE: Rule = Rule::FacilityAnomaly;
pub const PRIORITY: Priority = Priority::Low;
/// Sensors named in a message; all contributors are in the explanation.
const NAMED_MAX: usize = 4;

pub fn event(
    transition: Transition,
    score: &FacilityScore,
    sensors: &[Sensor],
    version: i64,
    around: &Surroundings<'_>,
) -> Event {
    let message = match transition {
        Transition::Activated | Transition::ActivatedSilently => activated(score, sensors, around.facility),
        Transition::Returned => format!("Back to normal: the sensors of {} move together as before", around.facility),
    };
    let by_name = |numbers: &[f32]| -> serde_json::Map<String, serde_json::Value> {
        STATISTIC_NAMES
            .iter()
            .zip(numbers)
            .map(|(name, number)| ((*name).to_owned(), number.to_owned().into()))
            .collect()
    };
    let contributors: Vec<serde_json::Value> = score
        .contributors
        .iter()
        .filter_map(|one| Some((sensors.get(one.place as usize)?, one.share)))
        .map(|(sensor, share)| {
            serde_json::json!({"sensor_id": &*sensor.id, "sensor_type": sensor.of_type().name, "share": share})
        })
        .collect();
    let explanation = serde_json::json!({
        "rule": RULE.name(),
        "score": score.decades,
        "threshold": score.threshold,
        "contributors": contributors,
        "statistics": by_name(&score.statistics),
        "surprises": by_name(&score.surprises),
        "channels": score.members,
        "stale": score.stale,
        "tick_s": score.tick_s,
    });
    Event {
        score: Some(f64::from(score.decades)),
        ..bare(transition.name(), score.at_us, version, message, &explanation)
    }
}

/// The alarm ends because too few sensors are left.
pub fn retired(at_us: i64, version: i64, around: &Surroundings<'_>) -> Event {
    const REASON: &str = "fewer than two sensors are in use";
    let explanation = serde_json::json!({"rule": RULE.name(), "reason": REASON});
    let message = format!("{}: {REASON}", around.facility);
    Event { reason: REASON.into(), ..bare(Transition::Returned.name(), at_us, version, message, &explanation) }
}

fn bare(transition: &'static str, at_us: i64, version: i64, message: String, explanation: &serde_json::Value) -> Event {
    facility_alarm::event((RULE, PRIORITY), transition, at_us, version, message, explanation)
}

fn activated(score: &FacilityScore, sensors: &[Sensor], facility: &str) -> String {
    let named: Vec<String> = score
        .contributors
        .iter()
        .filter_map(|one| Some((sensors.get(one.place as usize)?, one.share)))
        .map(|(sensor, share)| format!("{} {} ({:.0} %)", sensor.of_type().name, sensor.id, share * 100.0))
        .collect();
    let count = named.len();
    let list = named.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match count {
        0 => format!("Problem detected: the sensors of {facility} move together as never before"),
        1 => format!("Problem detected: one sensor in {facility} moves against the others as never before: {list}"),
        _ if count > NAMED_MAX => {
            format!(
                "Problem detected: {count} sensors in {facility} move together as never before: {list} and {} more",
                count - NAMED_MAX
            )
        }
        _ => format!("Problem detected: {count} sensors in {facility} move together as never before: {list}"),
    }
}
