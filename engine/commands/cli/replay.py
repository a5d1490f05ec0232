"""The words of `gasinsight replay`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, given


def replay(
    facilities: Annotated[
        list[str], typer.Option("--facility", metavar="ID", help="Of this one; may be given several times.")
    ],
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From this moment or day on (UTC without a zone).")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Before this moment, or to the end of this day.")],
    today: Annotated[
        bool, typer.Option("--today", help="With the settings of today for the whole period, not those of then.")
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Proposals as JSON, laid over the settings of today.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Live a past period again and hold what is told against the stored journal, row by row.

    [dim]gasinsight replay --facility ridge-1 --from 2026-11-01 --to 2026-11-07          the proof: zero differences
    gasinsight replay --facility ridge-1 --from 2026-11-01 --to 2026-11-07 --today  today's rules on that week
    gasinsight replay --facility ridge-1 --from 2026-11-01 --to 2026-11-07 --rules proposed.json[/]

    The file of proposals is a list; `rules`, `detection` and `groups` are what is PUT to /rules/…, /detection/… and
    /groups/facility/…:
      [{"sensor_id": "PT-1", "rules": {"rules": [{"rule": "high", "limit": 42.0}]}},
       {"facility_id": "ridge-1", "detection": {"sensor_type": "Pressure", "budget_days": 40.0}},
       {"facility_id": "ridge-1", "groups": {"groups": [{"name": "hall", "kind": "vote", "votes": 1, "members":
         [{"sensor_id": "PT-1", "rules": ["high"]}]}]}}]

    The period is that of arrival: what was committed in it. It reads the database and changes nothing.
    Exit status: 0 zero differences, 1 there are some, 2 it cannot be asked so, 3 not all of it could be judged.
    docs/alarms.md says what is compared, and what a replay cannot judge.
    """
    from engine.commands.replay import ReplayOptions, run_replay

    options = ReplayOptions(tuple(facilities), start, end, today, rules, as_json)
    sys.exit(run_replay(given(data_dir=data_dir), options))
