"""The `gasinsight` command: words in, one of engine.commands out. A user's mistake is one sentence and status 2."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engine.errors import GasInSightError, SettingsError

app = typer.Typer(
    name="gasinsight",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Realtime monitoring of gas facilities.

Start here: [bold]gasinsight up --simulate[/] runs everything on this machine with a simulated field hub; then
[bold]gasinsight watch[/] in another terminal shows live values and alerts.

Settings come from the environment and [bold].env[/] (DATABASE_URL, SERVICEBUS_CONNECTION_STRING, …); what they do not
name is embedded by [bold]up[/].""",
)
database = typer.Typer(no_args_is_help=True, help="Look after the database's schema.")
app.add_typer(database, name="db")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded PostgreSQL, bus, secrets and logs.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Seconds = Annotated[
    float | None, typer.Option("--for", metavar="SECONDS", min=0, help="End by itself after this time.")
]
Facilities = Annotated[int, typer.Option(min=1, max=1000, help="How many facilities are simulated.")]
Sensors = Annotated[int, typer.Option(min=1, max=10_000, help="Sensors of each facility.")]
Rate = Annotated[float, typer.Option(help="Readings a second, all sensors together.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed is the same field with the same faults.")]
Faults = Annotated[
    str, typer.Option(help="none, demo (a new one every minute), or KIND@START+DURATION,… in seconds: leak@60+90.")
]
Ledger = Annotated[Path | None, typer.Option(help="Write the planted faults here as JSON, before they are sent.")]


@app.command()
def up(
    simulate: Annotated[bool, typer.Option("--simulate", help="Send readings from a simulated field hub.")] = False,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the web server.")] = None,
    facilities: Facilities = 3,
    sensors: Sensors = 12,
    rate: Rate = 18.0,
    seed: Seed = 1,
    faults: Faults = "demo",
    ledger: Ledger = None,
    duration_s: Seconds = None,
    as_json: AsJson = False,
) -> None:
    """Run everything on this machine until Ctrl-C: database, bus, engine, web server.

    [dim]gasinsight up --simulate                       the demo
    gasinsight up --simulate --facilities 10 --rate 200
    gasinsight up --port 8001 --data-dir second        a second one beside it[/]

    DATABASE_URL, SERVICEBUS_CONNECTION_STRING and RAY_ADDRESS are used when they are set; what is missing is embedded.
    """
    from engine.bus.simulation.field import FieldOptions
    from engine.commands.up import UpOptions, run_up

    field = FieldOptions(facilities, sensors, rate, seed, faults)
    settings = _given(data_dir=data_dir, web_port=port)
    run_up(UpOptions(settings, simulate, field, ledger, duration_s, as_json))


