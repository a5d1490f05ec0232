"""HTTP/1.1 as hypercorn speaks it, but for what it answers by itself, and for how much of a head is read.

h11 makes an object of each line of a head before anybody can count them.
"""

from __future__ import annotations

from typing import Any

import h11
from hypercorn.protocol.h11 import H11Protocol

from web.edge.connections import error_answer

HEAD_BYTES_MAX = 65_536  # the edge refuses less than this, and says why
HEAD_LINES_MAX = 200  # so also this
HEAD_ENDS = (b"\r\n\r\n", b"\n\n")


class BoundedHeads(h11.Connection):
    """A server's side that refuses a head which is too long, or has too many lines, before it is taken apart."""

    def next_event(self) -> Any:
        """As of h11."""
        if self.their_state is h11.IDLE:
            data, _ = self.trailing_data
            end = min((at for at in map(data.find, HEAD_ENDS) if at >= 0), default=len(data))
            if end > HEAD_BYTES_MAX or data.count(b"\n", 0, end) > HEAD_LINES_MAX:
                raise h11.RemoteProtocolError("the head is too large", error_status_hint=431)
        return super().next_event()


class BoundedProtocol(H11Protocol):
    """One connection's HTTP. What is no request is answered in JSON: no browser could read an answer without a body."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = BoundedHeads(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def _check_protocol(self, event: h11.Request) -> None:
        """An Upgrade to HTTP/2 may be ignored; a request that claims to be HTTP/2 gets its 505 from the edge."""

    async def _send_error_response(self, status_code: int) -> None:
        body, headers = error_answer(status_code)
        headers += self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
