"""The one place that decides who may do what: for REST and websockets alike.

Each route declares a `Need`; nothing else asks for rights. An Admin may do everything; a User what was permitted:
View reads a facility, Edit also changes names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from web.auth.tokens import Tokens
from web.database import Database
from web.errors import NotAuthenticated, NotFound, NotPermitted
from web.times import to_us

READ_CALLER = "SELECT id, username, email, role, sessions_valid_from FROM users WHERE id = $1"
READ_FACILITY_RIGHT = """
SELECT f.id AS facility_id,
       (SELECT permission_type FROM permissions p WHERE p.facility_id = f.id AND p.user_id = $2) AS permission
  FROM facilities f
 WHERE f.id = $1
"""
READ_SENSOR_RIGHT = """
SELECT s.facility_id,
       (SELECT permission_type FROM permissions p WHERE p.facility_id = s.facility_id AND p.user_id = $2) AS permission
  FROM sensors s
 WHERE s.id = $1
"""


class Need(StrEnum):
    """What a route asks of its caller. VIEW and EDIT are about the facility, or the sensor's facility, it names."""

    NOTHING = "all"
    USER = "user"
    ADMIN = "Admin"
    VIEW = "View"
    EDIT = "Edit"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user whose token was verified and who still exists."""

    user_id: int
    username: str
    email: str
    role: str
    generation: int
    family: str
    impersonated_by: int | None

    @property
    def is_admin(self) -> bool:
        return self.role == "Admin"


class Guard:
    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def caller(self, access_token: str | None) -> Caller:
        """Who calls; NotAuthenticated without a good token, or when the user is gone or signed out everywhere."""
        if access_token is None:
            raise NotAuthenticated("Not authenticated")
        claims = self._tokens.verify(access_token, "access")
        user = await self._database.row(READ_CALLER, claims.user_id)
        if user is None or to_us(user["sessions_valid_from"]) != claims.generation:
            raise NotAuthenticated
        return Caller(
            user_id=user["id"],
            username=user["username"],
            email=user["email"],
            role=user["role"],
            generation=claims.generation,
            family=claims.family,
            impersonated_by=claims.impersonated_by,
        )

    async def require_facility(self, caller: Caller, need: Need, facility_id: str) -> str:
        """The facility's id; NotFound or NotPermitted otherwise."""
        return await self._require(caller, need, READ_FACILITY_RIGHT, facility_id, "Facility")

    async def require_sensor(self, caller: Caller, need: Need, sensor_id: str) -> str:
        """The id of the sensor's facility; NotFound or NotPermitted otherwise."""
        return await self._require(caller, need, READ_SENSOR_RIGHT, sensor_id, "Sensor")

    async def _require(self, caller: Caller, need: Need, sql: str, wanted_id: str, what: str) -> str:
        if "\x00" in wanted_id:  # PostgreSQL has no such text, so nothing can have this id
            raise NotFound(what)
        right = await self._database.row(sql, wanted_id, caller.user_id)
        if right is None:
            raise NotFound(what)
        admitted = {"View", "Edit"} if need is Need.VIEW else {"Edit"}
        if not caller.is_admin and right["permission"] not in admitted:
            raise NotPermitted
        facility_id: str = right["facility_id"]
        return facility_id
