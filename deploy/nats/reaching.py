"""Tries the way to a hub's NATS server as a link would go it, step by step, to say where it ends.

The server of a member says only that it cannot connect. Between them stand firewalls, proxies and certificates.
"""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

SECONDS = 3.0
PORTS = {"tls": 7422, "wss": 443}


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one address is reached; `trouble` None: as far as the server, which then decides who may link."""

    address: str
    trouble: str | None = None
    remedy: str = ""


def reach(address: str, authority: Path | None) -> Reached:
    """Connection, certificate, and for `wss` the change from HTTP to WebSocket. Signs in as nobody."""
    parts = urlsplit(address)
    port = parts.port or PORTS.get(parts.scheme, 7422)
    try:
        raw = socket.create_connection((parts.hostname or "", port), timeout=SECONDS)
    except OSError as error:
        said = "no answer in time" if isinstance(error, TimeoutError) else str(error.strerror or error)
        return Reached(address, f"no connection: {said}", f"Does the firewall let port {port} out, and is the hub up?")
    with raw:
        raw.settimeout(SECONDS)
        try:
            return _by_websocket(raw, parts, authority) if parts.scheme == "wss" else _straight(raw, parts, authority)
        except ssl.SSLCertVerificationError as error:
            return Reached(
                address,
                f"its certificate is not believed: {error.verify_message}",
                "A proxy may stand between that opens TLS: have the hub's address excepted. Or the hub has another "
                "authority now: ask the secretariat for its card, then `pilotmesh node rehome`.",
            )
        except (OSError, ValueError) as error:
            return Reached(
                address,
                f"breaks off before the server answers: {error or type(error).__name__}",
                "Something between takes the connection and is no NATS server: a proxy, or another service's port.",
            )


def _straight(raw: socket.socket, parts: SplitResult, authority: Path | None) -> Reached:
    greeting = raw.recv(5)
    if not greeting.startswith(b"INFO"):
        raise ValueError("the other side greets with something else")
    while not greeting.endswith(b"\n"):
        some = raw.recv(4096)
        if not some:
            raise ValueError("the greeting breaks off")
        greeting += some
    with _trusting(authority).wrap_socket(raw, server_hostname=parts.hostname):
        return Reached(parts.geturl())


def _by_websocket(raw: socket.socket, parts: SplitResult, authority: Path | None) -> Reached:
    with _trusting(authority).wrap_socket(raw, server_hostname=parts.hostname) as secure:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        secure.sendall(
            f"GET /leafnode HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        line = secure.recv(4096).split(b"\r\n", 1)[0].decode("latin-1")
    if " 101" in line:
        return Reached(parts.geturl())
    return Reached(
        parts.geturl(),
        f"no WebSocket there: it answers {line[:80] or 'nothing'}",
        "A web server or proxy answers there: it must hand /leafnode on as WebSocket to the hub's NATS server.",
    )


def _trusting(authority: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if authority is None else str(authority))
