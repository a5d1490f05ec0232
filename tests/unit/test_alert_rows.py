"""Alerts are spelled without their models; they must be what the models would spell."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic_core import to_json

from web.api.alerts import _alert, _facility_alert
from web.contract.shapes import Alert, AlertWithDetails
from web.wire.times import contract_text

EXPLANATION = {
    "rule": "unusual",
    "score": 4.5,
    "since_us": 1_700_000_000_000_001,
    "band": [1.5, 2.5],
    "views": [{"name": "level", "decades": 4.5, "says": "far above"}],
    "contributors": [{"sensor_id": "s", "share": 0.75}],
}
ROW: dict[str, Any] = {
    "id": 7,
    "alert_type": "Anomaly",
    "message": 'a "message"\n',
    "recorded_at": datetime(2026, 11, 22, 10, 15, 0, 123456, UTC),
    "event_time": datetime(2026, 11, 22, 10, 15, tzinfo=UTC),
    "explanation": json.dumps(EXPLANATION),
    "sensor_id": "s",
    "sensor_name": "a sensor",
    "sensor_status": "Active",
    "sensor_type": "Temperature",
    "installed_at": datetime(2020, 1, 1, tzinfo=UTC),
    "expected_freq": "60s",
    "facility_id": "f",
    "facility_name": "a facility",
    "facility_status": "Active",
    "facility_type": "TankFarm",
    "created_at": datetime(2020, 1, 1, 0, 0, 0, 1, UTC),
}


@pytest.mark.parametrize("explanation", [ROW["explanation"], "{}", "no JSON"])
@pytest.mark.parametrize(("spelled", "model"), [(_alert, AlertWithDetails), (_facility_alert, Alert)])
def test_an_alert_is_what_its_model_would_spell(spelled: Any, model: Any, explanation: str) -> None:
    text = to_json(spelled({**ROW, "explanation": explanation}))
    assert model.model_validate_json(text).model_dump_json().encode() == text
    assert list(json.loads(text)) == list(model.model_fields)
    assert (json.loads(text)["explanation"] is None) == (explanation != ROW["explanation"])


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    east = datetime(2026, 11, 22, 10, 15, 0, 5, timezone(timedelta(hours=2)))
    assert contract_text(east) == "2026-11-22T08:15:00.000005"
    assert contract_text(east.astimezone(timezone(timedelta(0)))) == "2026-11-22T08:15:00.000005"
