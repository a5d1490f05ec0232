"""Embedded PostgreSQL: a real server as a child process, for machines that have none.

May import: leaves.
"""

from engine.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
