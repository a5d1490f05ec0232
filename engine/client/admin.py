"""What only an Admin may: users, permissions, API keys, retiring and removing, looking through a user's eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.client.asking import Asking, quoted
from engine.client.shapes import (
    ApiKey,
    ApiKeyPage,
    Facility,
    Permission,
    PermissionType,
    Role,
    Sensor,
    Tokens,
    User,
    UserPage,
)

PAGE_ROWS = 500


class Admin:
    """Of one client, as `gis.admin`; NotPermitted for everybody else."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def users(self) -> list[User]:
        """All, by user name."""
        found: list[User] = []
        while True:
            page = await self._client.get(UserPage, "/users", skip=len(found), limit=PAGE_ROWS)
            found += page.users
            if len(page.users) < PAGE_ROWS:
                return found

    async def user(self, user_id: int) -> User:
        return await self._client.get(User, f"/users/{user_id}")

    async def create_user(self, username: str, email: str, password: str, role: Role = "User") -> User:
        """Refused when the user name or the e-mail address is taken."""
        body = {"username": username, "email": email, "password": password, "role": role}
        return await self._client.send(User, "POST", "/users", body)

    async def change_user(
        self,
        user_id: int,
        *,
        username: str | None = None,
        email: str | None = None,
        password: str | None = None,
        role: Role | None = None,
    ) -> User:
        """What is None stays. A new password ends all logins of that user."""
        changes: dict[str, Any] = {"username": username, "email": email, "password": password, "role": role}
        return await self._client.send(
            User, "PUT", f"/users/{user_id}", {name: value for name, value in changes.items() if value is not None}
        )

    async def delete_user(self, user_id: int) -> User:
        """With the user's permissions and logins; Refused for oneself."""
        return await self._client.send(User, "DELETE", f"/users/{user_id}")

    async def retire_facility(self, facility_id: str) -> Facility:
        """Out of use; its history stays. A later setup brings it back. Refused when it is already."""
        return await self._client.send(Facility, "POST", f"/retire/facility/{quoted(facility_id)}")

    async def remove_facility(self, facility_id: str) -> Facility:
        """For good, with its sensors, permissions and all its data."""
        return await self._client.send(Facility, "DELETE", f"/facilities/{quoted(facility_id)}")

    async def retire_sensor(self, sensor_id: str) -> Sensor:
        """Out of use; its history stays. A later activation brings it back. Refused when it is already."""
        return await self._client.send(Sensor, "POST", f"/retire/sensor/{quoted(sensor_id)}")

    async def remove_sensor(self, sensor_id: str) -> Sensor:
        """For good, with all its data."""
        return await self._client.send(Sensor, "DELETE", f"/sensors/{quoted(sensor_id)}")

    async def permissions_of(self, user_id: int) -> list[Permission]:
        return await self._client.rows(Permission, "/permissions", user_id=user_id)

    async def permissions_for(self, facility_id: str) -> list[Permission]:
        return await self._client.rows(Permission, "/permissions", facility_id=facility_id)

    async def grant(self, user_id: int, facility_id: str, permission_type: PermissionType = "View") -> Permission:
        """Replaces the permission that the user has for the facility."""
        body = {"user_id": user_id, "facility_id": facility_id, "permission_type": permission_type}
        return await self._client.send(Permission, "POST", "/permissions", body)

    async def revoke(self, permission_id: int) -> Permission:
        """The user's open streams of that facility end within 5 s."""
        return await self._client.send(Permission, "DELETE", f"/permissions/{permission_id}")

    async def create_api_key(self, name: str, facilities: Mapping[str, PermissionType], *, days: int = 90) -> ApiKey:
        """For a program: `facilities` maps ids to View or Edit. Keep its `key`: it is not told again."""
        grants = [{"facility_id": one, "permission_type": permission} for one, permission in facilities.items()]
        body = {"name": name, "facilities": grants, "days": days}
        return await self._client.send(ApiKey, "POST", "/api-keys", body)

    async def api_keys(self) -> list[ApiKey]:
        """All, by name, with those that have ended."""
        found: list[ApiKey] = []
        while True:
            page = await self._client.get(ApiKeyPage, "/api-keys", skip=len(found), limit=PAGE_ROWS)
            found += page.api_keys
            if len(page.api_keys) < PAGE_ROWS:
                return found

    async def revoke_api_key(self, key_id: int) -> ApiKey:
        """At once and for good."""
        return await self._client.send(ApiKey, "DELETE", f"/api-keys/{key_id}")

    async def impersonate(self, user_id: int) -> Tokens:
        """A login as that user, for `GasInSight(url, tokens=…)`. The audit log names us."""
        return await self._client.send(Tokens, "POST", f"/auth/impersonate/{user_id}")
