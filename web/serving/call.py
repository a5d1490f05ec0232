"""What a handler is given of the request that it answers."""

from __future__ import annotations

from dataclasses import dataclass

from quart import request

from web.audit import Actor
from web.auth.guard import Caller, Person, user_principal
from web.auth.places import Browser
from web.database import BoundDatabase
from web.edge.proxies import client_address
from web.errors import NotAuthenticated, NotPermitted
from web.serving.services import Services


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its caller known and admitted. `facility_id` is the facility that the guard checked, if it did.

    `database` shows and changes no more than the caller may, whatever a statement forgets; it only reads in a GET.
    What must see beyond the caller (who signs in, which rights somebody has) goes to `services.database`.
    """

    services: Services
    known_caller: Caller | None
    database: BoundDatabase
    facility_id: str | None = None
    wants_csv: bool = False

    @property
    def caller(self) -> Caller:
        if self.known_caller is None:
            raise NotAuthenticated("Not authenticated")
        return self.known_caller

    @property
    def person(self) -> Person:
        """The caller of a route that needs a PERSON or an ADMIN."""
        if not isinstance(self.caller, Person):
            raise NotPermitted
        return self.caller

    @property
    def browser(self) -> Browser:
        """What asks."""
        return Browser(client_address(request.scope), request.headers.get("User-Agent", ""))

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names it."""
        admin_id = self.caller.impersonated_by if isinstance(self.caller, Person) else None
        return Actor(
            principal=self.caller.principal,
            name=self.caller.name,
            impersonated_by=None if admin_id is None else user_principal(admin_id),
            address=client_address(request.scope),
        )
