"""How long engines take, side by side: a neighbour's load falls on all of them alike."""

import time
from collections.abc import Mapping, Sequence

from vision.runtime.engine import Engine, Tiles

WARM_UP_CALLS = 2
FEWEST_ROUNDS = 5


def look_times(
    engines: Mapping[str, Engine], images: Sequence[Sequence[Tiles]], *, rounds: int, most_s: float
) -> dict[str, list[float]]:
    """Milliseconds of each call, by engine: each round runs every engine once, on the round's images.

    images  what one call gets; the rounds take them in turn
    most_s  no further round begins after this time, once FEWEST_ROUNDS are through
    """
    for engine in engines.values():
        for _ in range(WARM_UP_CALLS):
            engine.run(images[0])
    times: dict[str, list[float]] = {name: [] for name in engines}
    until = time.perf_counter() + most_s
    for number in range(rounds):
        if number >= FEWEST_ROUNDS and time.perf_counter() > until:
            break
        given = images[number % len(images)]
        for name, engine in engines.items():
            started_at = time.perf_counter()
            engine.run(given)
            times[name].append((time.perf_counter() - started_at) * 1000)
    return times
