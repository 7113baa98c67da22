"""Where a webhook may lead, and where never."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.endpoints import EndpointError, check_address, parse_endpoint
from newsletter.domain.special_networks import SPECIAL_NETWORKS

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.127.255.255", "::1", "fc00::1", "fd12:3456::1",
    # The same in other clothes: IPv4 mapped, NAT64.
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::c0a8:101",
]  # fmt: skip
NOBODYS = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "100::1", "2001:db8::1",
    "2001::1", "64:ff9b:1::1", "::ffff:0.0.0.0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "::2", "4000::1", "fd00:ec2::254", "100.100.100.200", "::ffff:100.100.100.200", "168.63.129.16",
    # Tunnels, whatever IPv4 address they carry: compatible, 6to4, Teredo.
    "::127.0.0.1", "::8.8.8.8", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


def _check(address: str, *, secure: bool = True, to_private: bool = False) -> None:
    check_address(ipaddress.ip_address(address), secure=secure, to_private=to_private)


def _is_called(address: str) -> bool:
    try:
        _check(address)
    except EndpointError:
        return False
    return True


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_called_only_where_that_is_allowed(address: str) -> None:
    with pytest.raises(EndpointError, match="WEBHOOKS_TO_PRIVATE"):
        _check(address)
    _check(address, to_private=True)
    _check(address, to_private=True, secure=False)


@pytest.mark.parametrize("address", NOBODYS)
def test_what_is_no_hosts_address_is_never_called(address: str) -> None:
    for to_private in (False, True):
        with pytest.raises(EndpointError):
            _check(address, to_private=to_private)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called_over_https_only(address: str) -> None:
    for to_private in (False, True):
        _check(address, to_private=to_private)
        with pytest.raises(EndpointError, match="http:// is for private networks only"):
            _check(address, to_private=to_private, secure=False)


# By the registries of IANA as they were published on 2025-10-09, each entry that is called by nobody.
REGISTERED = """
0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
240.0.0.0/4 255.255.255.255/32
::1/128 ::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128
2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16
2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10
"""


def test_no_special_purpose_network_is_called() -> None:
    ends = [
        str(end)
        for network in map(ipaddress.ip_network, REGISTERED.split())
        for end in (network[0], network[-1])
    ]
    clothed = [f"{prefix}{end}" for end in ends if ":" not in end for prefix in ("::ffff:", "64:ff9b::")]

    assert [address for address in ends + clothed if _is_called(address)] == []


def test_what_lies_beside_a_special_network_is_called_all_the_same() -> None:
    beside = [
        type(network[0])(number)
        for network in SPECIAL_NETWORKS
        for number in (int(network[0]) - 1, int(network[-1]) + 1)
        if 0 < number < 2**network.max_prefixlen
    ]
    unicast = ipaddress.ip_network("2000::/3")
    hosts = [one for one in beside if one.is_global and (one.version == 4 or one in unicast)]
    hosts = [one for one in hosts if not one.is_multicast]

    assert len(hosts) > 25
    assert [one for one in hosts if not _is_called(str(one))] == []


@given(st.ip_addresses())
def test_no_address_is_called_that_python_does_not_take_for_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    try:
        check_address(address, secure=True, to_private=False)
    except EndpointError:
        return
    assert address.is_global or str(address).startswith(("64:ff9b::", "::ffff:"))
    assert not address.is_multicast


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/",
        "https://0x7f.1/", "https://127.0.0.1./", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/", "https://localhost/", "https://LOCALHOST./", "https://a.localhost/",
        "https://10.1/", "https://192.168.1.1:8443/x",
    ],
)  # fmt: skip
def test_a_private_address_is_known_however_it_is_written(url: str) -> None:
    with pytest.raises(EndpointError, match="WEBHOOKS_TO_PRIVATE"):
        parse_endpoint(url, to_private=False)
    parse_endpoint(url, to_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "//example.org/x", "ftp://example.org/", "https://", "https:///x", "http://example.org/",
        "https://user@example.org/", "https://user:pass@example.org/", "https://@example.org/", "https://example.org/#x",
        "https://example.org:0/", "https://example.org:25/", "https://example.org:22/", "https://example.org:99999/",
        "https://example.org:x/", "https://exa mple.org/", "https://example.org/a b", "https://example.org/\r\nX: y",
        "https://example.org/\0", "https://bücher.example/", "https://exam_ple..org/", "https://-a.org/",
        "https://[::1", "https://[fe80::1%25eth0]/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://example.123/",
        "https://0.0.0.0/", "https://0/", "https://169.254.169.254/latest", "javascript:alert(1)",
        "https://example.org\\@10.0.0.1/", "https://example.org/" + "a" * 1000, "https://" + "a" * 64 + ".org/",
        "https://[v1.x]/", "https://[]/", "https://./", "https://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(EndpointError) as raised:
        parse_endpoint(url, to_private=False)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


@given(
    st.text()
    | st.text().map(lambda text: f"https://{text}")
    | st.text().map(lambda text: f"https://a.org/{text}")
)
def test_no_text_at_all_makes_it_fall_over(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, to_private=True)
    except EndpointError:
        return
    assert endpoint.host
    assert endpoint.target.startswith("/")
    assert endpoint.target.isprintable()


def test_the_parts_of_a_request_are_those_of_the_url() -> None:
    endpoint = parse_endpoint("https://Hooks.Example.ORG./in?key=1&b=%20", to_private=False)

    assert (endpoint.secure, endpoint.host, endpoint.port) == (True, "hooks.example.org", 443)
    assert (endpoint.target, endpoint.authority) == ("/in?key=1&b=%20", "hooks.example.org")
    assert parse_endpoint("https://a.org:8443", to_private=False).authority == "a.org:8443"
    assert (
        parse_endpoint("https://[2606:4700::1111]:8443?x", to_private=False).authority
        == "[2606:4700::1111]:8443"
    )
