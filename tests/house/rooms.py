"""The rooms of the house and what each may import: the one table that tests and docs/ARCHITECTURE.md are held to.

A room is a folder, or a file at the door of `engine` and `web`. `leaves` are the files at those doors that know nothing
but each other; whoever may import leaves may import all of its own package's and all of the engine's.

Whoever reads from the top reads the flow of control: each room imports only what stands below it.
"""

from __future__ import annotations

from typing import Final

PACKAGES: Final = ("web", "engine", "migrations", "native")
DOORS: Final = ("web", "engine")

ROOMS: Final[dict[str, str]] = {
    "web": "nothing",
    "web.main": "web.app web.edge engine.cluster leaves",
    "web.app": (
        "web.api web.serving web.contract web.live web.engine_report web.preparation web.auth web.exports web.edge"
        " web.database"
        " engine.processes leaves"
    ),
    "web.api": (
        "web.exposition web.serving web.proposals web.figures web.contract web.live web.engine_report web.auth"
        " web.history web.exports web.edge web.wire engine.notify engine.replay engine.exports leaves native"
    ),
    "web.exposition": "web.live web.edge leaves",
    "web.serving": (
        "web.contract web.live web.engine_report web.preparation web.auth web.exports web.edge web.database web.wire"
        " leaves"
    ),
    "web.proposals": "web.figures web.contract web.wire native",
    "web.figures": "web.contract web.wire",
    "web.contract": "web.auth web.wire leaves native",
    "web.live": "web.auth web.edge web.database web.wire leaves",
    "web.engine_report": "web.database leaves",
    "web.preparation": "web.auth web.database migrations leaves",
    "web.auth": "web.database web.wire leaves",
    "web.history": "web.database web.wire leaves native",
    "web.exports": "engine.exports leaves",
    "web.edge": "leaves native",
    "web.database": "engine.historian leaves",
    "web.wire": "leaves native",
    "engine": "nothing",
    "engine.__main__": "engine.cluster leaves",
    "engine.commands.cli": "engine.commands engine.hub leaves",
    "engine.commands": (
        "engine.cluster migrations engine.bus engine.historian engine.processes engine.embedded engine.local_bus"
        " engine.hub engine.imports engine.offline engine.exports engine.replay engine.client leaves native"
    ),
    "engine.cluster": (
        "migrations engine.bus engine.replay engine.facility engine.notify engine.historian engine.placement leaves"
    ),
    "migrations": "engine.historian leaves",
    "migrations.versions": "engine.historian",
    "engine.bus": "engine.facility engine.historian engine.placement leaves native",
    "engine.replay": "engine.facility engine.historian leaves native",
    "engine.facility": "engine.historian engine.placement leaves native",
    "engine.notify": "engine.historian leaves",
    "engine.notebook": "engine.exports leaves",
    "engine.imports": "engine.offline engine.exports engine.historian leaves native",
    "engine.exports": "engine.historian leaves native",
    "engine.historian": "engine.placement leaves",
    "engine.placement": "leaves",
    "engine.processes": "leaves",
    "engine.embedded": "leaves",
    "engine.local_bus": "leaves",
    "engine.hub": "leaves",
    "engine.offline": "leaves native",
    "engine.client": "nothing",
    "native": "nothing",
}

# A leaf is for more than one room; what only one needs belongs into it. It knows other leaves, and the ground: a room
# that imports nothing.
LEAVES: Final[dict[str, str]] = {
    "web.audit": "nothing",
    "web.background": "nothing",
    "web.fairness": "web.errors",
    "web.errors": "engine.errors",
    "engine.messages": "engine.clock engine.errors engine.model engine.printable native",
    "engine.diagnosis": "engine.metrics engine.runtime",
    "engine.runtime": "engine.all_or_nothing engine.errors engine.private_files engine.settings",
    "engine.private_files": "engine.errors engine.printable",
    "engine.environments": "engine.faultpoints engine.settings",
    "engine.logs": "engine.printable engine.settings engine.turning_log",
    "engine.retries": "engine.clock",
    "engine.settings": (
        "engine.database_url engine.errors engine.printable engine.retention engine.secrecy engine.turning_log native"
    ),
    "engine.retention": "engine.model",
    "engine.alarm_rules": "native",
    "engine.printable": "native",
    "engine.turning_log": "nothing",
    "engine.database_url": "nothing",
    "engine.all_or_nothing": "nothing",
    "engine.live": "nothing",
    "engine.model": "nothing",
    "engine.metrics": "nothing",
    "engine.secrecy": "nothing",
    "engine.faultpoints": "nothing",
    "engine.peers": "nothing",
    "engine.clock": "nothing",
    "engine.errors": "nothing",
}
