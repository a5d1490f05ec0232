//! Several sensors of a facility together: votes, discrepancies, combinations, who was first, and what is suppressed by
//! design. Judged when something of a sensor moves that they ask, never with each reading of every sensor.

mod definition;
mod expression;
mod group;
mod inputs;
mod rest;
mod vote;

pub use definition::Definitions;
pub use group::Group;
pub use inputs::Places;

use std::collections::BTreeMap;

use crate::command::Command;
use crate::journal::ToldAlarm;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::wire::{put_bytes, Reader, Wire, WireError};
use expression::{Question, Truth};
use inputs::{Field, Print};
use rest::Rest;

/// Who asks something of a sensor.
#[derive(Debug, Clone, PartialEq, Default)]
struct Watch {
    groups: Vec<usize>,
    rests: Vec<usize>,
    /// Every reading may move one of them.
    asks_values: bool,
    /// What expressions ask of its value, each once, and what it answered.
    questions: Vec<(Question, Truth)>,
    /// As it was when they were judged last; none: it is not known, which moves nothing by itself.
    print: Option<Print>,
}

impl Watch {
    fn ask(&mut self, question: &Question) {
        if question.asks_value() && !self.questions.iter().any(|(known, _)| known == question) {
            self.questions.push((question.clone(), Truth::Unknown));
        }
    }

    fn heap_bytes(&self) -> usize {
        let numbers = self.groups.len() + self.rests.len();
        size_of::<Self>() + numbers * size_of::<usize>() + self.questions.len() * size_of::<(Question, Truth)>()
    }

    /// Look at its sensor; whether anything is not as when this was done last.
    fn look(&mut self, sensor: &Sensor, around: &Surroundings<'_>) -> bool {
        let print = Some(Print::of(sensor, around));
        let mut is_moved = self.print != print;
        self.print = print;
        for (question, known) in &mut self.questions {
            let answer = question.of_value(sensor);
            is_moved |= answer != *known;
            *known = answer;
        }
        is_moved
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Groups {
    /// What they were made of.
    text: String,
    groups: Vec<Group>,
    rests: Vec<Rest>,
    /// By the place of the sensor, because it is looked up with every reading.
    watched: Vec<Option<Box<Watch>>>,
}

/// A facility while its groups are judged.
pub struct Plant<'a> {
    pub sensors: &'a mut [Sensor],
    pub places: &'a Places,
    pub around: &'a Surroundings<'a>,
    pub version: i64,
}

impl Plant<'_> {
    fn field(&self) -> Field<'_> {
        Field { sensors: self.sensors, places: self.places, around: self.around }
    }
}

