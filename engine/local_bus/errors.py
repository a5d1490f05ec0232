"""What the local bus answers with instead of a result: an AMQP error condition and a sentence."""

from __future__ import annotations

from engine.errors import BusError

LOCK_LOST = "com.microsoft:message-lock-lost"
NOT_FOUND = "amqp:not-found"
NOT_ALLOWED = "amqp:not-allowed"
UNAUTHORIZED = "amqp:unauthorized-access"
DECODE_ERROR = "amqp:decode-error"
FRAMING_ERROR = "amqp:connection:framing-error"
INTERNAL_ERROR = "amqp:internal-error"
LIMIT_EXCEEDED = "amqp:resource-limit-exceeded"
SERVER_BUSY = "com.microsoft:server-busy"  # clients of Azure try again; after a limit that is exceeded they do not
SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
MESSAGE_NOT_FOUND = "com.microsoft:message-not-found"
ARGUMENT_ERROR = "com.microsoft:argument-error"


class AmqpError(BusError):
    """A refusal that goes to the client: `condition` for its code, `description` for its reader."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(condition, description)
        self.condition = condition
        self.description = description

    def __str__(self) -> str:
        return f"{self.condition}: {self.description}"
