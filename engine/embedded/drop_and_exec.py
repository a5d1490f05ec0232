"""Becomes another program under another account, tied to the life of the process that started it.

Run as a script in a fresh interpreter (no fork of a threaded parent, no import of the project):
`python -I -S drop_and_exec.py PARENT_PID UID GID PROGRAM ARGUMENT...`. UID -1 keeps the account.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, uid, gid = (int(argument) for argument in sys.argv[1:4])
    command = sys.argv[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    # After the change of account, which clears it. SIGINT is PostgreSQL's fast shutdown: sessions end, data is flushed.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit("the parent has died already")
    os.execv(command[0], command)  # noqa: S606 - the whole purpose of this file


if __name__ == "__main__":
    main()
