"""The `gasinsight` command: words in, one of engine.commands out. A user's mistake is one sentence and status 2."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engine.commands.cli import alarms as cli_alarms
from engine.commands.cli import api_key as cli_api_key
from engine.commands.cli import audit as cli_audit
from engine.commands.cli import dead_letters as cli_dead_letters
from engine.commands.cli import export as cli_export
from engine.commands.cli import groups as cli_groups
from engine.commands.cli import importing as cli_importing
from engine.commands.cli import notify as cli_notify
from engine.commands.cli import out_of_use as cli_out_of_use
from engine.commands.cli import replay as cli_replay
from engine.commands.cli import report as cli_report
from engine.commands.cli import rules as cli_rules
from engine.commands.cli import score as cli_score
from engine.commands.cli.options import (
    AsJson,
    DataDir,
    Password,
    Tls,
    TlsCertificate,
    TlsKey,
    TlsName,
    TlsPort,
    Url,
    User,
    given,
)
from engine.errors import BAD_SETTINGS_STATUS, GasInSightError, SettingsError
from engine.printable import escaped_lines

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
database = typer.Typer(
    no_args_is_help=True, help="Look after the database: its schema, and what is kept in it how long."
)
app.add_typer(database, name="db")
keys = typer.Typer(no_args_is_help=True, help="Make keys that sign tokens (ALGORITHM=EdDSA).")
app.add_typer(keys, name="keys")
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_alarms.app, name="alarms")
app.add_typer(cli_notify.app, name="notify")
app.add_typer(cli_dead_letters.app, name="dead-letters")
app.add_typer(cli_rules.app, name="rules")
app.add_typer(cli_groups.app, name="groups")
app.add_typer(cli_report.app, name="report")
app.add_typer(cli_api_key.app, name="api-key")
app.add_typer(cli_out_of_use.facility, name="facility")
app.add_typer(cli_out_of_use.sensor, name="sensor")
app.command("score")(cli_score.score)
app.command("export")(cli_export.export)
app.command("replay")(cli_replay.replay)
app.command("import")(cli_importing.import_)

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
    tls: Tls = False,
    tls_name: TlsName = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_port: TlsPort = None,
    as_json: AsJson = False,
) -> None:
    """Run everything on this machine until Ctrl-C: database, bus, engine, web server.

    [dim]gasinsight up --simulate                       the demo
    gasinsight up --simulate --facilities 10 --rate 200
    gasinsight up --port 8001 --data-dir second        a second one beside it
    gasinsight up --tls                                for hubs that know only TLS[/]

    DATABASE_URL, SERVICEBUS_CONNECTION_STRING and RAY_ADDRESS are used when they are set; what is missing is embedded.
    """
    from engine.commands.bus_tls import tls_options
    from engine.commands.up import UpOptions, run_up
    from engine.hub.field import FieldOptions

    field = FieldOptions(facilities, sensors, rate, seed, faults)
    settings = given(data_dir=data_dir, web_port=port)
    asked = tls_options(tls, tls_name or (), tls_certificate, tls_key, tls_port)
    run_up(UpOptions(settings, simulate, field, ledger, duration_s, as_json, asked))


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

    Fault kinds: gas_alarm, spike, leak, drift, gap, pump_trip, stuck, stiction, step, oscillation, noise, clock_jump.
    """
    from engine.commands.simulate import run_simulate
    from engine.hub.field import FieldOptions
    from engine.hub.simulator import HubOptions

    field = FieldOptions(facilities, sensors, rate, seed, faults, jitter=0 if like_hub else 0.02)
    wait_s = 15.0 if like_hub else 2.0
    options = HubOptions(field, batch, like_hub, wait_s, wait_s, duration_s, ledger, truth)
    run_simulate(given(data_dir=data_dir), options, as_json)


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

    run_web(given(data_dir=data_dir, web_host=host, web_port=port, web_processes=processes))


@app.command()
def engine(data_dir: DataDir = None) -> None:
    """Run the engine alone: readers, facility actors, historian (Ray).

    Needs DATABASE_URL and SERVICEBUS_CONNECTION_STRING, or the parts of a running `gasinsight up`.
    """
    from engine.commands.alone import run_engine

    run_engine(given(data_dir=data_dir))


@app.command()
def bus(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Loopback port to listen on.")] = None,
    tls: Tls = False,
    tls_name: TlsName = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_port: TlsPort = None,
) -> None:
    """Run the local bus alone: a durable Service Bus for one machine.

    Its connection string is found by the other commands with the same --data-dir.
    """
    from engine.commands.alone import run_bus
    from engine.commands.bus_tls import tls_options

    asked = tls_options(tls, tls_name or (), tls_certificate, tls_key, tls_port)
    run_bus(given(data_dir=data_dir, bus_port=port), asked)


