"""How others read readings out of PostgreSQL, each the fastest way that was found for it.

None of them gives an order, a snapshot over several connections, or rows before it has all of them (DuckDB writing a
file excepted). The names of sensors are joined where that is quicker: beside the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl

PACKAGES = ("duckdb", "duckdb_ext", "connectorx", "adbc_driver_postgresql", "pyarrow")
INSTALL = "uv sync --locked --group bench"
STORED = "sensor_no, tracked_at, value, text_value AS text, score, flags"
NAMES = "SELECT sensor_no, facility_id, id AS sensor_id FROM sensors"
COLUMNS = ("facility_id", "sensor_id", "tracked_at", "value", "text", "score", "flags")
ROW_GROUP_ROWS = 50_000

Rival = Callable[[str, datetime, Path | None], int]
"""(address of the database, readings before it, file or None for a frame) -> how many rows."""


def missing() -> list[str]:
    return [name for name in PACKAGES if find_spec(name) is None]


def duckdb(url: str, until: datetime, out: Path | None) -> int:
    """DuckDB's reader, over the partitions one by one.

    It divides a table by its pages among its threads. Of a partitioned table PostgreSQL counts -1 pages, which it takes
    for four thousand million: over `sensor_records` it asks millions of times for pages that are not there, and does
    not end. With `pg_use_ctid_scan` off it ends, but reads over one connection.
    """
    import duckdb
    import duckdb_ext

    (extension,) = Path(next(iter(duckdb_ext.__path__))).rglob("postgres_scanner.duckdb_extension")
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as own:
        own.execute(f"LOAD '{extension}'; SET TimeZone = 'UTC'; ATTACH '{url}' AS site (TYPE postgres, READ_ONLY)")
        found = own.execute(
            "SELECT name FROM postgres_query('site', $$SELECT relname AS name FROM pg_class"
            " WHERE relname ~ '^sensor_records_[0-9]{8}$' AND relkind = 'r' ORDER BY 1$$)"
        ).fetchall()
        last = f"sensor_records_{until - timedelta(microseconds=1):%Y%m%d}"
        days = [name for (name,) in found if name <= last]
        whole = " UNION ALL ".join(f"SELECT * FROM site.{name}" for name in days)
        statement = (
            f"SELECT {', '.join(COLUMNS)} FROM (SELECT {STORED} FROM ({whole}) WHERE tracked_at < '{until}')"
            f" JOIN ({NAMES.replace('FROM ', 'FROM site.')}) USING (sensor_no)"
        )
        if out is None:
            return int(own.execute(statement).pl().height)
        how = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}"
        (written,) = own.execute(f"COPY ({statement}) TO '{out}' ({how})").fetchall()
        return int(written[0])


def adbc(url: str, until: datetime, out: Path | None) -> int:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:

        def read(statement: str) -> pl.DataFrame:
            cursor.execute(statement)
            return pl.DataFrame(cursor.fetch_arrow_table())

        return _named(read(_stored(until)), read(NAMES), out)


def connectorx(url: str, until: datetime, out: Path | None) -> int:
    """Over one connection: with several it asks for the smallest and the largest first, and is slower."""
    import connectorx

    def read(statement: str) -> pl.DataFrame:
        return pl.DataFrame(connectorx.read_sql(url, statement, return_type="polars"))

    return _named(read(_stored(until)), read(NAMES), out)


def _stored(until: datetime) -> str:
    return f"SELECT {STORED} FROM sensor_records WHERE tracked_at < '{until}'"


def _named(readings: pl.DataFrame, names: pl.DataFrame, out: Path | None) -> int:
    found = readings.join(names, on="sensor_no").select(COLUMNS)
    if out is not None:
        found.write_parquet(out, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    return found.height


RIVALS: Mapping[str, Rival] = {"DuckDB": duckdb, "ADBC": adbc, "connectorx": connectorx}
