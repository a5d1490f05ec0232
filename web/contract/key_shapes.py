"""The JSON of API keys, outwards and inwards; beyond the wire contract."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    field_validator,
)

from web.contract.shapes import PermissionType, Readable
from web.wire.times import ContractTime

KEY_DAYS_MAX = 365
FACILITIES_MAX = 1000
NEW_KEY_BYTES_MAX = 262_144
"""So many facilities, whose ids may have 200 characters each."""


class KeyGrant(BaseModel):
    facility_id: str
    permission_type: PermissionType


class ApiKey(BaseModel):
    """What is known of a key; its secret is not."""

    id: int
    public_id: str = Field(description="the part of the key between `gik_` and the next `_`")
    name: str
    status: Literal["Active", "Expired", "Revoked"]
    facilities: list[KeyGrant]
    created_at: ContractTime
    created_by: int | None = Field(description="the Admin; null once that user is deleted")
    created_by_name: str
    expires_at: ContractTime
    revoked_at: ContractTime | None
    last_used_at: ContractTime | None = Field(description="to the minute")


class ShownApiKey(ApiKey):
    key: str = Field(description="shown this once")


class ApiKeyPage(BaseModel):
    api_keys: list[ApiKey]
    total: int


class NewApiKey(BaseModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Readable]
    facilities: Annotated[list[KeyGrant], Field(min_length=1, max_length=FACILITIES_MAX)]
    days: Annotated[int, Field(ge=1, le=KEY_DAYS_MAX)] = Field(90, description="until it expires; every key does")

    @field_validator("facilities")
    @classmethod
    def _each_once(cls, grants: list[KeyGrant]) -> list[KeyGrant]:
        if len({grant.facility_id for grant in grants}) < len(grants):
            raise ValueError("should name each facility once")
        return grants
