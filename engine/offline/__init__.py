"""The offline twin: recordings through the very core that scores live readings. docs/data-science.md shows how.

`score_frame` scores a polars frame; `gasinsight score` does it with files. Nothing here needs a server.

May import: leaves, native.
"""

from engine.offline.frames import score_frame
from engine.offline.refusals import FrameRefused

__all__ = ["FrameRefused", "score_frame"]
