"""Spellings of moments for every door that reads times: what each means, or a word of why it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "native/data/times.json").read_text())

READ: list[tuple[str, int]] = [(text, us) for text, us in _TABLE["read"]]
"""Text, microseconds since 1970 UTC."""
BAD: list[tuple[str, str]] = [(text, word) for text, word in _TABLE["bad_time"]]
"""Text that is no moment, words of the reason."""
OUT_OF_RANGE: list[tuple[str, str]] = [(text, word) for text, word in _TABLE["time_out_of_range"]]
"""Moments before 1970 or after 2200, words of the reason."""
