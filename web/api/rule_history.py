"""Every version of alarm rules and of groups: what held from when to when, who set it, and why."""

from __future__ import annotations

import json
from typing import Any

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.group_shapes import GroupsThen
from web.contract.rule_shapes import RulesThen
from web.contract.shapes import Paging
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("rule-history", "Which alarm rules held when")

# A version holds until the next one of its subject: of the sensor, or of the type in the facility.
_RULES = """
SELECT v.id AS version, v.sensor_id, v.sensor_type, v.settings, v.set_at AS valid_from, v.effective_from, v.set_by,
       v.set_by_name, v.reason,
       coalesce((SELECT n.set_at FROM sensor_rules n
                  WHERE n.sensor_id = v.sensor_id AND n.id > v.id ORDER BY n.id LIMIT 1),
                (SELECT n.set_at FROM sensor_rules n
                  WHERE n.facility_id = v.facility_id AND n.sensor_type = v.sensor_type AND n.id > v.id
                  ORDER BY n.id LIMIT 1)) AS valid_to
  FROM sensor_rules v
"""
_OF_SENSOR = """
 WHERE v.facility_id = $1 AND (v.sensor_id = $2 OR v.sensor_type = (SELECT type FROM sensors WHERE id = $2))
"""
_OF_FACILITY = " WHERE v.facility_id = $1 AND v.sensor_type IS NOT NULL"
_GROUPS = """
SELECT v.id AS version, v.settings, v.set_at AS valid_from, v.set_by, v.set_by_name, v.reason,
       (SELECT n.set_at FROM facility_groups n WHERE n.facility_id = v.facility_id AND n.id > v.id
         ORDER BY n.id LIMIT 1) AS valid_to
  FROM facility_groups v WHERE v.facility_id = $1
"""
_RULES_OF_SENSOR = Source(
    f"{_RULES} {_OF_SENSOR} AND v.id < $3::int8 ORDER BY v.id DESC OFFSET $4 LIMIT $5",
    f"SELECT count(*) FROM sensor_rules v {_OF_SENSOR}",  # noqa: S608 - a part of this file
    ("version",),
    (AFTER_ALL_IDS,),
)
_RULES_OF_FACILITY = Source(
    f"{_RULES} {_OF_FACILITY} AND v.id < $2::int8 ORDER BY v.id DESC OFFSET $3 LIMIT $4",
    f"SELECT count(*) FROM sensor_rules v {_OF_FACILITY}",  # noqa: S608 - a part of this file
    ("version",),
    (AFTER_ALL_IDS,),
)
_GROUPS_OF_FACILITY = Source(
    f"{_GROUPS} AND v.id < $2::int8 ORDER BY v.id DESC OFFSET $3 LIMIT $4",
    "SELECT count(*) FROM facility_groups WHERE facility_id = $1",
    ("version",),
    (AFTER_ALL_IDS,),
)


@noun.get("/rule-history/sensor/{sensor_id}", Need.VIEW, list[RulesThen], statuses=(401, 403, 404, 422), is_list=True)
async def list_rules_of_sensor(call: Call, sensor_id: str, query: Paging) -> Rows:
    """Versions of the sensor's own rules and of those of its type in its facility, the newest first."""
    return await listed(call, _RULES_OF_SENSOR, (call.facility_id, sensor_id), Part.of(call, query), each(_rules))


@noun.get(
    "/rule-history/facility/{facility_id}", Need.VIEW, list[RulesThen], statuses=(401, 403, 404, 422), is_list=True
)
async def list_rules_of_facility(call: Call, facility_id: str, query: Paging) -> Rows:
    """Versions of the rules of types of the facility's sensors, the newest first."""
    return await listed(call, _RULES_OF_FACILITY, (facility_id,), Part.of(call, query), each(_rules))


@noun.get(
    "/group-history/facility/{facility_id}", Need.VIEW, list[GroupsThen], statuses=(401, 403, 404, 422), is_list=True
)
async def list_groups_of_facility(call: Call, facility_id: str, query: Paging) -> Rows:
    """Versions of the facility's groups and suppressions by design, the newest first."""
    return await listed(call, _GROUPS_OF_FACILITY, (facility_id,), Part.of(call, query), each(_groups))


def _rules(row: Any) -> RulesThen:
    return RulesThen(**{**row, "settings": json.loads(row["settings"])})


def _groups(row: Any) -> GroupsThen:
    return GroupsThen(**{**row, "settings": json.loads(row["settings"])})
