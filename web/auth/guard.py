"""The one place that decides who may do what: for REST and websockets alike.

Each route declares a `Need`; nothing else asks for rights. An Admin may do everything; a User and an API key what was
permitted: View reads a facility, Edit also changes names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from web.auth.keys import is_key, verify_key
from web.auth.tokens import Claims, Tokens
from web.database import Database
from web.errors import NotAuthenticated, NotFound, NotPermitted
from web.wire.times import to_us

READ_CALLER = """
SELECT id, username, email, role, sessions_valid_from,
       NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.family = $2 AND t.revoked_at IS NOT NULL)
           AND ($3::int IS NULL OR EXISTS (SELECT FROM users a WHERE a.id = $3 AND a.role = 'Admin')) AS may_continue
  FROM users
 WHERE id = $1
"""
READ_FACILITY_RIGHTS = """
SELECT f.id AS facility_id,
       array(SELECT permission_type FROM facility_rights r WHERE r.facility_id = f.id AND r.principal = $2) AS rights
  FROM facilities f
 WHERE f.id = ANY($1::text[])
"""
READ_SENSOR_RIGHTS = """
SELECT s.facility_id,
       array(SELECT permission_type FROM facility_rights r WHERE r.facility_id = s.facility_id AND r.principal = $2)
           AS rights
  FROM sensors s
 WHERE s.id = ANY($1::text[])
"""


class Need(StrEnum):
    """What a route asks of its caller.

    USER admits whoever signed in, API keys too; PERSON is about one's own account, and keys have none; ONESELF admits
    nobody who impersonates. VIEW and EDIT are about the facility, or the sensor's facility, that the request names.
    """

    NOTHING = "all"
    PERSON = "person"
    ONESELF = "oneself"
    USER = "user"
    ADMIN = "Admin"
    VIEW = "View"
    EDIT = "Edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, verified: a Person or a Program. `principal` is the name that rights are granted to.

    generation  of a Person's tokens: a later `sessions_valid_from` ends what was begun with them
    """

    principal: str
    name: str
    generation: int | None = None

    @property
    def is_admin(self) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Caller):
    """A user who still exists, known by a token; `name` is the user name."""

    user_id: int
    email: str
    role: str
    family: str
    impersonated_by: int | None

    @property
    def is_admin(self) -> bool:
        return self.role == "Admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Caller):
    """Whoever holds an API key that lives; `name` is the key's. Never an Admin."""

    key_id: int


def user_principal(user_id: int) -> str:
    """As the view `facility_rights` spells it."""
    return f"user:{user_id}"


def key_principal(key_id: int) -> str:
    """As the view `facility_rights` spells it."""
    return f"key:{key_id}"


class Guard:
    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def caller(self, bearer: str | None, stranger: str) -> Caller:
        """Who calls; NotAuthenticated without a good token or key, or when the user or this login has ended, or the one
        who impersonates is no Admin any more.

        stranger  whose turn it is at the database until it is known who calls: by address, for anybody can write
                  something that looks like a key
        """
        if bearer is None:
            raise NotAuthenticated("Not authenticated")
        if is_key(bearer):
            key = await verify_key(self._database.in_turns_of(stranger), bearer)
            return Program(principal=key_principal(key.key_id), name=key.name, key_id=key.key_id)
        return await self.person(self._tokens.verify(bearer, "access"))

    async def person(self, claims: Claims | Person) -> Person:
        """Of whom verified claims speak, or a Person known from earlier, as they are now."""
        database = self._database.in_turns_of(user_principal(claims.user_id))
        user = await database.row(READ_CALLER, claims.user_id, claims.family, claims.impersonated_by)
        if user is None or to_us(user["sessions_valid_from"]) != claims.generation or not user["may_continue"]:
            raise NotAuthenticated
        return Person(
            principal=user_principal(user["id"]),
            name=user["username"],
            generation=claims.generation,
            user_id=user["id"],
            email=user["email"],
            role=user["role"],
            family=claims.family,
            impersonated_by=claims.impersonated_by,
        )

    async def require_facility(self, caller: Caller, need: Need, facility_id: str) -> str:
        """The facility's id; NotFound or NotPermitted otherwise."""
        (found,) = await self._require(caller, need, READ_FACILITY_RIGHTS, {facility_id}, "Facility")
        return found

    async def require_sensor(self, caller: Caller, need: Need, sensor_id: str) -> str:
        """The id of the sensor's facility; NotFound or NotPermitted otherwise."""
        (found,) = await self._require(caller, need, READ_SENSOR_RIGHTS, {sensor_id}, "Sensor")
        return found

    async def require_facilities(self, caller: Caller, need: Need, facility_ids: set[str]) -> None:
        """Of all of them; NotFound when there is one that does not exist, else NotPermitted."""
        await self._require(caller, need, READ_FACILITY_RIGHTS, facility_ids, "Facility")

    async def require_sensors(self, caller: Caller, need: Need, sensor_ids: set[str]) -> None:
        """Of all of them; NotFound when there is one that does not exist, else NotPermitted."""
        await self._require(caller, need, READ_SENSOR_RIGHTS, sensor_ids, "Sensor")

    async def _require(self, caller: Caller, need: Need, sql: str, wanted_ids: set[str], what: str) -> list[str]:
        """The facilities of what is wanted."""
        if any("\x00" in wanted_id for wanted_id in wanted_ids):  # PostgreSQL has no such text, so nothing has this id
            raise NotFound(what)
        rights = await self._database.in_turns_of(caller.principal).rows(sql, list(wanted_ids), caller.principal)
        if len(rights) < len(wanted_ids):
            raise NotFound(what)
        admitted = {"View", "Edit"} if need is Need.VIEW else {"Edit"}
        if not caller.is_admin and any(admitted.isdisjoint(right["rights"]) for right in rights):
            raise NotPermitted
        return [right["facility_id"] for right in rights]