@app.command()
def simulate(
    facilities: Facilities = 3,
    sensors: Sensors = 12,
    rate: Rate = 18.0,
    batch: Annotated[int, typer.Option(min=1, max=2000, help="Readings in one message; above 1 a JSON array.")] = 1,
    seed: Seed = 1,
    faults: Faults = "demo",
    like_hub: Annotated[
        bool,
        typer.Option("--like-hub", help="As hubs in the field: waits of 15 s, all sensors at once every interval."),
    ] = False,
    duration_s: Annotated[float | None, typer.Option("--duration", "--for", metavar="SECONDS", min=0)] = None,
    ledger: Ledger = None,
    truth: Annotated[
        Path | None, typer.Option(help="Write every body here, one JSON a line, before it is sent.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Be a field hub: send setups, activations and readings with planted faults to the bus.

    [dim]gasinsight simulate --rate 100 --batch 50
    gasinsight simulate --faults leak@30+90,gap@200 --ledger ledger.json --duration 600
    gasinsight simulate --like-hub --rate 2.4          every sensor each 15 s[/]

    Fault kinds: gas_alarm, spike, leak, drift, gap, pump_trip, stuck, stiction.
    """
    from engine.bus.simulation.field import FieldOptions
    from engine.bus.simulator import HubOptions
    from engine.commands.simulate import run_simulate

    field = FieldOptions(facilities, sensors, rate, seed, faults, jitter=0 if like_hub else 0.02)
    wait_s = 15.0 if like_hub else 2.0
    options = HubOptions(field, batch, like_hub, wait_s, wait_s, duration_s, ledger, truth)
    run_simulate(_given(data_dir=data_dir), options, as_json)


@app.command()
def web(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, max=64, help="Web server processes.")] = None,
) -> None:
    """Run the web server alone, beside an engine.

    [dim]gasinsight web --host 0.0.0.0 --processes 4
    hypercorn web.main:app --reload                    the same, for development[/]
    """
    from engine.commands.alone import run_web

    run_web(_given(data_dir=data_dir, web_host=host, web_port=port, web_processes=processes))


@app.command()
def engine(data_dir: DataDir = None) -> None:
    """Run the engine alone: readers, facility actors, historian (Ray).

    Needs DATABASE_URL and SERVICEBUS_CONNECTION_STRING, or the parts of a running `gasinsight up`.
    """
    from engine.commands.alone import run_engine

    run_engine(_given(data_dir=data_dir))


@app.command()
def bus(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Loopback port to listen on.")] = None,
) -> None:
    """Run the local bus alone: a durable Service Bus for one machine.

    Its connection string is found by the other commands with the same --data-dir.
    """
    from engine.commands.alone import run_bus

    run_bus(_given(data_dir=data_dir, bus_port=port))


@database.command("upgrade")
def database_upgrade(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema (the same as `alembic upgrade head`)."""
    from engine.commands.database import run_upgrade

    run_upgrade(_given(data_dir=data_dir))


@database.command("current")
def database_current(data_dir: DataDir = None) -> None:
    """Show the schema's revision, and the one this program wants."""
    from engine.commands.database import run_current

    run_current(_given(data_dir=data_dir))


@database.command("check")
def database_check(data_dir: DataDir = None) -> None:
    """Compare the database with the schema this program wants; exit status 1 when they differ."""
    from engine.commands.database import run_check

    sys.exit(run_check(_given(data_dir=data_dir)))


@app.command()
def watch(
    url: Annotated[str | None, typer.Option(help="Address of the web server; default: the one running here.")] = None,
    user: Annotated[str | None, typer.Option(help="E-mail address or user name; default: the demo's admin.")] = None,
    password: Annotated[
        str | None,
        typer.Option(help="Better left out (it is asked for) or in GASINSIGHT_PASSWORD.", envvar="GASINSIGHT_PASSWORD"),
    ] = None,
    facility: Annotated[str | None, typer.Option(help="Only facilities whose name or id contains this.")] = None,
    sensors: Annotated[int, typer.Option(min=1, max=500, help="Show at most this many sensors.")] = 36,
    duration_s: Seconds = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show live values and alerts in the terminal.

    [dim]gasinsight watch                                   the demo on this machine
    gasinsight watch --facility ridge
    gasinsight watch --url https://gas.example.org --user ann@example.org
    gasinsight watch --json --for 60 | jq 'select(.kind == "alert")'[/]
    """
    from engine.commands.watch import WatchOptions, run_watch

    options = WatchOptions(url, user, password, facility, sensors, duration_s, as_json)
    run_watch(_given(data_dir=data_dir), options)


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show nodes, readers, facilities, lag and queues of a running installation."""
    from engine.commands.status import run_status

    sys.exit(run_status(_given(data_dir=data_dir), as_json))


@app.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check this machine and installation; say what is wrong and what to do. Exit status 1 when something is."""
    from engine.commands.doctor import run_doctor

    sys.exit(run_doctor(_given(data_dir=data_dir), as_json))


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all without.", show_default=False)] = None,
    runs: Annotated[int, typer.Option(min=1, max=20, help="Runs of each; the median counts.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure: ingest-single, ingest-batch, latency. Starts what it needs and cleans up.

    [dim]gasinsight bench                   all of them, some minutes each
    gasinsight bench latency --json[/]
    """
    command = [sys.executable, "-m", "bench", *(names or []), "--runs", str(runs), *(["--json"] if as_json else [])]
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "bench" / "__main__.py").exists():
        raise SettingsError("the benchmarks are not in the installed package; run this in a checkout of the source")
    os.chdir(checkout)
    os.execv(sys.executable, command)  # noqa: S606 - no shell, our own interpreter


def main() -> NoReturn:
    """Entry point of the `gasinsight` script."""
    try:
        app()
    except SettingsError as error:
        _say(error)
        sys.exit(2)
    except GasInSightError as error:
        _say(error)
        sys.exit(1)
    sys.exit(0)


def _say(error: GasInSightError) -> None:
    sys.stderr.write(f"gasinsight: {error}\n")


def _given(**options: object) -> dict[str, object]:
    """Options that were given, as overrides of the settings of the same names."""
    return {name: value for name, value in options.items() if value is not None}


if __name__ == "__main__":
    main()
