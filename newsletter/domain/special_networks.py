"""Networks that hold no host of the public internet: the special-purpose address registries of IANA, with
multicast and what is reserved. Python knows them too, but as they were when it was released."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

# https://www.iana.org/assignments/iana-ipv4-special-registry (2025-10-09) and
# https://www.iana.org/assignments/iana-ipv6-special-registry (2025-10-09). Left out is what stands within
# another of them, and NAT64's 64:ff9b::/96, whose addresses are those of IPv4 hosts. Some of them can be
# reached from everywhere, such as the name servers of AS112: none of these is anybody's web server.
_REGISTRY = (
    "0.0.0.0/8",  # this network: RFC 791 §3.2
    "10.0.0.0/8",  # private use: RFC 1918
    "100.64.0.0/10",  # shared address space: RFC 6598
    "127.0.0.0/8",  # loopback: RFC 1122 §3.2.1.3
    "169.254.0.0/16",  # link local: RFC 3927
    "172.16.0.0/12",  # private use: RFC 1918
    "192.0.0.0/24",  # protocol assignments, anycast and discovery: RFC 6890 §2.1
    "192.0.2.0/24",  # documentation: RFC 5737
    "192.31.196.0/24",  # AS112: RFC 7535
    "192.52.193.0/24",  # automatic multicast tunneling: RFC 7450
    "192.88.99.0/24",  # 6to4 relays, 6a44: RFC 7526, RFC 6751
    "192.168.0.0/16",  # private use: RFC 1918
    "192.175.48.0/24",  # AS112: RFC 7534
    "198.18.0.0/15",  # benchmarking: RFC 2544
    "198.51.100.0/24",  # documentation: RFC 5737
    "203.0.113.0/24",  # documentation: RFC 5737
    "240.0.0.0/4",  # reserved, and broadcast: RFC 1112 §4, RFC 919
    "::/128",  # unspecified: RFC 4291
    "::1/128",  # loopback: RFC 4291
    "::ffff:0:0/96",  # IPv4-mapped: RFC 4291
    "64:ff9b:1::/48",  # translation within a network: RFC 8215
    "100::/64",  # discard only: RFC 6666
    "100:0:0:1::/64",  # dummy prefix: RFC 9780
    "2001::/23",  # protocol assignments, such as Teredo and ORCHID: RFC 2928, RFC 4380, RFC 7343
    "2001:db8::/32",  # documentation: RFC 3849
    "2002::/16",  # 6to4: RFC 3056
    "2620:4f:8000::/48",  # AS112: RFC 7534
    "3fff::/20",  # documentation: RFC 9637
    "5f00::/16",  # segment routing: RFC 9602
    "fc00::/7",  # unique local: RFC 4193
    "fe80::/10",  # link local: RFC 4291
)
_OTHERS = (
    "224.0.0.0/4",  # multicast: RFC 5771
    "ff00::/8",  # multicast: RFC 4291
    "168.63.129.16/32",  # Azure's own host, on a public address that each machine there has for itself
)
SPECIAL_NETWORKS = tuple(map(ip_network, _REGISTRY + _OTHERS))
# All that IANA has given out for hosts so far: https://www.iana.org/assignments/ipv6-address-space
_IPV6_UNICAST = IPv6Network("2000::/3")

_PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)
_PRIVATE_NETWORKS = tuple(map(ip_network, _PRIVATE))
# Where clouds keep the keys of their machines, within what is private otherwise.
_KEYS_OF_CLOUDS = (IPv6Network("fd00:ec2::/32"), IPv4Network("100.100.100.200"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether a host of the public internet may have this address."""
    if isinstance(address, IPv6Address) and address not in _IPV6_UNICAST:
        return False
    return not any(address in network for network in SPECIAL_NETWORKS)


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Whether a host of the publisher's own may have this address: their network's, or this machine's. Never
    what a machine has for itself alone on its link: there clouds keep the keys of their machines."""
    if any(address in network for network in _KEYS_OF_CLOUDS):
        return False
    return any(address in network for network in _PRIVATE_NETWORKS)
