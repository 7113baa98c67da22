#!/usr/bin/env bash
# Python's email package (seen in 3.11 to 3.13) reads the fields of a delivery report only where its type is
# message/delivery-status. The same report in its internationalised form, message/global-delivery-status (RFC 6533
# §4.1), comes out as one message: the group about the reporting system is its head, and the groups about the
# recipients, with Action and Status, stay as text in its body. Where that part is in base64 or quoted-printable,
# which RFC 6533 provides for on the way through systems that know 7 bits alone, it is not decoded at all: the head is
# empty, and get_payload(decode=True) is None. flufl.bounce 6.0.0, which looks for the first type alone, finds no
# failure in either. A reader of bounces that trusts them takes a refused internationalised address for a good one.
# Seen: "delivery-status 8bit: groups 2, flufl finds 1"; for global-delivery-status "groups 1, flufl finds 0", in
# 8bit with the second group in the body, in base64 with nothing but the encoded lines.
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check flufl.bounce==6.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import base64
import email
import email.policy

from flufl.bounce import all_failures

FIELDS = """\
Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
"""
REPORT = """\
From: MAILER-DAEMON@mx.example
Subject: Undelivered mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary=b

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/{kind}
Content-Transfer-Encoding: {coding}

{body}
--b--
"""


def read(kind, coding):
    body = FIELDS if coding == "8bit" else base64.encodebytes(FIELDS.encode()).decode()
    raw = REPORT.format(kind=kind, coding=coding, body=body).encode()
    found = []
    for policy in (email.policy.compat32, email.policy.default):
        part = email.message_from_bytes(raw, policy=policy).get_payload()[1]
        heads = [group.keys() for group in part.get_payload()]
        found.append((heads, part.get_payload()[0].get_payload(), part.get_payload(decode=True)))
    _, permanent = all_failures(email.message_from_bytes(raw))
    print(f"{kind} {coding}: groups {len(found[0][0])}, flufl finds {len(permanent)}")
    assert found[0] == found[1], found
    return *found[0], len(permanent)


heads, _, _, failures = read("delivery-status", "8bit")
assert heads == [["Reporting-MTA"], ["Final-Recipient", "Action", "Status"]] and failures == 1

heads, body, _, failures = read("global-delivery-status", "8bit")
assert heads == [["Reporting-MTA"]] and "Action: failed" in body and failures == 0

heads, body, decoded, failures = read("global-delivery-status", "base64")
assert heads == [[]] and "Action" not in body and decoded is None and failures == 0
PYTHON
