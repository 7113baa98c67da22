"""How mail programs and scanners ask, as servers' logs tell it. A service must not tell them apart: their
names change, and RFC 8058 promises none."""

from __future__ import annotations

from dataclasses import dataclass, field

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
_BOUNDARY = "----=_one_click"
_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
_APPLE = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@dataclass(frozen=True)
class Press:
    """One way of pressing «unsubscribe»: the POST that is sent."""

    body: bytes | None
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False


def multipart(boundary: str = _BOUNDARY) -> Press:
    """The POST that RFC 8058 §3.2 recommends."""
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
        f"--{boundary}--\r\n"
    )
    return Press(body.encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"})


GMAIL = Press(ONE_CLICK, {"Content-Type": FORM, "User-Agent": "Gmail Actions"})
YAHOO = Press(ONE_CLICK, {"Content-Type": f"{FORM};charset=UTF-8", "Accept": "*/*", "User-Agent": _CHROME})
# Outlook, Apple Mail and Thunderbird take the mailto where there is one, else they open the page.
BROWSER = Press(
    b"",
    {
        "Content-Type": FORM,
        "User-Agent": _APPLE,
        "Accept": "text/html,application/xhtml+xml",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "same-origin",
    },
)
CHUNKED = Press(ONE_CLICK, {"Content-Type": FORM}, chunked=True)
BARE = Press(None)

# Bodies that no mail system should send, and some do.
ODD = {
    "no body": BARE,
    "an empty body": Press(b"", {"Content-Type": FORM}),
    "a broken multipart body": Press(b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=y"}),
    "multipart without a boundary": Press(multipart().body, {"Content-Type": "multipart/form-data"}),
    "broken JSON": Press(b'{"List-Unsubscribe"', {"Content-Type": "application/json"}),
    "plain text": Press(ONE_CLICK, {"Content-Type": "text/plain"}),
    "bytes that are no text": Press(b"\x00\xff\xfe%zz&&==", {"Content-Type": FORM}),
    "100 kB": Press(ONE_CLICK + b"&x=" + b"x" * 100_000, {"Content-Type": FORM}),
}

# Who opens links that nobody pressed: to check them, to show a preview, or to be faster.
SCANNERS = {
    "Outlook Safe Links": {"User-Agent": f"{_CHROME} Edg/126.0.0.0"},
    "Barracuda": {"User-Agent": "Barracuda Sentinel (EE)"},
    "Proofpoint": {"User-Agent": _CHROME, "Referer": "https://urldefense.proofpoint.com/"},
    "Gmail's proxy": {
        "User-Agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 "
        "(via ggpht.com GoogleImageProxy)"
    },
    "Yahoo's proxy": {
        "User-Agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
    },
    "Apple Mail": {"User-Agent": _APPLE},
    "Thunderbird": {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"
    },
    "one without a name": {},
}
PREFETCHES = {
    "Sec-Purpose: prefetch": {"Sec-Purpose": "prefetch"},
    "Sec-Purpose: prefetch;prerender": {"Sec-Purpose": "prefetch;prerender"},
    "Purpose: prefetch": {"Purpose": "prefetch"},
    "X-Purpose: preview": {"X-Purpose": "preview"},
    "X-Moz: prefetch": {"X-Moz": "prefetch"},
}
# What proxies and scripts are said to turn a GET into something else with.
OVERRIDES = {
    "X-HTTP-Method-Override": {"X-HTTP-Method-Override": "POST"},
    "X-Method-Override": {"X-Method-Override": "POST"},
}
# What mail programs glue to the end of a link. A raw `>` is no part of a request: browsers escape it.
GLUED = {
    "a full stop": ".",
    "a bracket": ")",
    "an angle bracket": "%3E",
    "an angle bracket, escaped in lower case": "%3e",
    "an equals sign": "=",
    "a soft line break": "=%0D%0A",
    "a space": "%20",
    "a quotation mark": "%22",
    "a comma": ",",
    "a query": "?utm_source=mail",
    "an escaped query": "%3Futm_source=mail",
    "an asterisk": "*",
}
