#!/usr/bin/env bash
# Ghost writes its members by @tryghost/members-csv, and reads them by the same package. What it writes has an
# apostrophe before text cells that begin as a formula (Papa Parse, `escapeFormulae`), addresses among them; what it
# reads keeps the apostrophe. So a member +ann@example.org, once exported and imported again, is '+ann@example.org,
# which is another, valid address, and =Ann is called '=Ann. A text with a line break in it gets no apostrophe.
# Whoever reads such a file must take the apostrophe off. Seen with @tryghost/members-csv 2.0.7 (papaparse 5.3.2):
# "written: '+ann@example.org '=Ann", "read: '+ann@example.org '=Ann", "two lines: as they were".
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @tryghost/members-csv@2.0.7
cat > try.js <<'JAVASCRIPT'
const fs = require("fs");
const { parse, unparse } = require("@tryghost/members-csv");
const written = unparse([{ email: "+ann@example.org", name: "=Ann", note: "- called\n- wrote", subscribed: true }]);
fs.writeFileSync("members.csv", written);
(async () => {
  const [read] = await parse("members.csv", { email: "email", name: "name", note: "note" });
  console.log("written:", ["'+ann@example.org", "'=Ann"].filter((cell) => written.includes(`"${cell}"`)).join(" "));
  console.log("read:", read.email, read.name);
  console.log("two lines:", written.includes('"- called\n- wrote"') ? "as they were" : "changed");
})();
JAVASCRIPT
node try.js | tee seen
diff seen - <<'SEEN'
written: '+ann@example.org '=Ann
read: '+ann@example.org '=Ann
two lines: as they were
SEEN
