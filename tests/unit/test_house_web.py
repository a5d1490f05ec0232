"""What handlers may reach for."""

from __future__ import annotations

from tests.house.here import shipped

BEYOND_THE_CALLER = {
    "web.api.acknowledge",  # nobody is signed in; the link says whose message it is
    "web.api.auth",  # who signs in, with the hash of the password
    "web.api.exports",  # writes in the audit log of a GET, whose own transaction only reads
    "web.api.histories",  # which rollups are stale
    "web.api.oidc",  # as exports
}


def test_handlers_ask_the_database_of_their_caller() -> None:
    """Row-level security holds only there; these few ask for what no caller may see."""
    asking = {
        module.name
        for module in shipped().modules.values()
        if module.folder == "web.api" and "services.database" in module.text
    }
    assert asking == BEYOND_THE_CALLER
