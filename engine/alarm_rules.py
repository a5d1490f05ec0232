"""What people set of alarm rules: for a type of a facility's sensors, and over it for one sensor. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import native


def merged(of_type: Mapping[str, Any], of_sensor: Mapping[str, Any]) -> dict[str, Any]:
    """As the core reads it. What is set for a sensor goes before what is for its type; a rule goes whole."""
    rules = {rule["rule"]: rule for each in (of_type, of_sensor) for rule in each.get("rules", ())}
    both = {**of_type, **of_sensor}
    return {**both, "rules": list(rules.values())} if rules else both


def rules_in_force(
    sensor_type: str, of_type: Mapping[str, Any], of_sensor: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """The rules that hold; ValueError with the core's sentence for what it would refuse."""
    return native.rules_in_force(sensor_type, json.dumps(merged(of_type, of_sensor)))
