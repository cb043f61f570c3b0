"""A member behind a strict firewall: its only way to the hub is WebSocket, and doctor tells where that way ends."""

from __future__ import annotations

import asyncio
import gc
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.cli.checks.link import links_stand
from deploy.nats.authority import make_authority, make_server_certificate
from deploy.nats.link import Remote, link_of, write_link
from deploy.nats.linking import linked, renew
from deploy.nats.reaching import reach
from deploy.node.embedded import free_port
from tests.node.exchanging import Federation, Side, eventually, federation

# nats-py leaves a socket to the garbage collector when a server goes away while it connects.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("mesh"), mongodb_uri, "wfp", websocket=True) as made:
        yield made
    gc.collect()


def remote_of(side: Side) -> tuple[Remote, Path]:
    """The member's end, and the authority by which it knows the hub."""
    home = side.ledgers.settings.home
    remote = link_of(home).remote
    assert remote is not None
    return remote, home / "nats" / str(remote.authority)


def test_a_member_linked_by_websocket_only_exchanges_facts_both_ways(mesh: Federation) -> None:
    async def story() -> None:
        assert all(url.startswith("wss://") for url in remote_of(mesh["wfp"])[0].urls)
        async with mesh.running():
            ours = await asyncio.to_thread(mesh["wfp"].write, 20)
            theirs = await asyncio.to_thread(mesh.hub.write, 20, "unicc")
            await mesh.level()
            assert mesh.hub.holds(ours)
            assert mesh["wfp"].holds(theirs)
            assert mesh["wfp"].digest() == mesh.hub.digest()
            assert [leaf["name"] for leaf in await linked(mesh.hub.ledgers.settings)] == ["wfp"]

    asyncio.run(story())


def found(side: Side) -> dict[str, str]:
    """What doctor says of the link, by subject, where it is not well."""
    return {one.subject: one.said for one in links_stand(side.ledgers.settings) if one.state != "well"}


@contextmanager
def pointed_at(side: Side, remote: Remote) -> Iterator[None]:
    """The member's link leads elsewhere."""
    settings, before = side.ledgers.settings, link_of(side.ledgers.settings.home)
    write_link(settings.home, replace(before, remote=remote))
    asyncio.run(renew(settings, before))
    try:
        yield
    finally:
        now = link_of(settings.home)
        write_link(settings.home, before)
        asyncio.run(renew(settings, now))


def test_doctor_tells_that_websocket_is_refused_and_where(mesh: Federation) -> None:
    wfp = mesh["wfp"]
    remote, authority = remote_of(wfp)
    asyncio.run(eventually(lambda: not found(wfp), "the link stands and doctor finds nothing"))
    closed = f"wss://127.0.0.1:{free_port()}"
    with pointed_at(wfp, Remote(remote.domain, (closed,), remote.seed, remote.authority)):
        told = found(wfp)
        assert "is down" in told["link"]
        assert told["way to the hub"].startswith(f"{closed}: no connection")
    asyncio.run(eventually(lambda: not found(wfp), "the link stands again"))
    # The server is reached, but does not let this node in (it was suspended).
    asyncio.run(mesh.admit())  # type: ignore[arg-type] # a coroutine, as asyncio.to_thread makes it
    told = found(wfp)
    assert "is reached, and its certificate is right" in told["way to the hub"]
    asyncio.run(mesh.admit("wfp"))  # type: ignore[arg-type] # as above
    assert reach(remote.urls[0], authority).trouble is None


def test_a_proxy_that_opens_tls_and_a_web_server_in_the_way_are_told_apart(mesh: Federation, tmp_path: Path) -> None:
    remote, authority = remote_of(mesh["wfp"])
    theirs, key = make_authority("theirs")
    (tmp_path / "theirs.pem").write_bytes(theirs)
    opened = reach(remote.urls[0], tmp_path / "theirs.pem")
    assert "certificate is not believed" in str(opened.trouble)
    assert "proxy" in opened.remedy
    certificate, certificate_key = make_server_certificate(theirs, key, ["127.0.0.1"])
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "c.key").write_bytes(certificate_key)
    with web_server(tmp_path) as port:
        instead = reach(f"wss://127.0.0.1:{port}", tmp_path / "theirs.pem")
        assert "no WebSocket there: it answers HTTP/1.0 404" in str(instead.trouble)
        other = reach(f"tls://127.0.0.1:{port}", tmp_path / "theirs.pem")
        assert "breaks off" in str(other.trouble)
    plain = json.loads((mesh.hub.ledgers.settings.home / "nats" / "hub.json").read_text())["leaf"][0]
    assert reach(plain, authority).trouble is None


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    """HTTPS that knows no WebSocket."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "c.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
