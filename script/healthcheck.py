"""Asks this container's own web server whether it is ready; exit code 0 only if it is."""

import os
import sys
import urllib.error
import urllib.request

# The server answers only to the plant's own names.
HOST = os.environ["ALLOWED_HOSTS"].split(",")[0].strip().removeprefix(".")

request = urllib.request.Request("http://127.0.0.1:8000/health/ready", headers={"Host": HOST})
try:
    with urllib.request.urlopen(request, timeout=4) as answer:
        sys.exit(answer.status != 200)
except (urllib.error.URLError, OSError) as problem:
    sys.exit(f"not ready: {problem}")
