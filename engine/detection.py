"""What holds of how anomalies are looked for: the default of a sensor type, and what people set over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import native
from engine.model import SensorType


def in_force(kind: SensorType, *settings: Mapping[str, Any]) -> dict[str, Any]:
    """The core's defaults of a type, and over them `settings`, the last one first; what is None is not said."""
    said = {name: value for each in settings for name, value in each.items() if value is not None}
    return {**native.detection_defaults(kind.value), **said}
