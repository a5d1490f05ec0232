"""Names of files in a text, and those of them that are not there."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import PurePosixPath

OF_THE_READER = (".env",)
"""Made by whoever runs it, so that none is there."""


class Files:
    """Paths from the root, and the folders that they are in."""

    def __init__(self, paths: Collection[str]) -> None:
        folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."}
        self._there = {*paths, *folders}
        tops = "|".join(re.escape(each) for each in sorted(folders) if "/" not in each)
        self._named = re.compile(rf"(?<![\w./:@~$<>{{}}-])(?:{tops})/[\w./*-]*\w[\w*]*")

    def missing(self, text: str) -> list[str]:
        """Paths that the text names and that lead nowhere. A number of a decision stands for its file."""
        return [each for each in self._named.findall(text) if not self._is_there(each)]

    def _is_there(self, path: str) -> bool:
        if path in self._there or path.endswith(OF_THE_READER):
            return True
        if re.fullmatch(r"docs/decisions/\d{4}", path):
            path += "-*.md"
        return any(fnmatch(each, path) for each in self._there)
