"""Text from elsewhere on a screen: what no name may hold, and how it is shown where it was kept nevertheless.

Control characters move the cursor, colour, hide, or turn round what stands beside them: a name that holds some can
forge the screen of whoever looks at it. Every door asks `control_in`; whatever prints asks `escaped`. Which characters
they are is the core's to say.
"""

from __future__ import annotations

import native


def control_in(text: str) -> str | None:
    """The first control character as it is shown (`\\x1b`); half a surrogate pair is one too."""
    try:
        control = native.first_control(text)
    except UnicodeEncodeError as error:
        control = text[error.start]
    return None if control is None else escaped(control)


def escaped(text: str) -> str:
    """One line: `\\x1b`, `\\x0a` or `\\u202e` in the place of each control character."""
    return native.escape_controls(text.encode("utf-8", "backslashreplace").decode())


def escaped_lines(text: str) -> str:
    """The same of a text of ours that has lines: their ends stay."""
    return "\n".join(map(escaped, text.split("\n")))
