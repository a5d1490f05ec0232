"""How `status` reads in a terminal, from 80 columns on: names fold, numbers and states keep their room."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.commands.steps import plain
from engine.diagnosis import is_heard
from engine.printable import escaped, escaped_lines

ID_SHOWN = 13
NODE_ID_SHOWN = 8  # `drain` takes the beginning of an id
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


def print_state(console: Console, state: dict[str, Any]) -> None:
    """The state as `--json` has it, for people."""
    for problem in state["problems"]:
        console.print(Text(escaped_lines(problem), style="red"))
    _print_engine(console, state["engine"], state["lag"])
    _print_nodes(console, state["engine"].get("nodes") or [])
    _print_readers(console, state["engine"].get("readers") or {})
    _print_queues(console, state["queues"])
    _print_facilities(console, state["facilities"])
    if state["counts"]:
        _print_counts(console, state["counts"], len(state["facilities"]))


def _print_engine(console: Console, engine: dict[str, Any], lag: dict[str, Any]) -> None:
    if not engine:
        console.print("[yellow]the engine has never reported[/]: start `gasinsight up` or `gasinsight engine`")
        return
    heard = is_heard(engine, engine["age_s"])
    said = plain(f"engine {engine.get('state', 'unknown')}") if heard else Text("engine silent", style="red")
    reported = f", reported {engine['age_s']:.0f} s ago; {lag['readings']:,.0f} readings stored since start"
    console.print(Text.assemble(said, reported))
    if lag["mean_s"] is not None:
        console.print(f"stored {1000 * lag['mean_s']:.0f} ms after arrival on average")
    if engine.get("restarting"):
        console.print(plain(f"restarting: {', '.join(map(str, engine['restarting']))}", "yellow"))


def _print_nodes(console: Console, nodes: list[dict[str, Any]]) -> None:
    """Host over address, so that the services have room beside them."""
    table = _table("nodes", "node", "host", "state", "facilities", "processes", "services", folded="host services")
    for node in nodes:
        host, address = (escaped(str(node.get(name) or "")) for name in ("hostname", "address"))
        table.add_row(
            plain(str(node.get("node_id"))[:NODE_ID_SHOWN]),
            Text(host if host == address or not address else f"{host}\n{address}", overflow="fold"),
            _node_state(node),
            _shown(node.get("facilities")),
            _shown(node.get("processes")),
            plain(" ".join(node.get("services") or ()) or "-"),
        )
    _print(console, table)


def _node_state(node: dict[str, Any]) -> str:
    said = ["alive" if node.get("alive") else "lost"]
    said += [word for word in ("head", "drained") if node.get(word)]
    return "\n".join(said)


def _print_readers(console: Console, readers: dict[str, Any]) -> None:
    """What fits into a table; the problems above say the rest."""
    table = _table("readers", "queue", "connected", "last receive", "held", "for", "full", folded="queue")
    for queue, reader in readers.items():
        table.add_row(
            plain(queue),
            _yes(reader.get("connected")),
            _ago(reader.get("last_receive_age_s")),
            _shown(reader.get("held")),
            _duration(reader.get("held_s")),
            _yes(reader.get("full")),
        )
    _print(console, table)


def _print_queues(console: Console, queues: dict[str, Any]) -> None:
    if error := queues.get("error"):
        console.print(Text(escaped_lines(f"queues: {error}"), style="yellow"))
        return
    table = _table("queues", "queue", "waiting", "dead letters", folded="queue")
    for queue, lengths in queues.items():
        table.add_row(plain(queue), _shown(lengths["waiting"]), _shown(lengths["dead_letters"]))
    _print(console, table)


def _print_facilities(console: Console, facilities: list[dict[str, Any]]) -> None:
    names = ("id", "name", "status", "sensors", "alarms", "parked", "last commit")
    table = _table("facilities", *names, folded="name")
    for facility in facilities:
        table.add_row(
            plain(facility["id"][:ID_SHOWN]),
            plain(facility["name"]),
            plain(facility["status"]),
            _shown(facility["sensors"]),
            _shown(facility["active_alarms"]),
            _shown(facility["parked"]),
            _ago(facility["last_commit_age_s"]),
        )
    _print(console, table)


def _print_counts(console: Console, counts: dict[str, int], facilities_shown: int) -> None:
    more = counts["facilities"] - facilities_shown
    console.print(
        (f"… and {more} more facilities; " if more > 0 else "")
        + f"{counts['sensors']} sensors, {counts['active_alarms']} active alarms, {counts['parked']} parked,"
        + f" {counts['dead_letters']} dead letters recorded"
    )


def _table(title: str, *names: str, folded: str) -> Table:
    """The columns of `folded`, by blanks, give up their width; the others keep what is in them."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name not in folded.split(), overflow="fold")
    return table


def _print(console: Console, table: Table) -> None:
    if table.row_count:
        console.print(table)


def _shown(value: object) -> Text:
    return plain("-" if value is None else value)


def _yes(value: object) -> str:
    return "-" if value is None else "yes" if value else "no"


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else f"{_duration(seconds)} ago"


def _duration(seconds: float | None) -> str:
    """In the unit that leaves at most three figures before the point."""
    if seconds is None:
        return "-"
    for limit_s, unit_s, unit in ((2 * MINUTE_S, 1.0, "s"), (2 * HOUR_S, MINUTE_S, "min"), (2 * DAY_S, HOUR_S, "h")):
        if seconds < limit_s:
            return f"{seconds:.1f} s" if unit == "s" else f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / DAY_S:.0f} d"
