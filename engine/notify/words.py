"""What a message says: the subject and the fields that all channels share, and the text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.historian.outbox import Draft, Group
from engine.printable import escaped

SUBJECT_CHARS_MAX: Final = 200
VERSION: Final = 1
_SAYS: Final = {"activated": "", "re_alarmed": "again: ", "returned": "over: "}


def compose(group: Group) -> Draft:
    """Of alarms."""
    content = {
        "version": VERSION,
        "kind": "alarms",
        "channel": group.channel.name,
        "total": group.total,
        "counts": dict(group.counts),
        "alarms": list(group.alarms),
    }
    return Draft(_shortened(_subject(group.alarms, group.total, group.counts)), content)


def text_of(subject: str, content: Mapping[str, Any], link: str | None) -> str:
    """For a reader: what, where, when, what follows from it and what to do."""
    return "\n".join(_lines(subject, content, link)) + "\n"


def headline(alarm: Mapping[str, Any]) -> str:
    """One alarm in a line."""
    late = f" (nobody acknowledged it for {alarm['after_minutes']} min)" if alarm["after_minutes"] else ""
    again = _SAYS.get(str(alarm["transition"]), "")
    return escaped(f"{str(alarm['priority']).upper()}: {again}{alarm['message']}{late}")


def facts(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each with its name; without those that are not known."""
    unit = f" {alarm['unit']}" if alarm.get("unit") else ""
    found = {
        "facility": _named(alarm["facility_name"], alarm["facility_id"]),
        "sensor": _named(alarm["sensor_name"], alarm["sensor_id"]),
        "alarm": alarm["alarm_id"],
        "value": None if alarm["value"] is None else f"{alarm['value']:g}{unit}",
        "limit": None if alarm["limit"] is None else f"{alarm['limit']:g}{unit}",
        "time": alarm["event_time_here"],
        "consequence": alarm["consequence"],
        "response": alarm["response"],
    }
    return ((name, escaped(str(said))) for name, said in found.items() if said)


def rest_of(content: Mapping[str, Any], shown: int) -> str | None:
    """How many are not named, and of which priority all are."""
    left = content.get("total", 0) - shown
    if left <= 0:
        return None
    return f"and {left} more; in all {_counted(content['counts'])}"


def _lines(subject: str, content: Mapping[str, Any], link: str | None) -> Iterable[str]:
    yield subject
    alarms: Sequence[Mapping[str, Any]] = content.get("alarms", ())
    for alarm in alarms:
        yield ""
        yield headline(alarm)
        yield from (f"  {name}: {said}" for name, said in facts(alarm))
    if rest := rest_of(content, len(alarms)):
        yield ""
        yield rest
    if link:
        yield ""
        yield f"Acknowledge: {link}"


def _subject(alarms: Sequence[Mapping[str, Any]], total: int, counts: Mapping[str, int]) -> str:
    first = alarms[0]
    if total == 1:
        where = first["facility_name"] or first["facility_id"]
        return f"[{where}] {headline(first)}"
    facilities = {alarm["facility_id"] for alarm in alarms}
    where = first["facility_name"] or first["facility_id"] if len(facilities) == 1 else f"{len(facilities)} facilities"
    return f"[{where}] {total} alarms: {_counted(counts)}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {priority}" for priority, count in counts.items() if count)


def _named(name: str | None, identity: str | None) -> str | None:
    return name if name == identity or identity is None else f"{name} ({identity})" if name else identity


def _shortened(text: str) -> str:
    text = escaped(text)
    return text if len(text) <= SUBJECT_CHARS_MAX else text[: SUBJECT_CHARS_MAX - 1] + "…"
