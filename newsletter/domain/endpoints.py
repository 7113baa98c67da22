"""Where a webhook may lead. Whoever names an address makes this machine call it, which may stand where they
themselves cannot: behind the publisher's firewall. So the host's name counts for nothing, and every address
that it stands for is judged before it is called."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from newsletter.domain.special_networks import is_private, is_public

LONGEST_URL = 1000
_PORTS = {"https": 443, "http": 80}
# Below this, what listens on another port is no web server, and may take a request for something else.
_FIRST_FREE_PORT = 1024
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

NO_PRIVATE = "it leads to a private network, which NEWSLETTER_WEBHOOKS_TO_PRIVATE=on would allow"


class EndpointError(ValueError):
    """A webhook cannot lead there. The message says why, in one line."""


@dataclass(frozen=True)
class Endpoint:
    """The parts of a URL that a request is made of. `host` is a name or an address without brackets."""

    secure: bool
    host: str
    port: int
    target: str  # path and query

    @property
    def authority(self) -> str:
        """The header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


def parse_endpoint(url: str, *, to_private: bool) -> Endpoint:
    """Read the URL of a webhook. A host that is an address is judged here; one that is a name is judged by
    `check_address` when it is called, because what it stands for may be another by then. Raises
    `EndpointError`."""
    if len(url) > LONGEST_URL:
        raise EndpointError(f"an address of at most {LONGEST_URL} characters, please")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise EndpointError("it holds spaces or characters that an address has not: encode them with %")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointError("it is no address such as https://example.org/hook") from error
    brackets = "[" in parts.netloc or "]" in parts.netloc
    if parts.scheme not in _PORTS or not parts.hostname or brackets != (":" in parts.hostname):
        raise EndpointError("it is no address such as https://example.org/hook")
    if parts.scheme == "http" and not to_private:
        raise EndpointError("it must begin with https://")
    if "@" in parts.netloc:
        raise EndpointError("it holds a user or a password: the signature proves who calls")
    if "#" in url:
        raise EndpointError("it holds a #, and what follows that is never sent")
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and port < _FIRST_FREE_PORT:
        raise EndpointError(f"port {port} is none of a web server: 80, 443, or {_FIRST_FREE_PORT} and above")
    secure = parts.scheme == "https"
    host = _host(parts.hostname, secure=secure, to_private=to_private)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(secure=secure, host=host, port=port, target=target)


def _host(host: str, *, secure: bool, to_private: bool) -> str:
    host = host.lower().rstrip(".")
    address = _literal(host)
    if address is not None:
        check_address(address, secure=secure, to_private=to_private)
        return str(address)
    if not _NAME.fullmatch(host):
        raise EndpointError(f"{host[:80]} is no name of a host")
    if host.rpartition(".")[2] == "localhost" and not to_private:
        raise EndpointError(NO_PRIVATE)
    return host


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, in any of the ways to write one that resolvers take, such as 127.1."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host)
        # Digits with their last part hexadecimal or not: what no name of a host can end with.
        if re.fullmatch(r"(?:0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]):
            return IPv4Address(socket.inet_aton(host))
    except (ValueError, OSError) as error:
        raise EndpointError(f"{host[:80]} is no address of a host") from error
    return None


def check_address(address: IPv4Address | IPv6Address, *, secure: bool, to_private: bool) -> None:
    """Raise `EndpointError` unless this address may be called."""
    address = _embedded(address)
    if is_public(address):
        if not secure:
            raise EndpointError("http:// is for private networks only: what is told would be read on its way")
        return
    if not is_private(address):
        raise EndpointError(f"{address} is no address of a host")
    if not to_private:
        raise EndpointError(NO_PRIVATE)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that is called in the end, where an IPv6 address stands for one (RFC 4291 §2.5.5.2,
    RFC 6052). Those of tunnels, 6to4 and Teredo, stand for no host of today."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
