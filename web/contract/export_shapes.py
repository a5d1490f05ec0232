"""The JSON of exports, outwards and inwards; beyond the wire contract."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from web.wire.times import TIME_IN_PATTERN, ContractTime, end_moment, first_moment

IDS_MAX = 200
COLUMNS_MAX = 30
KEEP_HOURS_MAX = 168

_TIME_IN = WithJsonSchema({"type": "string", "pattern": TIME_IN_PATTERN})
Start = Annotated[datetime, BeforeValidator(lambda text: first_moment(str(text))), _TIME_IN]
End = Annotated[datetime, BeforeValidator(lambda text: end_moment(str(text))), _TIME_IN]
FileFormat = Literal["parquet", "arrow", "csv", "ndjson"]
DatasetName = Literal["records", "rollups", "alarms", "alerts", "sensors", "facilities", "detection"]
Id = Annotated[str, Field(min_length=1, max_length=1024)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class ExportQuery(BaseModel):
    """From `start_date` on, before `end_date`; times without a zone are UTC, a bare day as an end is meant whole."""

    facility_id: list[Id] = Field(default_factory=list, max_length=IDS_MAX, description="only of these")
    sensor_id: list[Id] = Field(default_factory=list, max_length=IDS_MAX, description="only of these")
    start_date: Start | None = None
    end_date: End | None = None
    columns: str | None = Field(None, description="only these, with commas between them; default: all")
    format: FileFormat = "parquet"


class NewExport(BaseModel):
    """As of an export that is sent at once; no ids mean everything that the caller may see."""

    dataset: DatasetName
    facility_ids: list[Id] = Field(default_factory=list, max_length=IDS_MAX)
    sensor_ids: list[Id] = Field(default_factory=list, max_length=IDS_MAX)
    start_date: Start | None = None
    end_date: End | None = None
    columns: list[Name] = Field(default_factory=list, max_length=COLUMNS_MAX, description="default: all")
    format: FileFormat = "parquet"
    keep_hours: int = Field(24, ge=1, le=KEEP_HOURS_MAX, description="how long the file can be fetched")


class ExportJob(BaseModel):
    """How far it is. Its file never changes: fetched again, it is the same bytes."""

    id: str
    dataset: DatasetName
    format: FileFormat
    facility_ids: list[str] = Field(description="those its rows are of")
    sensor_ids: list[str] = Field(description="those that were asked for")
    state: Literal["running", "done", "failed"]
    rows: int
    rows_expected: int | None = Field(description="about; null where nobody knows")
    bytes: int
    problem: str | None = Field(description="why it failed")
    created_at: ContractTime
    expires_at: ContractTime
