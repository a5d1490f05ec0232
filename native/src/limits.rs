//! Limits that are held here and asked for elsewhere: they stand once, and Python takes them from here.
//! The span of time that is accepted stands in `instant`.

/// Longest facility or sensor id, and longest text of a reading, in bytes.
pub const ID_BYTES_MAX: usize = 256;
pub const DATA_BYTES_MAX: usize = 256;
/// Largest body and most rows of one body; beyond that a sender's mistake would stall everybody else.
pub const BODY_BYTES_MAX: usize = 64 << 20;
pub const BODY_ROWS_MAX: usize = 1_000_000;
/// Deepest nesting that is read; our own messages need two levels.
pub const JSON_DEPTH_MAX: u32 = 64;
/// How much of an offending text is kept.
pub const EXCERPT_BYTES_MAX: usize = 4096;

/// Most seconds between two expected readings that mean anything: a year.
pub const INTERVAL_S_MAX: u32 = 366 * 86_400;
/// Largest number of the core's own settings.
pub const SETTING_MAX: f64 = 1e9;

/// Days in which one false alarm is accepted, at most: ten years.
pub const BUDGET_DAYS_MAX: f64 = 3_650.0;
/// No instrument measures more, in whatever unit: the widest physical range of a sensor type.
pub const PHYSICAL_MAX: f64 = 1e12;
/// Beyond this nothing is a measurement, whatever the physical range: it is neither scored nor learned.
pub const VALUE_MAX: f64 = 1e30;

/// Longest id of a command, name in one (actor, assignee, work order) and reason, in bytes.
pub const COMMAND_ID_BYTES_MAX: usize = 64;
pub const COMMAND_NAME_BYTES_MAX: usize = 256;
pub const COMMAND_REASON_BYTES_MAX: usize = 2_000;
/// How many command ids a facility remembers.
pub const COMMANDS_REMEMBERED: usize = 1_024;

/// Longest delay of a rule, window of a rate of change (a day) and time until it is told again (a week), in seconds.
pub const DELAY_S_MAX: u32 = 86_400;
pub const WINDOW_S_MAX: u32 = 86_400;
pub const RE_ALARM_S_MAX: u32 = 7 * 86_400;
/// Longest text of a rule, in bytes.
pub const RULE_TEXT_BYTES_MAX: usize = 1_000;

/// Most groups of a facility, and most suppressions by design; most members of one, alarms of one, and longest name.
pub const GROUPS_MAX: usize = 200;
pub const RESTS_MAX: usize = 200;
pub const MEMBERS_MAX: usize = 32;
pub const RESTING_MAX: usize = 64;
pub const GROUP_NAME_BYTES_MAX: usize = 200;
/// Deepest nesting of an expression, and most that it may ask.
pub const EXPRESSION_DEPTH_MAX: usize = 6;
pub const EXPRESSION_TERMS_MAX: usize = 32;
