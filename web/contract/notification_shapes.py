"""The JSON of notifications: channels, who is told of what, and what was sent. No secret is ever in an answer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StringConstraints, model_validator

from web.contract.shapes import Email, Paging, Readable
from web.wire.alarms import Priority
from web.wire.times import ContractTime

CHANNELS_MAX = 100
SUBSCRIPTIONS_MAX = 500
RECIPIENTS_MAX = 20
FACILITIES_MAX = 1_000
RULES_MAX = 50
AFTER_MINUTES_MAX = 1_440
SECRET_CHARACTERS_MIN = 16
WAIT_S_MAX = 8
BODY_BYTES_MAX = 262_144
"""So many facilities, whose ids may have 200 characters each."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Readable]
TimeOfDay = Annotated[str, StringConstraints(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def _https(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.username is not None or not url.isascii():
        raise ValueError("should be an https address, without a user in it")
    return url


HttpsAddress = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000, strip_whitespace=True),
    Readable,
    AfterValidator(_https),
    Field(description="where to POST to; kept sealed, for it may hold a token", examples=["https://203.0.113.7/hook"]),
]


class ChannelKind(StrEnum):
    """How people are told."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    TEAMS = "teams"


class Webhook(BaseModel):
    url: HttpsAddress
    secret: Annotated[str, StringConstraints(min_length=SECRET_CHARACTERS_MIN, max_length=200)] = Field(
        description="signs each message, so that the receiver knows whose it is"
    )


class Mail(BaseModel):
    host: Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="`none`: without a login only")
    user: Annotated[str, StringConstraints(max_length=320), Readable] | None = None
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    sender: Email
    to: Annotated[list[Email], Field(min_length=1, max_length=RECIPIENTS_MAX)] = Field(description="one mail for each")

    @model_validator(mode="after")
    def _login_is_whole_and_secret(self) -> Mail:
        if bool(self.user) != bool(self.password):
            raise ValueError("should have both user and password, or neither")
        if self.user and self.security == "none":
            raise ValueError("should not send a password without TLS")
        if len({each.lower() for each in self.to}) < len(self.to):
            raise ValueError("should name each recipient once")
        if not all(address.isascii() for address in (self.sender, *self.to)):
            raise ValueError("should have addresses in ASCII")
        return self


class Teams(BaseModel):
    url: HttpsAddress


class ChannelChanges(BaseModel):
    """What is absent stays. A part that is given replaces that part whole, its secrets too."""

    name: Label | None = None
    enabled: StrictBool | None = Field(None, description="false: nothing is told over it")
    acknowledge: StrictBool | None = Field(None, description="whether messages hold a link that acknowledges")
    webhook: Webhook | None = None
    mail: Mail | None = None
    teams: Teams | None = None

    @property
    def kind(self) -> ChannelKind | None:
        """Of the part that is given."""
        return next((kind for kind in ChannelKind if getattr(self, kind.value) is not None), None)

    @model_validator(mode="after")
    def _one_way(self) -> ChannelChanges:
        if sum(getattr(self, kind.value) is not None for kind in ChannelKind) > 1:
            raise ValueError("should have one of webhook, mail and teams")
        return self


class NewChannel(ChannelChanges):
    """One of webhook, mail and teams."""

    name: Label
    enabled: StrictBool = True
    acknowledge: StrictBool = False

    @model_validator(mode="after")
    def _has_a_way(self) -> NewChannel:
        if self.kind is None:
            raise ValueError("should have one of webhook, mail and teams")
        return self


class Channel(BaseModel):
    """host       whom it goes to: the receiver of a webhook, or the mail server
    port, security, user, sender, to: of mail
    """

    id: int
    name: str
    kind: ChannelKind
    enabled: bool
    acknowledge: bool
    host: str
    port: int | None
    security: str | None
    user: str | None
    sender: str | None
    to: list[str]
    created_at: ContractTime


class NewSubscription(BaseModel):
    """Which alarms a channel is told of, and when; empty lists: all.

    A window that ends before it begins goes over midnight and belongs to the day on which it begins; one that ends when
    it begins is the whole day.
    """

    channel_id: Annotated[int, Field(ge=1, lt=2**31)]
    name: Label
    facility_ids: Annotated[list[str], Field(max_length=FACILITIES_MAX)] = Field(default_factory=list)
    alarm_rules: Annotated[list[Label], Field(max_length=RULES_MAX)] = Field(
        default_factory=list, description="high, stale, …; see docs/alarm-rules.md"
    )
    least_priority: Priority = "low"
    returned: StrictBool = Field(False, description="the end of an alarm, too")
    after_minutes: Annotated[int, Field(strict=True, ge=0, le=AFTER_MINUTES_MAX)] = Field(
        0, description="0: at once; else only what nobody has acknowledged so long after it was told"
    )
    days: Annotated[list[Annotated[int, Field(strict=True, ge=1, le=7)]], Field(min_length=1, max_length=7)] = Field(
        default_factory=lambda: [1, 2, 3, 4, 5, 6, 7], description="of the week; 1 is Monday"
    )
    from_time: TimeOfDay = "00:00"
    to_time: TimeOfDay = "00:00"
    zone: Annotated[str, StringConstraints(min_length=1, max_length=100), Readable] = Field(
        "UTC", description="whose days and times these are, as Europe/Berlin"
    )

    @model_validator(mode="after")
    def _each_day_is_named_once(self) -> NewSubscription:
        if len(set(self.days)) < len(self.days):
            raise ValueError("should name each day once")
        if self.after_minutes and self.returned:
            raise ValueError("should not have both: what is over is not escalated")
        return self


class Subscription(NewSubscription):
    id: int
    channel_name: str
    created_at: ContractTime


class NotificationQuery(Paging):
    channel_id: int | None = Field(None, ge=1, lt=2**31)
    notification_state: Literal["waiting", "delivered", "given_up"] | None = None


class Notification(BaseModel):
    """message_id   in the message itself: `Message-ID`, `GasInSight-Message`
    error        of the last try that failed
    """

    id: int
    message_id: str
    channel_id: int
    channel_name: str
    recipient: str = Field(description="of mail; empty where the channel itself is told")
    subject: str
    alarms: int
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    made_at: ContractTime
    next_try_at: ContractTime | None = Field(description="while it waits")
    ended_at: ContractTime | None
    error: str


class NotificationPage(BaseModel):
    notifications: list[Notification]
    total: int


class Notifications(BaseModel):
    notifications: list[Notification]


class NotificationTest(BaseModel):
    wait_s: Annotated[float, Field(strict=True, ge=0, le=WAIT_S_MAX)] = Field(
        5, description="how long to wait for what becomes of it"
    )


class AcknowledgeQuery(BaseModel):
    token: str = Field(min_length=1, max_length=200)


class Acknowledgement(BaseModel):
    token: str = Field(min_length=1, max_length=200)
    event_id: int = Field(ge=1, lt=2**63, description="of the alarm in the message")
