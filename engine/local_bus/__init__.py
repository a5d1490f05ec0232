"""The local bus: an embedded, durable broker that unmodified Azure Service Bus clients can talk to.

For a first start, for tests and for sites without Azure; limits are Azure's (256 KiB a message, locks of 60 s, 10
deliveries). `LocalBus` runs it inside a process, `python -m engine.local_bus` as one of its own.

Not there: sessions (a session receiver is refused), topics, transactions, duplicate detection; a message's time to live
is handed on but does not end it. Seen to work with azure-servicebus 7.11.4, 7.14.3 and 7.15.0 and with JavaScript's
@azure/service-bus 7.9.5.

`bus_status(port, key)` asks a running one what its queues hold: active, locked, deferred, scheduled and dead-lettered
messages. On the wire that is the operation `gasinsight:status` at the address `$management`.

    server.py       all of it as one      door.py         listening, TLS
    places.py       strangers, clients    connection.py   SASL, open, heartbeats
    tls.py          what TLS it speaks    certificates.py  made, kept, renewed
    session.py      windows, numbers      link.py         credit, transfers
    settling.py     outcomes, answers     unsettled.py    deliveries by number
    link_targets.py what a link leads to  management.py   request and answer
    broker.py       queues by name        queue.py        peek-lock and all that
    store.py        SQLite, group commit  codec.py, frames.py, message.py   AMQP 1.0 on the wire

May import: leaves.
"""

from engine.local_bus.queue import Counts, Rules
from engine.local_bus.server import LocalBus, connection_string
from engine.local_bus.status import bus_status

__all__ = ["Counts", "LocalBus", "Rules", "bus_status", "connection_string"]
