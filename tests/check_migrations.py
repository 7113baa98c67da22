"""`make check`: the migrations make exactly what the models say."""

import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("NEWSLETTER_")}
    environ["NEWSLETTER_DATA_DIR"] = folder
    for command in (["db", "upgrade"], ["db", "check"]):
        done = subprocess.run([sys.executable, "-m", "newsletter", *command], env=environ, check=False)
        if done.returncode:
            sys.exit(done.returncode)
