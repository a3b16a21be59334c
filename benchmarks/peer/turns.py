"""A side's half of the timing: it waits until it is asked for some looks, and says how long each took."""

import json
import sys
import time
from collections.abc import Callable, Mapping

MARK = "secondlook-turn "  # the libraries print to the same stream


def answer_turns(looks: Mapping[str, Callable[[int], object]]) -> None:
    """Serve lines "KIND FIRST COUNT" until the input ends; a look is called with the number of a picture.

    looks  by kind
    """
    print(f"{MARK}ready", flush=True)
    for line in sys.stdin:
        kind, first, count = line.split()
        took = []
        for number in range(int(first), int(first) + int(count)):
            began = time.perf_counter()
            looks[kind](number)
            took.append((time.perf_counter() - began) * 1000)
        print(f"{MARK}{json.dumps(took)}", flush=True)
