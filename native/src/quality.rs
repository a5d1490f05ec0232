//! How far a reading can be trusted, as OPC UA names it, and texts that are numbers in another spelling.
//!
//! Historians write a word where a value is missing. These words are known, in any case and whether they are written with
//! blanks, underscores, hyphens, slashes or none. The names of the reasons are those of OPC UA Part 4 and Part 8.

use crate::flag;
use crate::number::{Datum, Meaning};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    Good,
    Uncertain(&'static str),
    Bad(&'static str),
}

impl Quality {
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain(_) => "uncertain",
            Self::Bad(_) => "bad",
        }
    }

    /// The status code's name.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Uncertain(reason) | Self::Bad(reason) => reason,
        }
    }
}

const DEVICE: Quality = Quality::Bad("BadDeviceFailure");
const NO_COMMUNICATION: Quality = Quality::Bad("BadNoCommunication");
const NO_DATA: Quality = Quality::Bad("BadNoData");
const NOT_CONNECTED: Quality = Quality::Bad("BadNotConnected");
const OUT_OF_RANGE: Quality = Quality::Bad("BadOutOfRange");
const OUT_OF_SERVICE: Quality = Quality::Bad("BadOutOfService");
const SENSOR: Quality = Quality::Bad("BadSensorFailure");

/// By their letters and digits alone, in lower case.
const WORDS: [(&str, Quality); 44] = [
    ("arcoffline", NO_COMMUNICATION),
    ("bad", Quality::Bad("Bad")),
    ("badinput", SENSOR),
    ("badquality", Quality::Bad("Bad")),
    ("badvalue", Quality::Bad("Bad")),
    ("calcfailed", Quality::Bad("BadInternalError")),
    ("calcoff", OUT_OF_SERVICE),
    ("commerror", NO_COMMUNICATION),
    ("commfail", NO_COMMUNICATION),
    ("communicationfailure", NO_COMMUNICATION),
    ("configurationerror", Quality::Bad("BadConfigurationError")),
    ("configure", Quality::Bad("BadConfigurationError")),
    ("dcsfailed", DEVICE),
    ("devicefailure", DEVICE),
    ("doubtful", Quality::Uncertain("Uncertain")),
    ("equipfail", DEVICE),
    ("error", Quality::Bad("Bad")),
    ("failed", DEVICE),
    ("fault", DEVICE),
    ("intfshut", NO_COMMUNICATION),
    ("invalid", Quality::Bad("Bad")),
    ("invaliddata", Quality::Bad("Bad")),
    ("iotimeout", Quality::Bad("BadTimeout")),
    ("na", NO_DATA),
    ("nodata", NO_DATA),
    ("noresult", NO_DATA),
    ("nosample", NO_DATA),
    ("notavailable", NO_DATA),
    ("notconnect", NOT_CONNECTED),
    ("notconnected", NOT_CONNECTED),
    ("null", NO_DATA),
    ("outofserv", OUT_OF_SERVICE),
    ("outofservice", OUT_OF_SERVICE),
    ("overrange", OUT_OF_RANGE),
    ("ptcreated", Quality::Bad("BadWaitingForInitialData")),
    ("scanoff", OUT_OF_SERVICE),
    ("scantimeout", Quality::Bad("BadTimeout")),
    ("sensorfailure", SENSOR),
    ("shutdown", OUT_OF_SERVICE),
    ("snapfix", Quality::Uncertain("UncertainSubstituteValue")),
    ("substituted", Quality::Uncertain("UncertainSubstituteValue")),
    ("timeout", Quality::Bad("BadTimeout")),
    ("trace", Quality::Uncertain("UncertainSensorNotAccurate")),
    ("underrange", OUT_OF_RANGE),
];

/// Those that no pump, valve or compressor has for a state of its own, as it has "Fault" and "Shutdown".
const OF_NO_APPARATUS: [&str; 17] = [
    "arcoffline",
    "bad",
    "badinput",
    "badquality",
    "badvalue",
    "calcfailed",
    "commerror",
    "commfail",
    "communicationfailure",
    "intfshut",
    "invaliddata",
    "iotimeout",
    "nodata",
    "nosample",
    "null",
    "ptcreated",
    "scantimeout",
];

const WORD_BYTES_MAX: usize = 24;