@database.command("upgrade")
def database_upgrade(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema (the same as `alembic upgrade head`)."""
    from engine.commands.database import run_upgrade

    run_upgrade(given(data_dir=data_dir))


@database.command("current")
def database_current(data_dir: DataDir = None) -> None:
    """Show the schema's revision, and the one this program wants."""
    from engine.commands.database import run_current

    run_current(given(data_dir=data_dir))


@database.command("check")
def database_check(data_dir: DataDir = None) -> None:
    """Compare the database with the schema this program wants; exit status 1 when they differ."""
    from engine.commands.database import run_check

    sys.exit(run_check(given(data_dir=data_dir)))


@database.command("maintain")
def database_maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is due, and change nothing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make the coming days' partitions, move strays into theirs, remove what is older than the retention.

    The engine does the same by itself every hour; beside each other they take turns. Ends with how large the days are.

    [dim]gasinsight db maintain --dry-run[/]
    """
    from engine.commands.maintain import run_maintain

    run_maintain(given(data_dir=data_dir), dry_run, as_json)


@keys.command("new")
def keys_new(file: Annotated[Path, typer.Argument(help="The PEM file to write; it must not exist yet.")]) -> None:
    """Make an Ed25519 key for SIGNING_KEYS, readable by its owner only.

    [dim]gasinsight keys new keys/2026.pem
    ALGORITHM=EdDSA SIGNING_KEYS=keys/2026.pem gasinsight web[/]
    """
    from engine.commands.keys import run_keys_new

    run_keys_new(file)


@database.command("settle")
def database_settle(data_dir: DataDir = None) -> None:
    """After PostgreSQL was set back to an earlier moment by its own means: once, before anything is started on it.

    Nothing that knew the time after that moment can write, resume or sign in by it. `gasinsight restore` does this
    itself.
    """
    from engine.commands.backup import run_settle

    run_settle(given(data_dir=data_dir))


@app.command()
def watch(
    url: Url = None,
    user: User = None,
    password: Password = None,
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
    from engine.commands.login import LoginOptions
    from engine.commands.watch import WatchOptions, run_watch

    options = WatchOptions(LoginOptions(url, user, password), facility, sensors, duration_s, as_json)
    run_watch(given(data_dir=data_dir), options)


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show nodes, readers, facilities, lag and queues of a running installation."""
    from engine.commands.status import run_status

    sys.exit(run_status(given(data_dir=data_dir), as_json))


@app.command()
def drain(
    node: Annotated[str, typer.Argument(help="Node id, its beginning, address or host name; `status` lists them.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let the node carry facilities again.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Move everything off a node of the Ray cluster before it goes; ends when that is safe.

    The request stands until it is undone, also when this command is interrupted.
    """
    from engine.commands.drain import run_drain

    sys.exit(run_drain(given(data_dir=data_dir), node, undo=undo, as_json=as_json))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the database into a file, as one consistent picture, while everything works.

    [dim]gasinsight backup gas-$(date +%F).dump[/]
    """
    from engine.commands.backup import run_backup

    run_backup(given(data_dir=data_dir), file, as_json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `gasinsight backup` wrote.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a database from a backup: in the empty one of DATABASE_URL, or the embedded one of a new data folder.

    [dim]gasinsight restore gas-2026-11-23.dump --data-dir restored
    DATABASE_URL=postgresql://…/gasinsight_new gasinsight restore gas-2026-11-23.dump[/]
    """
    from engine.commands.backup import run_restore

    run_restore(given(data_dir=data_dir), file, as_json)


@app.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check this machine and installation; say what is wrong and what to do. Exit status 1 when something is."""
    from engine.commands.doctor import run_doctor

    sys.exit(run_doctor(given(data_dir=data_dir), as_json))


@app.command()
def settings(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The table of all settings, for documents.")] = False,
) -> None:
    """Show the settings in force and where each comes from; secrets are masked."""
    from engine.commands.settings import run_settings

    run_settings(given(data_dir=data_dir), as_json, as_markdown)


def main() -> NoReturn:
    """Entry point of the `gasinsight` script."""
    try:
        app()
    except SettingsError as error:
        _say(error)
        sys.exit(BAD_SETTINGS_STATUS)
    except GasInSightError as error:
        _say(error)
        sys.exit(1)
    finally:
        _flush()
    sys.exit(0)


def _flush() -> None:
    """Who read what we print may have left before they read anything."""
    if sys.stdout is None:  # closed by a command that was not able to write
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from engine.commands.steps import forget_reader

        forget_reader()


def _say(error: GasInSightError) -> None:
    sys.stderr.write(escaped_lines(f"gasinsight: {error}\n"))


if __name__ == "__main__":
    main()
