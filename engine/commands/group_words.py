"""A group and a suppression by design in words, as a person would say what they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def group_text(group: Mapping[str, Any]) -> str:
    """`2 of 3: a (high), b (high), c (low)`, and so on."""
    members = members_text(group.get("members") or ())
    match group.get("kind"):
        case "vote":
            return f"{group.get('votes')} of {len(group.get('members') or ())}: {members}"
        case "first_out":
            return f"first of {members}"
        case "discrepancy":
            limit = group.get("limit")
            apart = "" if limit is None else f" by more than {_number(limit)}"
            return f"{group.get('commanded')} and {group.get('reported')} differ{apart}"
        case _:
            return expression_text(group.get("when") or {})


def rest_text(rest: Mapping[str, Any]) -> str:
    """`a (low) rests while k1 is Stopped`."""
    return f"{members_text(rest.get('alarms') or ())} while {expression_text(rest.get('while') or {})}"


def members_text(members: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each.get('sensor_id')} ({', '.join(each.get('rules') or ())})" for each in members)


def expression_text(asked: Mapping[str, Any]) -> str:
    """`(a high and not b above 3)`."""
    for word, between in (("all", " and "), ("any", " or ")):
        if asked.get(word):
            return f"({between.join(expression_text(each) for each in asked[word])})"
    if asked.get("not"):
        return f"not {expression_text(asked['not'])}"
    sensor_id = asked.get("sensor_id")
    if asked.get("rule") is not None:
        return f"{sensor_id} {asked['rule']}"
    if asked.get("is") is not None:
        return f"{sensor_id} is {asked['is']}"
    word = "above" if asked.get("above") is not None else "below"
    return f"{sensor_id} {word} {_number(asked.get(word))}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"
