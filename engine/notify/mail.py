"""A mail to one recipient over SMTP. The standard library's client speaks it, in a thread: it waits, and computes
nothing.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from engine.notify.sending import SEND_S_MAX, Letter, NotSent, is_permitted, permitted_address, trust
from engine.notify.words import text_of
from engine.settings import Network


async def send(letter: Letter, networks: Sequence[Network]) -> None:
    """Raises NotSent."""
    settings = letter.claimed.channel.settings
    await permitted_address(settings["host"], settings["port"], networks)
    await asyncio.to_thread(_deliver, letter, networks)


def written(letter: Letter) -> EmailMessage:
    """The mail; its Message-ID and date are the same at every try, so that who got it twice sees it once."""
    claimed = letter.claimed
    sender = str(claimed.channel.settings["sender"])
    mail = EmailMessage()
    mail["From"] = Address("GasInSight", addr_spec=sender)
    mail["To"] = Address(addr_spec=claimed.recipient)
    mail["Subject"] = claimed.subject
    mail["Message-ID"] = f"<{claimed.message_id}@{sender.rpartition('@')[2]}>"
    mail["Date"] = format_datetime(datetime.fromtimestamp(claimed.made_at_us // 1_000_000, UTC))
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail.set_content(text_of(claimed.subject, claimed.content, letter.link))
    return mail


def _deliver(letter: Letter, networks: Sequence[Network]) -> None:
    settings = letter.claimed.channel.settings
    host, port, security = settings["host"], settings["port"], settings["security"]
    waits_s = SEND_S_MAX / 4
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=waits_s, context=trust())
            if security == "tls"
            else smtplib.SMTP(host, port, timeout=waits_s)
        ) as server:
            _check_peer(server, networks)
            if security == "starttls":
                server.starttls(context=trust())
            if settings.get("user"):
                server.login(settings["user"], letter.secrets.get("password", ""))
            server.send_message(written(letter), settings["sender"], [letter.claimed.recipient])
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotSent(f"{host}: {type(error).__name__}: {_said(error)}") from error


def _check_peer(server: smtplib.SMTP, networks: Sequence[Network]) -> None:
    """The name may lead elsewhere than a moment ago."""
    assert server.sock is not None, "it is connected"
    address = server.sock.getpeername()[0]
    if not is_permitted(address, networks):
        raise NotSent(f"{address} is no public address; NOTIFICATION_NETWORKS says which others may be used")


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {text.decode(errors='replace')}" for code, text in error.recipients.values())[:200]
    return str(error)[:200]
