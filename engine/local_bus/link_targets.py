"""What a link can be attached to: a queue, its dead letters, `$cbs`, and the management of a queue or of the bus."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from engine.local_bus.amqp_types import Described, Int
from engine.local_bus.broker import DEAD_LETTER_SUFFIX, MANAGEMENT_SUFFIX, Broker, path_of
from engine.local_bus.errors import DECODE_ERROR, NOT_ALLOWED, NOT_FOUND, UNAUTHORIZED, AmqpError
from engine.local_bus.frames import ROLE_SENDER, Attach
from engine.local_bus.link import Inbound, Incoming, Outbound, QueueOutbound, ReplyOutbound, address_of
from engine.local_bus.management import answer_management
from engine.local_bus.message import BATCH_FORMAT, Request, parse_batch, parse_message, parse_request, reply
from engine.local_bus.queue import Queue
from engine.local_bus.session import Session
from engine.local_bus.settling import as_amqp
from engine.local_bus.store import BusStoreError

CBS = "$cbs"
BUS_MANAGEMENT = "$management"
STATUS_OPERATION = "gasinsight:status"
SESSION_FILTER = "com.microsoft:session-filter"
FILTER_FIELD = 7
# What is under way is bounded by its bytes (connection.py). A batch may be of thousands of messages that are nearly
# empty, and the answer to a request of some bytes may be as large as a message.
MESSAGE_COST_BYTES = 512
REQUEST_COST_BYTES = 256 * 1024


class LinkTargets:
    """One for all connections."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._replying: set[asyncio.Task[None]] = set()

    def open_link(self, session: Session, attach: Attach) -> Inbound | Outbound:
        sending = attach.role == ROLE_SENDER
        address = address_of(attach.target if sending else attach.source)
        if address is None:
            raise AmqpError(NOT_FOUND, "the link names no entity")
        path = path_of(address)
        if path in (CBS, BUS_MANAGEMENT) or path.endswith(MANAGEMENT_SUFFIX):
            if path != CBS:
                session.connection.authorization.check(path)  # JavaScript's tokens name the target itself
            if path not in (CBS, BUS_MANAGEMENT):
                self._broker.find(address)
            if sending:
                return Inbound(session, attach, partial(self._request, session, path))
            return ReplyOutbound(session, attach, path)
        session.connection.authorization.check(path)
        queue = self._broker.find(address)
        if sending:
            if path.endswith(DEAD_LETTER_SUFFIX):
                raise AmqpError(NOT_ALLOWED, "messages cannot be sent to a dead-letter queue")
            return Inbound(session, attach, partial(self._put, session, queue))
        if _asks_for_session(attach.source):
            raise AmqpError(
                NOT_ALLOWED, f"'{queue.name}' does not require sessions: a session receiver cannot be made on it"
            )
        return QueueOutbound(session, attach, queue)

    def _put(self, session: Session, queue: Queue, link: Inbound, incoming: Incoming) -> None:
        """Accepted is said once the message is on disk."""
        connection = session.connection

        def stored(error: BusStoreError | None) -> None:
            connection.let_go(size)
            link.finish(incoming, None if error is None else as_amqp(error))

        try:
            if incoming.message_format == BATCH_FORMAT:
                contents = parse_batch(incoming.payload)
            elif incoming.message_format == 0:
                contents = [parse_message(incoming.payload)]
            else:
                raise AmqpError(DECODE_ERROR, f"message format {incoming.message_format:#x} is not known")
        except AmqpError as error:
            link.finish(incoming, error)
            return
        size = len(incoming.payload) + MESSAGE_COST_BYTES * len(contents)
        connection.hold(size)
        queue.put(contents, stored)

    def _request(self, session: Session, path: str, link: Inbound, incoming: Incoming) -> None:
        try:
            request = parse_request(incoming.payload)
        except AmqpError as error:
            link.finish(incoming, error)
            return
        link.finish(incoming)
        session.connection.hold(REQUEST_COST_BYTES)
        task = asyncio.create_task(self._reply(session, path, request))
        self._replying.add(task)
        task.add_done_callback(self._replying.discard)

    async def _reply(self, session: Session, path: str, request: Request) -> None:
        try:
            properties, body = await self._answer(session, path, request)
            self._send_reply(session, path, request, properties, body)
        except AmqpError as error:
            session.connection.close(error)
        except Exception as error:
            session.connection.fail(error)
        finally:
            session.connection.let_go(REQUEST_COST_BYTES)

    async def _answer(self, session: Session, path: str, request: Request) -> tuple[dict[str, Any], Any]:
        if path == CBS:
            return _put_token(session, request)
        if path == BUS_MANAGEMENT:
            return self._answer_bus(request)
        return await answer_management(self._broker.find(path), request)

    @staticmethod
    def _send_reply(session: Session, path: str, request: Request, properties: dict[str, Any], body: Any) -> None:
        links = [link for link in session.links.values() if isinstance(link, ReplyOutbound) and link.path == path]
        named = [link for link in links if link.address == request.reply_to]
        for link in (named or links)[:1]:
            link.send(reply(request.message_id, request.reply_to, properties, body))

    def _answer_bus(self, request: Request) -> tuple[dict[str, Any], Any]:
        if request.properties.get("operation") != STATUS_OPERATION:
            return {"statusCode": Int(501), "statusDescription": "the bus itself knows gasinsight:status only"}, {}
        body = {name: counts._asdict() for name, counts in self._broker.counts.items()}
        return {"statusCode": Int(200), "statusDescription": "OK"}, body


def _put_token(session: Session, request: Request) -> tuple[dict[str, Any], Any]:
    """Both spellings of the status: `$cbs` has its own, management libraries look for the other."""
    try:
        if request.properties.get("operation") != "put-token" or not isinstance(request.body, str):
            raise AmqpError(UNAUTHORIZED, "$cbs takes put-token with the token as the body")
        session.connection.put_token(request.body)
    except AmqpError as error:
        if error.condition != UNAUTHORIZED:
            raise
        return _cbs_status(401, error.description), None
    return _cbs_status(200, "OK"), None


def _cbs_status(code: int, description: str) -> dict[str, Any]:
    return {
        "status-code": Int(code),
        "status-description": description,
        "statusCode": Int(code),
        "statusDescription": description,
    }


def _asks_for_session(source: Any) -> bool:
    fields = source.value if isinstance(source, Described) and isinstance(source.value, list) else []
    filters = fields[FILTER_FIELD] if len(fields) > FILTER_FIELD else None
    return isinstance(filters, dict) and SESSION_FILTER in filters
