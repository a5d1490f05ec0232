//! Small expressions over sensors, in three-valued logic: what a silent sensor would say is unknown, neither true nor false.

use serde::Deserialize;

use crate::groups::inputs::{self, Field};
use crate::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_TERMS_MAX, VALUE_MAX};
use crate::rule::{Alert, Owner, Rule};
use crate::sensor::Sensor;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    False,
    Unknown,
    True,
}

impl Truth {
    fn of(is: bool) -> Self {
        if is {
            Self::True
        } else {
            Self::False
        }
    }

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

/// As a configuration says it: one of `all`, `any` and `not`, or a sensor with one of the others.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct RawExpression {
    all: Option<Vec<RawExpression>>,
    any: Option<Vec<RawExpression>>,
    not: Option<Box<RawExpression>>,
    sensor_id: Option<String>,
    rule: Option<String>,
    is: Option<String>,
    above: Option<f64>,
    below: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    Active(Rule),
    Is(String),
    Above(f64),
    Below(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Ask(String, Question),
}

impl Expression {
    /// Says what is wrong with it.
    pub fn of(raw: RawExpression) -> Result<Self, String> {
        let read = Self::read(raw, 1)?;
        match read.questions().len() {
            terms if terms > EXPRESSION_TERMS_MAX => {
                Err(format!("an expression asks {terms} things; {EXPRESSION_TERMS_MAX} are the most"))
            }
            _ => Ok(read),
        }
    }

    fn read(raw: RawExpression, depth: usize) -> Result<Self, String> {
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(format!("an expression is nested deeper than {EXPRESSION_DEPTH_MAX}"));
        }
        let several = |all: Vec<RawExpression>| match all.len() {
            0 => Err("an expression asks nothing".to_owned()),
            _ => all.into_iter().map(|each| Self::read(each, depth + 1)).collect::<Result<Vec<_>, _>>(),
        };
        let question = Self::question(&raw)?;
        match (raw.all, raw.any, raw.not, raw.sensor_id, question) {
            (Some(all), None, None, None, None) => several(all).map(Self::All),
            (None, Some(any), None, None, None) => several(any).map(Self::Any),
            (None, None, Some(not), None, None) => Self::read(*not, depth + 1).map(Box::new).map(Self::Not),
            (None, None, None, Some(sensor_id), Some(question)) => Ok(Self::Ask(sensor_id, question)),
            _ => Err("an expression is all, any or not, or a sensor_id with rule, is, above or below".to_owned()),
        }
    }

    fn question(raw: &RawExpression) -> Result<Option<Question>, String> {
        let number = |number: f64| match number.abs() <= VALUE_MAX {
            true => Ok(number),
            false => Err(format!("an expression compares with {number}")),
        };
        match (&raw.rule, &raw.is, raw.above, raw.below) {
            (None, None, None, None) => Ok(None),
            (Some(name), None, None, None) => {
                let rule = Rule::find(name).filter(|rule| rule.kind().owner == Owner::Sensor);
                rule.map(|rule| Some(Question::Active(rule))).ok_or_else(|| format!("a sensor has no rule {name:?}"))
            }
            (None, Some(word), None, None) => Ok(Some(Question::Is(word.clone()))),
            (None, None, Some(limit), None) => Ok(Some(Question::Above(number(limit)?))),
            (None, None, None, Some(limit)) => Ok(Some(Question::Below(number(limit)?))),
            _ => Err("an expression asks one thing of a sensor: rule, is, above or below".to_owned()),
        }
    }

    /// Of each sensor that it asks.
    pub fn questions(&self) -> Vec<(&str, &Question)> {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::questions).collect(),
            Self::Not(inner) => inner.questions(),
            Self::Ask(sensor_id, question) => vec![(sensor_id, question)],
        }
    }

    pub fn truth(&self, field: &Field<'_>) -> Truth {
        match self {
            Self::All(all) => all.iter().map(|each| each.truth(field)).min().unwrap_or(Truth::Unknown),
            Self::Any(any) => any.iter().map(|each| each.truth(field)).max().unwrap_or(Truth::Unknown),
            Self::Not(inner) => inner.truth(field).not(),
            Self::Ask(sensor_id, question) => answer(sensor_id, question, field),
        }
    }

    /// The sensors that cannot answer, with the reason.
    pub fn unknown<'a>(&'a self, field: &Field<'_>) -> Vec<(&'a str, &'static str)> {
        let is_unknown = |(id, question): &(&'a str, &'a Question)| answer(id, question, field) == Truth::Unknown;
        let why = |id: &str| inputs::absence(field.sensor(id), field.around).unwrap_or("no usable value");
        self.questions().into_iter().filter(is_unknown).map(|(id, _)| (id, why(id))).collect()
    }
}

