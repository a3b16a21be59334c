"""Cases on a screen, and many people at once."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.models import Person
from inspection.models import Part, Station
from review import actions
from review.models import Case, Verdict
from review.states import VerdictWord
from tests.factories import TESTER, held_part, inspector, station


def waiting_case(at: Station | None = None) -> Case:
    part = held_part(at)
    actions.open_cases(actor=TESTER)
    return Case.objects.select_related("part", "part__line").get(part=part)


def leased_case(by: Person, at: Station | None = None) -> Case:
    waiting_case(at)
    case = actions.lease(person=by, lines=None)
    assert case is not None
    return case


def say(
    case: Case, by: Person, verdict: VerdictWord = VerdictWord.PASS, *, key: str = "key", **fields: Any
) -> Verdict:
    return actions.give_verdict(
        case=case, person=by, token=case.lease_token, verdict=verdict, idempotency_key=key, **fields
    )


def tied_case() -> Case:
    """A case of which an inspector cannot tell, past its commit window."""
    by = inspector()
    case = leased_case(by, station(commit_window_ms=0))
    say(case, by, VerdictWord.CANNOT_TELL)
    sweep()
    return again(case)


def again(case: Case) -> Case:
    """The case as the database has it now."""
    return Case.objects.select_related("part", "part__line").get(pk=case.pk)


def outcomes(part: Part) -> list[str]:
    """Final dispositions of the part; there must never be two."""
    return list(part.dispositions.filter(is_final=True).values_list("outcome", flat=True))


def sweep(*, after_s: float = 0) -> dict[str, int]:
    return actions.sweep(now=timezone.now() + timedelta(seconds=after_s), actor=TESTER)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start together; each answer is a value or the exception."""
    barrier = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers[place] = call()
        except Exception as problem:
            answers[place] = problem
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
