"""Where a webhook may go: to public addresses only, and to the very address that was checked.

Whoever may subscribe could otherwise make the node knock at doors that only the node can reach (server-side request
forgery), also by a name that resolves anew between check and connection (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

RESOLVE_SECONDS = 5.0
_NAT64 = ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
_NOT_OFFERED = tuple(
    ip_network(net)
    for net in (
        *("64:ff9b:1::/48", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "2001::/23"),
        *("3fff::/20", "fec0::/10"),
    )
)
"""Local NAT64, carrier-grade NAT, IPv4 protocol assignments, 6to4 relays, benchmarking, IPv6 protocol assignments (RFC
6890 and its updates), documentation (RFC 9637), site-local (RFC 3879: retired, and inside a site still)."""


class Refused(Exception):  # noqa: N818 - what happened
    """Nothing is sent there; the sentence says why."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, also as IPv4 inside IPv6."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    if any(address.version == net.version and address in net for net in _NOT_OFFERED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


async def address_for(host: str, port: int, *, allow_private: bool) -> Address:
    """The address to connect to. Raises Refused."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Refused(f"{host} was not resolved within {RESOLVE_SECONDS:.0f} s") from error
    except (OSError, UnicodeError) as error:
        raise Refused(f"{host} does not resolve ({error})") from error
    addresses = [ip_address(str(where[0]).split("%", 1)[0]) for _, _, _, _, where in found]
    if not addresses:
        raise Refused(f"{host} resolves to no address")
    hidden = [address for address in addresses if not is_public(address)]
    if hidden and not allow_private:
        raise Refused(f"{host} resolves to {hidden[0]}, which is no public address")
    return addresses[0]