/// What a historian's word for a missing value means; none: it is no such word.
pub fn of_word(text: &str) -> Option<Quality> {
    let word = letters(text)?;
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, quality)| *quality)
}

/// Whether a text says that a value is missing also where readings are words.
pub fn is_of_no_apparatus(text: &str) -> bool {
    letters(text).is_some_and(|word| OF_NO_APPARATUS.contains(&word.as_str()))
}

/// A word without what parts it, in lower case; none: it is too long or has other characters.
fn letters(text: &str) -> Option<String> {
    let mut word = String::with_capacity(WORD_BYTES_MAX);
    for character in text.chars().filter(|character| !matches!(character, ' ' | '\t' | '_' | '-' | '/' | '.')) {
        if !character.is_ascii_alphabetic() || word.len() == WORD_BYTES_MAX {
            return None;
        }
        word.push(character.to_ascii_lowercase());
    }
    Some(word)
}

/// Of a reading of a type that measures, by what its text means and its flags.
pub fn of(datum: &Datum<'_>, meaning: Meaning, flags: u16) -> Quality {
    match meaning {
        Meaning::Number(_) if flags & flag::OUT_OF_PHYSICAL_RANGE != 0 => OUT_OF_RANGE,
        Meaning::Number(_) if flags & flag::CLOCK != 0 => Quality::Uncertain("Uncertain"),
        Meaning::Number(_) => Quality::Good,
        Meaning::NonFinite => Quality::Bad("BadNoData"),
        Meaning::Words => of_word(&datum.text()).unwrap_or(Quality::Bad("BadDataEncodingInvalid")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_historians_are_known_however_they_are_written() {
        for (text, reason) in [
            ("Bad", "Bad"),
            ("I/O Timeout", "BadTimeout"),
            ("IO_TIMEOUT", "BadTimeout"),
            ("No Data", "BadNoData"),
            ("comm fail", "BadNoCommunication"),
            ("Shutdown", "BadOutOfService"),
            ("Pt Created", "BadWaitingForInitialData"),
            ("PT_CREATED", "BadWaitingForInitialData"),
            ("Under Range", "BadOutOfRange"),
            ("over-range", "BadOutOfRange"),
            ("Configure", "BadConfigurationError"),
            ("Not Connected", "BadNotConnected"),
            ("SCAN OFF", "BadOutOfService"),
            ("Bad Input", "BadSensorFailure"),
            ("Intf Shut", "BadNoCommunication"),
            (" trace ", "UncertainSensorNotAccurate"),
            ("N/A", "BadNoData"),
        ] {
            assert_eq!(of_word(text).map(Quality::reason), Some(reason), "{text}");
        }
        for text in ["", "open", "35,0", "badger", "bad1", "Schlecht", "ü", "communicationfailuresofakind"] {
            assert_eq!(of_word(text), None, "{text}");
        }
    }

    #[test]
    fn each_word_can_be_found_and_stands_once() {
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (word, quality) in WORDS {
            assert!(word.len() <= WORD_BYTES_MAX);
            assert_eq!(of_word(word), Some(quality));
            assert_ne!(quality, Quality::Good);
        }
        for word in OF_NO_APPARATUS {
            assert!(matches!(of_word(word), Some(Quality::Bad(_))), "{word}");
        }
    }

    #[test]
    fn what_an_apparatus_says_of_itself_is_a_state() {
        for text in ["I/O Timeout", "Comm Fail", "BAD", "No Data"] {
            assert!(is_of_no_apparatus(text), "{text}");
        }
        for text in ["Fault", "Shutdown", "Error", "Open", "", "7"] {
            assert!(!is_of_no_apparatus(text), "{text}");
        }
    }

    #[test]
    fn every_reading_has_a_quality() {
        let quality = |text: &str, flags| {
            let datum = Datum::of(text);
            of(&datum, datum.meaning(), flags)
        };
        assert_eq!((quality("35", 0).name(), quality("35", 0).reason()), ("good", "Good"));
        assert_eq!(quality("35", flag::OUT_OF_PHYSICAL_RANGE), OUT_OF_RANGE);
        assert_eq!(quality("35", flag::CLOCK).name(), "uncertain");
        assert_eq!(quality("NaN", 0).reason(), "BadNoData");
        assert_eq!(quality("I/O Timeout", 0).reason(), "BadTimeout");
        assert_eq!(quality("35 ppm", 0).reason(), "BadDataEncodingInvalid");
    }
}
