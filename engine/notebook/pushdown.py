"""What a predicate of polars says about times and ids, so that only those are read.

polars hands a source the condition that its rows must meet. Here it is taken apart by its public `meta`: a node is what
it looks like when it equals what would be built of its inputs. Whatever is not understood narrows nothing, and the
condition is applied to the rows in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from engine.exports.selection import WHOLE_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
Bounds = tuple[int, int]
"""First microsecond and end (not included)."""


def conjuncts(predicate: pl.Expr) -> Iterator[pl.Expr]:
    """Conditions that must all hold."""
    inputs = predicate.meta.pop()
    if len(inputs) == 2:
        right, left = inputs
        for one, other in ((left, right), (right, left)):
            if (one & other).meta.eq(predicate):
                yield from conjuncts(one)
                yield from conjuncts(other)
                return
    yield predicate


def time_bounds(predicate: pl.Expr, column: str) -> Bounds:
    """Outside of them no row meets the predicate."""
    start_us, end_us = WHOLE_US
    for condition in conjuncts(predicate):
        found = _bounds(condition, pl.col(column))
        if found is not None:
            start_us, end_us = max(start_us, found[0]), min(end_us, found[1])
    return start_us, end_us


def about_only(predicate: pl.Expr, columns: set[str]) -> list[pl.Expr]:
    """Conditions that can be decided by these columns alone."""
    found = ((condition, set(condition.meta.root_names())) for condition in conjuncts(predicate))
    return [condition for condition, roots in found if roots and roots <= columns]


# How a comparison with a moment narrows, the moment in microseconds.
_COMPARISONS: Final[tuple[tuple[Callable[[pl.Expr, pl.Expr], pl.Expr], Callable[[int], Bounds]], ...]] = (
    (lambda time, moment: time >= moment, lambda us: (us, WHOLE_US[1])),
    (lambda time, moment: time > moment, lambda us: (us + 1, WHOLE_US[1])),
    (lambda time, moment: time <= moment, lambda us: (WHOLE_US[0], us + 1)),
    (lambda time, moment: time < moment, lambda us: (WHOLE_US[0], us)),
    (lambda time, moment: time == moment, lambda us: (us, us + 1)),
    (lambda time, moment: moment <= time, lambda us: (us, WHOLE_US[1])),
    (lambda time, moment: moment < time, lambda us: (us + 1, WHOLE_US[1])),
    (lambda time, moment: moment >= time, lambda us: (WHOLE_US[0], us + 1)),
    (lambda time, moment: moment > time, lambda us: (WHOLE_US[0], us)),
    (lambda time, moment: moment == time, lambda us: (us, us + 1)),
)
_CLOSED: Final = {"both": (0, 1), "left": (0, 0), "right": (1, 1), "none": (1, 0)}


def _bounds(condition: pl.Expr, time: pl.Expr) -> Bounds | None:
    inputs = condition.meta.pop()
    moments = [moment for moment in inputs if not moment.meta.root_names()]
    if len(inputs) == 2 and len(moments) == 1:
        for compare, narrowed in _COMPARISONS:
            if compare(time, moments[0]).meta.eq(condition):
                us = _us_of(moments[0])
                return None if us is None else narrowed(us)
    if len(inputs) == 3 and len(moments) == 2:
        for closed, (after_start, after_end) in _CLOSED.items():
            for low, high in (moments, reversed(moments)):
                if time.is_between(low, high, closed=closed).meta.eq(condition):  # type: ignore[arg-type]
                    start_us, end_us = _us_of(low), _us_of(high)
                    if start_us is None or end_us is None:
                        return None
                    return start_us + after_start, end_us + after_end
    return None


def _us_of(moment: pl.Expr) -> int | None:
    value: Any = pl.select(moment).item()
    if not isinstance(value, datetime):
        return None
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _US
