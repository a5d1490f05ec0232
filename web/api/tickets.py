"""The better way into the websockets: a ticket instead of the access token in the URL."""

from __future__ import annotations

from web.auth.guard import Need
from web.auth.tickets import LIFE_S
from web.contract.declare import Noun
from web.contract.shapes import WebsocketTicket
from web.serving.call import Call

noun = Noun("websockets", "Tickets for the websockets")


@noun.post("/ws/tickets", Need.USER, WebsocketTicket)
async def create_ticket(call: Call) -> WebsocketTicket:
    """Open a websocket with `?ticket=…` instead of `?token=…`: good once, for 30 s, for whoever asked for it."""
    return WebsocketTicket(ticket=await call.services.tickets.issue(call.caller), expires_in=LIFE_S)
