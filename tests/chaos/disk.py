"""A small file system of our own for the stored data, so that a disk can be full without filling anybody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SIZE_BYTES = 6 * 1024**3
SLACK_BYTES = 64 * 1024


class SmallDisk:
    """A tmpfs at `folder`. Without the right to mount it is a plain folder, and `why_not` says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.why_not: str | None = None
        folder.mkdir(mode=0o711)
        if os.geteuid() != 0:
            self.why_not = "mounting a small file system needs root"
            return
        done = _mount("-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=0711", "tmpfs", str(folder))
        if done.returncode != 0:
            self.why_not = f"no file system could be mounted here: {done.stderr.strip()}"

    def fill(self) -> None:
        """From now on hardly anything more can be written."""
        used = shutil.disk_usage(self.folder).used
        self._resize(used + SLACK_BYTES)

    def free(self) -> None:
        """The usual size again."""
        self._resize(SIZE_BYTES)

    def remove(self) -> None:
        """Let the file system go; what was on it is gone then."""
        if self.why_not is None:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def _resize(self, size_bytes: int) -> None:
        done = _mount("-o", f"remount,size={size_bytes}", str(self.folder))
        if done.returncode != 0:
            raise OSError(f"cannot resize {self.folder}: {done.stderr.strip()}")


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
