"""Waiting for an inspector: how long, how many inspectors it takes, and when the first deadline is missed."""

import math
from dataclasses import dataclass

MOST_INSPECTORS = 100_000


@dataclass(frozen=True)
class Queue:
    """The steady state of one line of waiting cases before several inspectors.

    load       mean number of inspectors busy (erlang)
    occupancy  share of their time in which inspectors are busy, at most 1
    waiting    chance that a case must wait at all
    mean_wait_s  mean time until an inspector takes a case, over all cases; inf where the load is too high
    """

    arrivals_per_s: float
    handling_s: float
    inspectors: int
    load: float
    occupancy: float
    waiting: float
    mean_wait_s: float

    def taken_within(self, wait_s: float) -> float:
        """Share of the cases that an inspector takes within this time (the service level).

        Source: 1 - C exp(-(c - A) t / h), from Erlang C with c inspectors, load A and handling time h.
        """
        if not wait_s >= 0:
            raise ValueError(f"A waiting time is 0 s or more, not {wait_s} s.")
        if math.isinf(self.mean_wait_s):
            return 0.0
        return 1 - self.waiting * math.exp(-(self.inspectors - self.load) * wait_s / self.handling_s)


def erlang_c(*, arrivals_per_s: float, handling_s: float, inspectors: int) -> Queue:
    """Work out the queue when cases arrive at random, first come first served, and nobody gives up.

    arrivals_per_s  mean arrivals, 0 or more
    handling_s      mean time an inspector needs for a case
    inspectors      how many are active; 0 is a queue that only grows

    Raises ValueError for negative, infinite or NaN figures.
    Source: Erlang (1917); C = B / (1 - rho (1 - B)) with B by the recursion 1/B(n) = 1 + n / (A B(n-1)), which is
    stable for any number of inspectors (Cooper, Introduction to Queueing Theory, 2nd ed. 1981, ch. 3).
    """
    load = _load(arrivals_per_s, handling_s)
    _check_inspectors(inspectors)
    if load == 0:
        waiting, wait = (0.0, 0.0) if inspectors else (1.0, math.inf)
    elif load >= inspectors:
        waiting, wait = 1.0, math.inf
    else:
        waiting = _waiting(load, inspectors, _blocking(load, inspectors))
        wait = waiting * handling_s / (inspectors - load)
    return Queue(
        arrivals_per_s=arrivals_per_s,
        handling_s=handling_s,
        inspectors=inspectors,
        load=load,
        occupancy=min(1.0, load / inspectors) if inspectors else float(load > 0),
        waiting=waiting,
        mean_wait_s=wait,
    )


def inspectors_needed(*, arrivals_per_s: float, handling_s: float, share: float, within_s: float) -> int:
    """The fewest inspectors with whom this share of the cases is taken within this time.

    share     0 < share < 1, e.g. .95
    within_s  seconds a case may wait before an inspector takes it

    Raises ValueError as `erlang_c` does, and above 100,000 inspectors.
    """
    if not 0 < share < 1:
        raise ValueError(f"A share lies between 0 and 1, not at {share}.")
    if not (within_s >= 0 and math.isfinite(within_s)):
        raise ValueError(f"A waiting time is 0 s or more, not {within_s} s.")
    load = _load(arrivals_per_s, handling_s)
    if load >= MOST_INSPECTORS:
        raise ValueError(
            f"A load of {load:.0f} inspectors is no review queue; check arrivals and handling time."
        )
    blocking = 1.0
    for inspectors in range(1, MOST_INSPECTORS + 1):
        blocking = _next_blocking(load, inspectors, blocking)
        if inspectors <= load:
            continue
        late = _waiting(load, inspectors, blocking) * math.exp(-(inspectors - load) * within_s / handling_s)
        if 1 - late >= share:
            return inspectors
    raise ValueError(f"Not even {MOST_INSPECTORS} inspectors are enough; check the figures.")


