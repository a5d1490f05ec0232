"""What people set of alarm rules: for a type of a facility's sensors, and over it for one sensor. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(of_type: Mapping[str, Any], of_sensor: Mapping[str, Any]) -> dict[str, Any]:
    """As the core reads it. What is set for a sensor goes before what is for its type; a rule goes whole."""
    rules = {rule["rule"]: rule for each in (of_type, of_sensor) for rule in each.get("rules", ())}
    both = {**of_type, **of_sensor}
    return {**both, "rules": list(rules.values())} if rules else both
