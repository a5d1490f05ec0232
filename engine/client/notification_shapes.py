"""Channels, subscriptions and what was sent, as frozen values; see shapes.py. What a server answers holds no secret."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from engine.client.shapes import Shape, Time


class Given(Shape):
    """What goes to the server. A name that is misspelled is an error: left out it would mean something else."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Webhook(Given):
    """`secret` signs each message; the address is kept as secret as it."""

    url: str = Field(repr=False)
    secret: str = Field(repr=False)


class Mail(Given):
    """`security`: starttls, tls or none; `user` and `password` together, or neither. One mail for each of `to`."""

    host: str
    port: int = 587
    security: str = "starttls"
    user: str | None = None
    password: str | None = Field(None, repr=False)
    sender: str
    to: list[str]


class Teams(Given):
    """A channel of Microsoft Teams, by the address of its workflow."""

    url: str = Field(repr=False)


class NewChannel(Given):
    """One of webhook, mail and teams. `acknowledge`: messages hold a link that acknowledges."""

    name: str
    enabled: bool = True
    acknowledge: bool = False
    webhook: Webhook | None = None
    mail: Mail | None = None
    teams: Teams | None = None


class Channel(Shape):
    """`kind`: webhook, mail or teams; `host`: whom it goes to. `port`, `security`, `user`, `sender`, `to`: of mail."""

    id: int
    name: str
    kind: str
    enabled: bool
    acknowledge: bool
    host: str
    port: int | None
    security: str | None
    user: str | None
    sender: str | None
    to: list[str]
    created_at: Time


class NewSubscription(Given):
    """Which alarms a channel is told of, and when; empty lists: all.

    `least_priority`: low, medium, high or critical. `returned`: the end of an alarm too. `after_minutes`: only what
    nobody has acknowledged so long. `days`: 1 is Monday. Days and times, as 22:00, are those of `zone`.
    """

    channel_id: int
    name: str
    facility_ids: list[str] = Field(default_factory=list)
    alarm_rules: list[str] = Field(default_factory=list)
    least_priority: str = "low"
    returned: bool = False
    after_minutes: int = 0
    days: list[int] = Field(default_factory=lambda: [1, 2, 3, 4, 5, 6, 7])
    from_time: str = "00:00"
    to_time: str = "00:00"
    zone: str = "UTC"


class Subscription(NewSubscription):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int
    channel_name: str
    created_at: Time


class Notification(Shape):
    """A message. `state`: waiting, delivered or given_up; `error` is of the last try that failed."""

    id: int
    message_id: str
    channel_id: int
    channel_name: str
    recipient: str
    subject: str
    alarms: int
    state: str
    attempts: int
    made_at: Time
    next_try_at: Time | None
    ended_at: Time | None
    error: str


class NotificationPage(Shape):
    notifications: list[Notification]
    total: int


class TriedNotifications(Shape):
    notifications: list[Notification]
