"""A process that owns an embedded PostgreSQL until it is killed.

`python -m tests.integration.historian.owner DATA_DIR SHARED_DIR [briefly]` prints one JSON line: URL, the server's
pid, its uid.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from engine.embedded import EmbeddedPostgres

if __name__ == "__main__":
    postgres = EmbeddedPostgres(Path(sys.argv[1]), shared_dir=Path(sys.argv[2]))
    url = postgres.start()
    uid = Path(f"/proc/{postgres.pid}").stat().st_uid
    sys.stdout.write(json.dumps({"url": url, "pid": postgres.pid, "uid": uid}) + "\n")
    sys.stdout.flush()
    if sys.argv[3:] == ["briefly"]:
        postgres.stop()
    else:
        time.sleep(600)
