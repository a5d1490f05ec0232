"""`gasinsight notify`: whom alarms are told, what was sent, and tests, in the terminal."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from engine.client import Channel, GasInSight, NewChannel, NewSubscription, Notification, Subscription
from engine.commands.json_file import read_json
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import plain, print_line
from engine.errors import SettingsError
from engine.printable import escaped

TEST_WAIT_S = 8.0
WAYS = ("webhook", "mail", "teams")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

New = TypeVar("New", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The newest `limit` messages, over the channel of that id or name and in that state, where they are given."""

    channel: str | None
    state: str | None
    limit: int


def run_channels(overrides: dict[str, object], options: LoginOptions, as_json: bool) -> None:
    """One line a channel."""
    found = asked(overrides, options, lambda gis: gis.notifications.channels())
    if as_json:
        _print_json(found)
    elif found:
        heads = ("id", "name", "kind", "goes to", "acknowledges", "state")
        _print_table(heads, [_channel_cells(one) for one in found])
    else:
        print_line("There are no channels; `gasinsight notify add-channel` makes one.")


def run_subscriptions(overrides: dict[str, object], options: LoginOptions, as_json: bool) -> None:
    """One line a subscription."""
    found = asked(overrides, options, lambda gis: gis.notifications.subscriptions())
    if as_json:
        _print_json(found)
    elif found:
        heads = ("id", "name", "channel", "from priority", "rules", "facilities", "when", "after")
        _print_table(heads, [_subscription_cells(one) for one in found])
    else:
        print_line("There are no subscriptions; `gasinsight notify add-subscription` makes one.")


def run_list(overrides: dict[str, object], options: LoginOptions, wanted: Wanted, as_json: bool) -> None:
    """The newest messages, and of how many."""

    async def read(gis: GasInSight) -> tuple[list[Notification], int | None]:
        channel_id = None if wanted.channel is None else await _id_of(gis, wanted.channel)
        part = await gis.notifications.sent(channel_id=channel_id, state=wanted.state, limit=wanted.limit)
        return part.rows, part.total

    found, total = asked(overrides, options, read)
    if as_json:
        _print_json(found)
        return
    if found:
        heads = ("id", "made", "channel", "recipient", "subject", "state", "tries", "error")
        _print_table(heads, [_notification_cells(one) for one in found])
    print_line(f"{len(found)} of {total} messages.")


def run_test(overrides: dict[str, object], options: LoginOptions, channel: str, as_json: bool) -> None:
    """Say of each recipient what became of it. NotDone unless all have it, so that a script knows."""

    async def send(gis: GasInSight) -> list[Notification]:
        return await gis.notifications.test(await _id_of(gis, channel), wait_s=TEST_WAIT_S)

    tried = asked(overrides, options, send)
    if as_json:
        _print_json(tried)
    else:
        for one in tried:
            to = f" to {one.recipient}" if one.recipient else ""
            print_line(escaped(f"test over {one.channel_name}{to}: {_outcome(one)}"))
    if any(one.state != "delivered" for one in tried):
        raise NotDone(
            "not everybody has the test yet; it is tried again like any message: `gasinsight notify list` says more"
        )


def run_add_channel(overrides: dict[str, object], options: LoginOptions, file: Path, as_json: bool) -> None:
    """As the file describes it."""
    said = _read(file)
    for way in WAYS:
        if isinstance(said.get(way), dict):
            said[way] = {name: _revealed(value, f"{way}.{name}", file) for name, value in said[way].items()}
    new = _as(NewChannel, said, file)
    made = asked(overrides, options, lambda gis: gis.notifications.create_channel(new))
    if as_json:
        _print_json([made])
    else:
        test = f"`gasinsight notify test {made.id}` tries it"
        print_line(f"channel {made.id} ({escaped(made.name)}) is made; {test}.")


def run_add_subscription(overrides: dict[str, object], options: LoginOptions, file: Path, as_json: bool) -> None:
    """As the file describes it."""
    new = _as(NewSubscription, _read(file), file)
    made = asked(overrides, options, lambda gis: gis.notifications.create_subscription(new))
    if as_json:
        _print_json([made])
    else:
        said = f"subscription {made.id} ({made.name}) to {made.channel_name} is made"
        print_line(escaped(f"{said}: it tells what is recorded from now on."))


def _read(file: Path) -> dict[str, Any]:
    said = read_json(file)
    if not isinstance(said, dict):
        raise SettingsError(f"{file} should hold one JSON object")
    return said


def _revealed(value: Any, name: str, file: Path) -> Any:
    """A secret that stands in the environment, where the file says {"env": "NAME"}; anything else as it stands."""
    if not isinstance(value, dict):
        return value
    if value.keys() != {"env"} or not isinstance(value["env"], str):
        raise SettingsError(f'{file}: {name} should be a value, or {{"env": "NAME"}} of a variable that holds it')
    if not (found := os.environ.get(value["env"])):
        raise SettingsError(f"{file}: {name} is to be in the variable {value['env']}, which is not set")
    return found


def _as(kind: type[New], said: dict[str, Any], file: Path) -> New:
    """What stands against it is told without what stands in the file, for that may be a secret."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise SettingsError(f"{file}: {'; '.join(problems)}") from error


async def _id_of(gis: GasInSight, wanted: str) -> int:
    """By the name, which is of one channel only, or by the id."""
    known = await gis.notifications.channels()
    found = [one.id for one in known if one.name == wanted] or [one.id for one in known if str(one.id) == wanted]
    if not found:
        raise NotDone(f"no channel has the id or the name {wanted!r}; `gasinsight notify channels` lists them")
    return found[0]


def _channel_cells(one: Channel) -> tuple[str, ...]:
    to = f"{', '.join(one.to)} by {one.host}" if one.to else one.host
    return str(one.id), one.name, one.kind, to, "yes" if one.acknowledge else "no", "on" if one.enabled else "off"


def _subscription_cells(one: Subscription) -> tuple[str, ...]:
    days = "every day" if len(one.days) == len(DAYS) else ", ".join(DAYS[day - 1] for day in sorted(one.days))
    hours = "" if one.from_time == one.to_time else f" {one.from_time}-{one.to_time}"
    after = f"{one.after_minutes} min" if one.after_minutes else "at once"
    rules, facilities = (", ".join(names) or "all" for names in (one.alarm_rules, one.facility_ids))
    return (
        *(str(one.id), one.name, one.channel_name, one.least_priority, rules, facilities),
        *(f"{days}{hours} {one.zone}", after),
    )


def _notification_cells(one: Notification) -> tuple[str, ...]:
    made = f"{one.made_at:%Y-%m-%d %H:%M:%S}"
    state = one.state.replace("_", " ")
    return str(one.id), made, one.channel_name, one.recipient, one.subject, state, str(one.attempts), one.error


def _outcome(one: Notification) -> str:
    if one.state == "waiting" and not one.error:
        return "waiting; does the engine run? `gasinsight status` says"
    said = f": {one.error}" if one.error and one.state != "delivered" else ""
    return f"{one.state.replace('_', ' ')}{said}"


def _print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    Console(highlight=False).print(table)


def _print_json(shapes: list[Any]) -> None:
    """In ASCII, so that no terminal obeys what stands in it."""
    for shape in shapes:
        print_line(json.dumps(shape.model_dump(mode="json")))
