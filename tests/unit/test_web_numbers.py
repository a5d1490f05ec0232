"""Many means are spelled at once, as each by itself."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from web.wire.numbers import mean_texts, rounded_mean, shortest

ODD = [
    0.0,
    -0.0,
    24.0,
    67.96599999999998,
    1e-5,
    1e-4,
    0.1 + 0.2,
    999999999999.4,
    1e12,
    1e15,
    1e16,
    -1e300,
    5e-324,
    math.inf,
]


@given(st.lists(st.floats(allow_nan=False)))
def test_means_are_spelled_as_one_by_one(means: list[float]) -> None:
    for values in (means, ODD):
        assert mean_texts(values) == [shortest(rounded_mean(value)) for value in values]
