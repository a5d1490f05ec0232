"""What an import did or would do, in numbers and in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.imports.reasons import SENTENCES, Reason

EXAMPLES_MAX: Final = 5
REMARKS_MAX: Final = 20
"""Different ones: a folder may hold thousands of files."""


@dataclass
class Refused:
    """How many rows, and where some of them stand."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, rows: int, examples: list[str]) -> None:
        self.rows += rows
        self.examples += examples[: EXAMPLES_MAX - len(self.examples)]


@dataclass
class Report:
    """rows          that were read
    refused       of them, by why
    twice         stood in a file before, with the same value
    already_there were stored before, with the same value
    conflicts     have another value than what is stored, or stood before, for their time: the first stays
    stored        are in the database now, or would be
    steps_back    rows of a sensor whose time lies before the row above; they are stored like the others
    """

    rows: int = 0
    twice: int = 0
    already_there: int = 0
    conflicts: int = 0
    stored: int = 0
    facilities_made: int = 0
    sensors_made: int = 0
    steps_back: Refused = field(default_factory=Refused)
    refused: dict[Reason, Refused] = field(default_factory=dict)
    files: int = 0
    files_refused: list[tuple[Path, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def has_refusals(self) -> bool:
        return bool(self.refused or self.files_refused)

    def refuse(self, reason: Reason, rows: int, examples: list[str]) -> None:
        self.refused.setdefault(reason, Refused()).add(rows, examples)

    def remark(self, text: str) -> None:
        """Told once."""
        if text not in self.remarks and len(self.remarks) < REMARKS_MAX:
            self.remarks.append(text)

    def figures(self) -> dict[str, Any]:
        """For programs."""
        return {
            "files": self.files,
            "rows": self.rows,
            "stored": self.stored,
            "already_there": self.already_there,
            "conflicts": self.conflicts,
            "twice": self.twice,
            "steps_back": self.steps_back.rows,
            "facilities_made": self.facilities_made,
            "sensors_made": self.sensors_made,
            "refused": {
                reason.value: {"rows": told.rows, "examples": told.examples} for reason, told in self.refused.items()
            },
            "files_refused": [{"file": str(path), "why": why} for path, why in self.files_refused],
            "remarks": self.remarks,
        }

    def lines(self, *, is_done: bool) -> list[str]:
        """For people; what is none is not told."""
        verb = "stored" if is_done else "to be stored"
        made = "made" if is_done else "to be made"
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        told = [f"{self.rows:,} rows of {files}: {self.stored:,} {verb}"]
        told += [
            f"  {count:>12,} {words}"
            for count, words in (
                (self.facilities_made, f"facilities {made}"),
                (self.sensors_made, f"sensors {made}"),
                (self.already_there, "are there already"),
                (self.twice, "stand twice in a file"),
                (self.conflicts, "have another value than is stored for their time: the first one stays"),
            )
            if count
        ]
        if self.steps_back.rows:
            told.append(f"  {self.steps_back.rows:>12,} go back in time, and are stored in their place")
            told.append(f"               {_listed(self.steps_back)}; of local time over a change of clocks say --zone")
        for reason in Reason:
            if reason in self.refused:
                told.append(f"  {self.refused[reason].rows:>12,} refused: {SENTENCES[reason]}")
                told.append(f"               {_listed(self.refused[reason])}")
        told += [f"  {path}: {why}" for path, why in self.files_refused]
        told += [f"  {remark}" for remark in self.remarks]
        return told


def _listed(refused: Refused) -> str:
    more = ", …" if refused.rows > len(refused.examples) else ""
    return ", ".join(refused.examples) + more
