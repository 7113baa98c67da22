#!/usr/bin/env bash
# Three libraries that sign mail by DKIM, each as its manual shows it, with no list of headers named: two of them
# cover List-Unsubscribe and leave out List-Unsubscribe-Post beside it. RFC 8058 §4 asks for a signature over both,
# and receivers show no button for one click where the second is not covered. The signature passes everywhere, so
# nothing tells. dkimpy 1.1.8 and mailauth 4.13.3 leave it out; nodemailer 10.6.1 covers it. None of the three covers
# Auto-Submitted, and dkimpy alone seals From against a second one.
# Seen: "dkimpy 1.1.8: without List-Unsubscribe-Post", "mailauth 4.13.3: without List-Unsubscribe-Post",
# "nodemailer 10.6.1: with List-Unsubscribe-Post".
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dkimpy==1.1.8 dnspython==2.7.0
npm install --silent --no-audit --no-fund nodemailer@10.6.1 mailauth@4.13.3
openssl genrsa -traditional -out key.pem 2048 2>/dev/null
printf '%s\r\n' 'From: Daily News <news@news.example>' 'To: ann@example.org' 'Subject: Hello' \
  'Date: Tue, 01 Dec 2026 04:00:00 +0000' 'Message-ID: <1@news.example>' 'MIME-Version: 1.0' \
  'Content-Type: text/plain; charset=utf-8' 'Auto-Submitted: auto-generated' 'List-Id: <daily.news.example>' \
  'List-Unsubscribe: <https://news.example/u/1>' 'List-Unsubscribe-Post: List-Unsubscribe=One-Click' '' 'Hello' > mail.eml

cat > sign.py <<'PYTHON'
import dkim

with open("mail.eml", "rb") as mail, open("key.pem", "rb") as key:
    print(dkim.sign(mail.read(), b"s1", b"news.example", key.read()).decode())
PYTHON
cat > sign.js <<'JAVASCRIPT'
const fs = require("fs");
const { PassThrough } = require("stream");
const mail = fs.readFileSync("mail.eml"), key = fs.readFileSync("key.pem", "utf8");
if (process.argv[2] === "mailauth") {
  const { dkimSign } = require("mailauth/lib/dkim/sign");
  const data = { signingDomain: "news.example", selector: "s1", privateKey: key };
  dkimSign(mail, { signatureData: [data] }).then((made) => console.log(made.signatures));
} else {
  const DKIM = require("nodemailer/lib/dkim");
  const input = new PassThrough();
  new DKIM({ keys: [{ domainName: "news.example", keySelector: "s1", privateKey: key }] }).sign(input).pipe(process.stdout);
  input.end(mail);
}
JAVASCRIPT

covered() { tr -d '\r\n\t ' | grep -oE ';h=[^;]*' | head -n 1 | cut -d= -f2 | tr '[:upper:]' '[:lower:]'; }
seen=()
tell() {
  case ":$2:" in *:list-unsubscribe:*) ;; *) echo "$1 does not cover List-Unsubscribe: $2"; exit 1 ;; esac
  case ":$2:" in *:auto-submitted:*) echo "$1 covers Auto-Submitted: $2"; exit 1 ;; esac
  case ":$2:" in *:list-unsubscribe-post:*) seen+=("$1: with List-Unsubscribe-Post") ;; *) seen+=("$1: without List-Unsubscribe-Post") ;; esac
}
tell "dkimpy 1.1.8" "$(venv/bin/python sign.py | covered)"
tell "mailauth 4.13.3" "$(node sign.js mailauth | covered)"
tell "nodemailer 10.6.1" "$(node sign.js nodemailer | covered)"
printf '%s\n' "${seen[@]}"
[ "$(printf '%s\n' "${seen[@]}")" = "dkimpy 1.1.8: without List-Unsubscribe-Post
mailauth 4.13.3: without List-Unsubscribe-Post
nodemailer 10.6.1: with List-Unsubscribe-Post" ]