fn answer(sensor_id: &str, question: &Question, field: &Field<'_>) -> Truth {
    let Some(sensor) = field.sensor(sensor_id) else { return Truth::Unknown };
    if let Question::Active(rule) = question {
        if rule.kind().alert == Alert::System {
            return Truth::of(sensor.alarms.stands(*rule)); // whether it can be seen is known
        }
    }
    if inputs::absence(Some(sensor), field.around).is_some() {
        return Truth::Unknown;
    }
    match question {
        Question::Active(rule) if sensor.rules.spec(*rule).is_none() => Truth::Unknown,
        Question::Active(rule) => Truth::of(sensor.alarms.stands(*rule)),
        value => value.of_value(sensor),
    }
}

impl Question {
    pub fn asks_value(&self) -> bool {
        !matches!(self, Self::Active(_))
    }

    /// What the newest reading answers, if it can be relied upon; it has none where alarms are asked.
    pub fn of_value(&self, sensor: &Sensor) -> Truth {
        let known = match self {
            Self::Active(_) => None,
            Self::Is(word) => inputs::word(sensor).map(|said| inputs::is_same_word(&said, word)),
            Self::Above(limit) => inputs::number(sensor).map(|value| value > *limit),
            Self::Below(limit) => inputs::number(sensor).map(|value| value < *limit),
        };
        known.map_or(Truth::Unknown, Truth::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    fn read(json: serde_json::Value) -> Result<Expression, String> {
        Expression::of(serde_json::from_value(json).map_err(|error| error.to_string())?)
    }

    #[test]
    fn three_values() {
        let all = [False, Unknown, True];
        for (place, left) in all.into_iter().enumerate() {
            assert_eq!(left.not(), all[2 - place]);
            for right in all {
                let and = match (left, right) {
                    (False, _) | (_, False) => False,
                    (True, True) => True,
                    _ => Unknown,
                };
                let or = match (left, right) {
                    (True, _) | (_, True) => True,
                    (False, False) => False,
                    _ => Unknown,
                };
                assert_eq!((left.min(right), left.max(right)), (and, or));
                assert_eq!(and.not(), left.not().max(right.not()));
            }
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let ask = serde_json::json!({"sensor_id": "a", "above": 1.0});
        for wrong in [
            serde_json::json!({}),
            serde_json::json!({"all": []}),
            serde_json::json!({"sensor_id": "a"}),
            serde_json::json!({"rule": "high"}),
            serde_json::json!({"sensor_id": "a", "rule": "vote"}),
            serde_json::json!({"sensor_id": "a", "rule": "high", "is": "x"}),
            serde_json::json!({"all": [ask], "any": [ask]}),
            serde_json::json!({"sensor_id": "a", "above": 1e31}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded_on_both_sides() {
        let ask = serde_json::json!({"sensor_id": "a", "above": 1.0});
        let deep = |levels: usize| (1..levels).fold(ask.clone(), |inner, _| serde_json::json!({"not": inner}));
        assert!(read(deep(EXPRESSION_DEPTH_MAX)).is_ok());
        assert!(read(deep(EXPRESSION_DEPTH_MAX + 1)).unwrap_err().contains("deeper than 6"));
        let wide = |terms: usize| serde_json::json!({"any": vec![ask.clone(); terms]});
        assert!(read(wide(EXPRESSION_TERMS_MAX)).is_ok());
        assert!(read(wide(EXPRESSION_TERMS_MAX + 1)).unwrap_err().contains("33 things; 32 are the most"));
    }
}
