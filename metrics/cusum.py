"""Notice from probe to probe that an inspector is getting worse: a one-sided Bernoulli CUSUM.

It counts in whole steps: an error adds `climb` steps, a right verdict takes one away, never below 0, and from
`limit` steps on the alarm sounds and the count starts again. Run lengths are therefore exact, not simulated.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

MAX_CLIMB = 500  # errors rarer than about one in 500 would take thousands of probes to notice
MAX_LIMIT = 10_000


@dataclass(frozen=True)
class CusumChart:
    """A chart ready to run.

    accepted_rate, worse_rate  error rate that is in order; error rate that is to be noticed (from 0 to 1)
    climb        steps an error adds
    limit        steps at which the alarm sounds
    false_alarm_run  probes until a false alarm, on average, while the rate is the accepted one
    detection_run    probes until the alarm, on average, from the moment the rate is the worse one, starting at 0
    """

    accepted_rate: float
    worse_rate: float
    climb: int
    limit: int
    false_alarm_run: float
    detection_run: float


@dataclass(frozen=True)
class CusumPath:
    """The steps after each probe, before an alarm sets them back, and the probes (from 0) that raised the alarm."""

    steps: tuple[int, ...]
    alarms: tuple[int, ...]
    now: int


def design_cusum(*, accepted_rate: float, worse_rate: float, false_alarm_run: float) -> CusumChart:
    """Find the lowest alarm limit whose false alarms are at least this many probes apart on average.

    accepted_rate    error rate in order, e.g. .02
    worse_rate       error rate to be noticed, above the accepted one
    false_alarm_run  wanted mean number of probes between false alarms

    The reference value of the likelihood ratio is rounded to 1/m, so that the chart moves in whole steps.

    Raises ValueError for rates out of order, and for errors too frequent or too rare for a step of 1/m.
    Source: Reynolds & Stoumbos, Journal of Quality Technology 31 (1999) 87-108: r1, r2 and gamma = r1/r2 = 1/m.
    """
    if not (0 < accepted_rate < worse_rate < 1):
        raise ValueError(f"Rates must be 0 < accepted < worse < 1, not {accepted_rate} and {worse_rate}.")
    if not (math.isfinite(false_alarm_run) and false_alarm_run >= 1):
        raise ValueError(
            f"Wanted is a number of probes from 1 on between false alarms, not {false_alarm_run}."
        )
    r1 = -math.log((1 - worse_rate) / (1 - accepted_rate))
    r2 = math.log(worse_rate * (1 - accepted_rate) / (accepted_rate * (1 - worse_rate)))
    m = round(r2 / r1)
    if m < 2:
        raise ValueError(
            f"Errors of {accepted_rate:.0%} to {worse_rate:.0%} are too frequent for this chart; compare rates instead."
        )
    if m > MAX_CLIMB:
        raise ValueError(
            f"Errors of {accepted_rate} to {worse_rate} are too rare for probes to notice them in time."
        )
    climb = m - 1
    low, high = 1, 2
    while mean_run_length(accepted_rate, climb=climb, limit=high) < false_alarm_run:
        if high >= MAX_LIMIT:
            raise ValueError("No limit keeps false alarms that rare; ask for fewer probes between them.")
        low, high = high, min(2 * high, MAX_LIMIT)
    while low < high:
        middle = (low + high) // 2
        if mean_run_length(accepted_rate, climb=climb, limit=middle) >= false_alarm_run:
            high = middle
        else:
            low = middle + 1
    return CusumChart(
        accepted_rate=accepted_rate,
        worse_rate=worse_rate,
        climb=climb,
        limit=low,
        false_alarm_run=mean_run_length(accepted_rate, climb=climb, limit=low),
        detection_run=mean_run_length(worse_rate, climb=climb, limit=low),
    )


def mean_run_length(rate: float, *, climb: int, limit: int) -> float:
    """How many probes it takes from 0 to the alarm on average, if the error rate is this; inf for a rate of 0.

    Source: Markov chain of Brook & Evans, Biometrika 59 (1972): N(s) = 1 + (1 - p) N(s - 1) + p N(s + climb), with
    N(-1) = N(0) and N = 0 from the limit on; the states are whole steps, so that the result is exact.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"A rate lies in 0..1, not at {rate}.")
    if climb < 1 or limit < 1:
        raise ValueError(f"climb and limit are whole steps from 1 on, not {climb} and {limit}.")
    if rate == 0:
        return math.inf
    upper = min(climb, limit - 1)
    bands = np.zeros((upper + 2, limit))
    bands[upper] = 1
    bands[upper, 0] = rate  # at 0 a right verdict stays at 0
    bands[upper + 1, :-1] = -(1 - rate)
    if climb <= limit - 1:
        bands[0, climb:] = -rate
    return float(linalg.solve_banded((1, upper), bands, np.ones(limit))[0])


def run_cusum(chart: CusumChart, erred: Iterable[bool], *, start: int = 0) -> CusumPath:
    """Run an inspector's probes, oldest first, through the chart.

    start  steps from earlier probes (`now` of their path), 0 for a new inspector
    """
    if not 0 <= start < chart.limit:
        raise ValueError(f"The chart starts between 0 and {chart.limit - 1} steps, not at {start}.")
    steps: list[int] = []
    alarms: list[int] = []
    now = start
    for number, error in enumerate(erred):
        now = now + chart.climb if error else max(0, now - 1)
        steps.append(now)
        if now >= chart.limit:
            alarms.append(number)
            now = 0
    return CusumPath(tuple(steps), tuple(alarms), now)
