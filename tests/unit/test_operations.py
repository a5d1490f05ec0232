"""What deploy/ offers beside containers: alerts on metrics that exist, units that start commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from engine.commands.cli.app import app
from engine.metrics import HELP
from engine.settings import Settings
from web.exposition import OWN_HELP

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
RAY = DEPLOY / "systemd/gasinsight-ray.service"
DOCUMENT = (DEPLOY.parent / "docs/operations.md").read_text()


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def settings_of(unit: Path) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    return parser


def test_alerts_ask_for_metrics_that_exist() -> None:
    series = {name + end for name in (*HELP, *OWN_HELP) for end in ("", "_bucket", "_sum", "_count")}
    asked = {name for rule in rules() for name in re.findall(r"\bgasinsight_\w+", rule["expr"])}
    assert len(asked) >= 5
    assert asked <= series


def test_each_alert_says_what_it_means_and_is_in_the_document() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in DOCUMENT


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != RAY], ids=lambda unit: unit.stem)
def test_units_start_commands_and_give_settings_that_exist(unit: Path) -> None:
    service = settings_of(unit)["Service"]
    program, command = service["ExecStart"].split()
    assert program.endswith("/gasinsight")
    group = typer.main.get_command(app)
    assert command in group.commands  # type: ignore[attr-defined]
    names = {name.upper() for name in Settings.model_fields}
    given = {assignment.partition("=")[0] for assignment in service["Environment"].split()}
    assert given <= names
    credentials = re.findall(r"^LoadCredential=(\w+):", unit.read_text(), re.MULTILINE)
    assert credentials
    assert {name.upper() for name in credentials} <= names


def test_the_unit_of_a_ray_node_starts_ray_as_the_document_says() -> None:
    program, *words = settings_of(RAY)["Service"]["ExecStart"].split()
    assert program == "/opt/gasinsight/bin/ray"
    assert f"ray {' '.join(words[:-1])} " in DOCUMENT
    assert words[-1] == "$RAY_START" and "RAY_START=" in DOCUMENT
    assert "ray_token:/etc/gasinsight/secrets/ray_token" in RAY.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    here.write_text(re.sub(r"/opt/gasinsight/bin/\w+", sys.executable, unit.read_text()))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False
    )
    told = [line for line in (checked.stdout + checked.stderr).splitlines() if unit.name in line]
    assert not told
