"""`python -m tests.hosts.postgres_server ADDRESS NETWORK`: a PostgreSQL of the operator's own, in the foreground.

Listens on the address for the network with the password of `SECRET`; its data are in /var/lib/postgresql. No setting of
ours is in it: what a session needs the session must say.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

from engine.embedded.account import choose_account, run, spawn
from engine.embedded.binaries import find_programs

USER: Final = "gas"
FOLDER: Final = Path("/var/lib/postgresql")
SECRET: Final = Path("/var/lib/secrets/postgres_password")


def main() -> int:
    """Its exit status."""
    address, network = sys.argv[1:]
    account = choose_account(None)
    programs = find_programs(account, Path("/var/lib/programs"), None)
    data = FOLDER / "data"
    if not data.exists():
        FOLDER.mkdir(exist_ok=True)
        password = FOLDER / "password"
        password.write_bytes(SECRET.read_bytes())
        for path in (FOLDER, password):
            os.chown(path, account.uid, account.gid)
        initdb = [str(programs.folder / "initdb"), "-D", str(data), "-U", USER, f"--pwfile={password}"]
        run(account, [*initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"], FOLDER)
        password.unlink()
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} scram-sha-256\n")
    (data / "postmaster.pid").unlink(missing_ok=True)  # of a host that was switched off; nobody else uses the folder
    command = [str(programs.folder / "postgres"), "-D", str(data)]
    command += ["-c", f"listen_addresses={address}", "-c", "unix_socket_directories="]
    server = spawn(account, command, FOLDER, sys.stdout.fileno())
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