def time_to_overflow_s(
    *,
    arrivals_per_s: float,
    handling_s: float,
    inspectors: int,
    waiting: int,
    deadline_s: float,
    oldest_wait_s: float = 0.0,
) -> float:
    """Seconds until the first case misses its deadline if everything stays as it is; inf if none ever does.

    waiting        cases that wait and are on no screen
    deadline_s     time a case has from its arrival to its verdict
    oldest_wait_s  how long the oldest of them has waited; the others are taken to have come evenly since then

    A case is late when waiting and handling together take longer than the deadline. Those waiting now are checked
    first, from the oldest on; else the queue grows by arrivals less what the inspectors finish, until a case that
    joins it can no longer be done in time, and that case misses its deadline deadline_s later. Chance is left out:
    just below full load single cases will be late although this says inf; `erlang_c` tells how often.

    Raises ValueError for negative, infinite or NaN figures.
    Source: fluid approximation of the M/G/c queue (Newell, Applications of Queueing Theory, 2nd ed. 1982, ch. 2).
    """
    _load(arrivals_per_s, handling_s)
    _check_inspectors(inspectors)
    if waiting < 0:
        raise ValueError(f"A number of waiting cases is 0 or more, not {waiting}.")
    for name, seconds in (("deadline", deadline_s), ("oldest wait", oldest_wait_s)):
        if not (seconds >= 0 and math.isfinite(seconds)):
            raise ValueError(f"The {name} is 0 s or more, not {seconds} s.")
    per_s = inspectors / handling_s
    if waiting:
        late_in_s = _waiting_case_late_in_s(waiting, per_s, handling_s, deadline_s, oldest_wait_s)
        if math.isfinite(late_in_s):
            return late_in_s
    longest_queue = per_s * (deadline_s - handling_s)
    if arrivals_per_s == 0:
        return math.inf
    if longest_queue < waiting or per_s == 0:
        return deadline_s
    growth_per_s = arrivals_per_s - per_s
    if growth_per_s <= 0:
        return math.inf
    return (longest_queue - waiting) / growth_per_s + deadline_s


def _waiting_case_late_in_s(
    waiting: int, per_s: float, handling_s: float, deadline_s: float, oldest_wait_s: float
) -> float:
    slack_s = deadline_s - oldest_wait_s - handling_s  # of the oldest, which an inspector takes next
    if slack_s < 0 or per_s == 0:
        return max(0.0, deadline_s - oldest_wait_s)
    falling_behind_s = waiting / per_s - oldest_wait_s  # slack lost from the oldest to the newest
    if falling_behind_s <= slack_s:
        return math.inf
    place = slack_s / falling_behind_s  # 0 is the oldest, 1 the newest
    return deadline_s - oldest_wait_s * (1 - place)


def _blocking(load: float, inspectors: int) -> float:
    blocking = 1.0
    for number in range(1, inspectors + 1):
        blocking = _next_blocking(load, number, blocking)
    return blocking


def _next_blocking(load: float, inspectors: int, blocking: float) -> float:
    return load * blocking / (inspectors + load * blocking)


def _waiting(load: float, inspectors: int, blocking: float) -> float:
    return blocking / (1 - load / inspectors * (1 - blocking))


def _load(arrivals_per_s: float, handling_s: float) -> float:
    if not (arrivals_per_s >= 0 and math.isfinite(arrivals_per_s)):
        raise ValueError(f"Arrivals are 0 or more a second, not {arrivals_per_s}.")
    if not (handling_s > 0 and math.isfinite(handling_s)):
        raise ValueError(f"A handling time is above 0 s, not {handling_s} s.")
    return arrivals_per_s * handling_s


def _check_inspectors(inspectors: int) -> None:
    if not 0 <= inspectors <= MOST_INSPECTORS:
        raise ValueError(f"Inspectors are 0 to {MOST_INSPECTORS}, not {inspectors}.")