impl Groups {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.rests.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Take definitions over, if they are others. A group that is defined as before keeps its alarms.
    pub fn define<S: Sink>(
        &mut self,
        text: &str,
        definitions: &Definitions,
        at_us: i64,
        plant: &mut Plant<'_>,
        sink: &mut S,
    ) {
        if text == self.text {
            return;
        }
        text.clone_into(&mut self.text);
        let before = std::mem::take(&mut self.groups);
        let (kept, gone): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|group| definitions.groups.iter().any(|new| is_kept(group, new)));
        for mut group in gone {
            group.retire(at_us, plant.version, plant.around, sink);
        }
        let taken = |definition: &definition::Definition| {
            let known = kept.iter().find(|group| is_kept(group, definition)).cloned();
            let known = known.unwrap_or_else(|| Group::new(definition.clone()));
            known.redefined(definition.clone())
        };
        self.groups = definitions.groups.iter().map(taken).collect();
        let rests = std::mem::take(&mut self.rests);
        let (kept, gone): (Vec<_>, Vec<_>) =
            rests.into_iter().partition(|rest| definitions.rests.contains(&rest.definition));
        for mut rest in gone {
            rest.retire(at_us, plant.sensors, plant.places, plant.around, sink);
        }
        let taken = |definition: &definition::RestDefinition| {
            let known = kept.iter().find(|rest| rest.definition == *definition).cloned();
            known.unwrap_or_else(|| Rest::new(definition.clone()))
        };
        self.rests = definitions.rests.iter().map(taken).collect();
    }

    /// Where the sensors stand that they ask: after each configuration.
    pub fn watch(&mut self, places: &Places) {
        self.watched.clear();
        if self.is_empty() {
            return;
        }
        // the places of sensors that were let go stay empty, so that the last one may lie beyond their number
        self.watched.resize(places.values().max().map_or(0, |last| *last as usize + 1), None);
        for (number, group) in self.groups.iter().enumerate() {
            let kind = &group.definition.kind;
            for place in kind.sensors().into_iter().filter_map(|id| places.get(id)) {
                let Some(slot) = self.watched.get_mut(*place as usize) else { continue };
                let watch = slot.get_or_insert_default();
                if watch.groups.last() != Some(&number) {
                    watch.groups.push(number);
                }
                watch.asks_values |= kind.asks_values();
            }
        }
        for (number, rest) in self.rests.iter().enumerate() {
            let asked = rest.definition.is_so.questions().into_iter().map(|(id, _)| id);
            let resting = rest.definition.alarms.iter().map(|(id, _)| id.as_str());
            for id in asked.chain(resting) {
                let Some(place) = places.get(id) else { continue };
                let Some(slot) = self.watched.get_mut(*place as usize) else { continue };
                let watch = slot.get_or_insert_default();
                if watch.rests.last() != Some(&number) {
                    watch.rests.push(number);
                }
            }
        }
        let groups = self.groups.iter().flat_map(|group| group.definition.kind.questions());
        let rests = self.rests.iter().flat_map(|rest| rest.definition.is_so.questions());
        for (id, question) in groups.chain(rests) {
            let watch = places.get(id).and_then(|place| self.watched.get_mut(*place as usize)?.as_mut());
            if let Some(watch) = watch {
                watch.ask(question);
            }
        }
    }

    fn watch_at(&self, place: u32) -> Option<&Watch> {
        self.watched.get(place as usize)?.as_deref()
    }

    /// After a reading of the sensor at this place.
    #[inline]
    pub fn after_reading<S: Sink>(&mut self, place: u32, plant: &mut Plant<'_>, sink: &mut S) {
        if self.watch_at(place).is_some() {
            self.judge_at(place, plant, sink);
        }
    }

    fn judge_at<S: Sink>(&mut self, place: u32, plant: &mut Plant<'_>, sink: &mut S) {
        let Some(sensor) = plant.sensors.get(place as usize) else { return };
        let at_us = sensor.newest.as_ref().map_or(0, |newest| newest.tracked_at_us);
        let Some(watch) = self.watched.get_mut(place as usize).and_then(Option::as_mut) else { return };
        let waits = |number: &usize| self.groups.get(*number).is_some_and(Group::is_waiting);
        let is_moved = watch.look(sensor, plant.around);
        if is_moved || watch.asks_values || watch.groups.iter().any(waits) {
            self.judge_of(place, at_us, plant, sink);
        }
    }

    /// A person changed an alarm of the sensor at this place.
    pub fn after_command<S: Sink>(&mut self, place: u32, at_us: i64, plant: &mut Plant<'_>, sink: &mut S) {
        self.forget_print(place);
        self.judge_of(place, at_us, plant, sink);
    }

    /// What was judged last is not what its last reading made of it.
    fn forget_print(&mut self, place: u32) {
        if let Some(watch) = self.watched.get_mut(place as usize).and_then(Option::as_mut) {
            watch.print = None;
        }
    }

    fn forget_prints(&mut self) {
        self.watched.iter_mut().flatten().for_each(|watch| watch.print = None);
    }

    /// All that asks this sensor, and then all that asks those whose alarms were suppressed or given back by it.
    fn judge_of<S: Sink>(&mut self, place: u32, at_us: i64, plant: &mut Plant<'_>, sink: &mut S) {
        let Some(watch) = self.watch_at(place) else { return };
        let mut groups = watch.groups.clone();
        for number in watch.rests.clone() {
            let Some(rest) = self.rests.get_mut(number) else { continue };
            let touched = rest.judge(at_us, plant.sensors, plant.places, plant.around, sink);
            if !touched.is_empty() {
                // another may ask what this has moved, and was judged before it
                self.forget_prints();
            }
            for place in touched {
                groups.extend(self.watch_at(place).map_or(&[][..], |watch| &watch.groups));
            }
        }
        groups.sort_unstable();
        groups.dedup();
        for number in groups {
            if let Some(group) = self.groups.get_mut(number) {
                group.judge(at_us, &plant.field(), plant.version, sink);
            }
        }
    }

    /// Judge all of them.
    pub fn judge_all<S: Sink>(&mut self, at_us: i64, plant: &mut Plant<'_>, sink: &mut S) {
        for (watch, sensor) in self.watched.iter_mut().zip(plant.sensors.iter()) {
            if let Some(watch) = watch {
                watch.look(sensor, plant.around);
            }
        }
        for number in 0..self.rests.len() {
            let Some(rest) = self.rests.get_mut(number) else { continue };
            if !rest.judge(at_us, plant.sensors, plant.places, plant.around, sink).is_empty() {
                self.forget_prints();
            }
        }
        for group in &mut self.groups {
            group.judge(at_us, &plant.field(), plant.version, sink);
        }
    }

    /// By the clock of ticks: who fell silent has left, and what people set aside for a time comes back.
    pub fn tick<S: Sink>(&mut self, now_us: i64, plant: &mut Plant<'_>, sink: &mut S) {
        for group in &mut self.groups {
            group.tick(now_us, plant.version, plant.around, sink);
        }
        self.judge_all(now_us, plant, sink);
    }

    /// The group that has an alarm, by the number in its key.
    pub fn find(&mut self, command: &Command) -> Option<&mut Group> {
        let is_of =
            |group: &&mut Group| Some(group.definition.no) == command.sensor_no && group.spec(command.rule).is_some();
        self.groups.iter_mut().find(is_of)
    }

    /// Be as the journal left the alarms.
    pub fn recall<'a>(&mut self, left: &mut BTreeMap<(Option<i32>, &'a str), &'a ToldAlarm>) {
        for group in &mut self.groups {
            let no = Some(group.definition.no);
            group.recall(|rule| left.get(&(no, rule.name())).copied());
            group.definition.specs.iter().for_each(|spec| {
                left.remove(&(no, spec.rule.name()));
            });
        }
        self.rests.iter_mut().for_each(Rest::recall);
        self.forget_prints();
    }

    pub fn heap_bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| size_of::<Group>() + group.alarms.heap_bytes()).sum();
        groups
            + 3 * self.text.len()
            + self.rests.len() * size_of::<Rest>()
            + self.watched.len() * size_of::<usize>()
            + self.watched.iter().flatten().map(|watch| watch.heap_bytes()).sum::<usize>()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.text.as_bytes());
        self.groups.iter().for_each(|group| group.save(out));
        self.rests.iter().for_each(|rest| rest.save(out));
    }

    pub fn load(reader: &mut Reader<'_>, places: &Places) -> Wire<Self> {
        let text = reader.text()?.to_owned();
        let definitions = Definitions::read(&text).map_err(WireError::new)?;
        let groups = definitions.groups.into_iter().map(|definition| Group::load(definition, reader));
        let groups = groups.collect::<Wire<_>>()?;
        let rests = definitions.rests.into_iter().map(|definition| Rest::load(definition, reader));
        let rests = rests.collect::<Wire<_>>()?;
        let mut all = Self { text, groups, rests, watched: Vec::new() };
        all.watch(places);
        Ok(all)
    }
}

/// Whether a group goes on as this one: what people set of its priority or texts does not end its alarms.
fn is_kept(group: &Group, definition: &definition::Definition) -> bool {
    let old = &group.definition;
    old.no == definition.no && std::mem::discriminant(&*old.kind) == std::mem::discriminant(&*definition.kind)
}
