"""How a block of work went: told to the inspector only when it is over, and to the expert over many blocks."""

from functools import cache
from typing import Any

from django.db.models import QuerySet

from metrics.cusum import CusumChart, design_cusum
from review.models import Spell, Verdict
from review.states import CaseKind, Grade, VerdictWord

# An inspector who misjudges one probe in twenty is in order, one in five is to be noticed; a false alarm in 500.
ACCEPTED_ERRORS, WORSE_ERRORS, FALSE_ALARM_RUN = 0.05, 0.2, 500.0


@cache
def watch_chart() -> CusumChart:
    """The chart of an inspector's probes; where it sounds, the inspector is put on watch."""
    return design_cusum(
        accepted_rate=ACCEPTED_ERRORS, worse_rate=WORSE_ERRORS, false_alarm_run=FALSE_ALARM_RUN
    )


def feedback(spell: Spell) -> dict[str, Any]:
    """What an inspector hears at the end of a block: how much, and how many hidden known parts were judged right."""
    given = _verdicts_in(spell)
    words = list(given.filter(case__kind=CaseKind.PROBE).values_list("verdict", "case__probe__grade"))
    judged = [(word, grade) for word, grade in words if word != VerdictWord.CANNOT_TELL]
    missed = sum(word == VerdictWord.PASS and grade == Grade.BAD for word, grade in judged)
    rejected = sum(word == VerdictWord.REJECT and grade == Grade.GOOD for word, grade in judged)
    return {
        "verdicts": given.count(),
        "active_ms": spell.active_ms,
        "probes": {
            "seen": len(words),
            "right": len(judged) - missed - rejected,
            "missed_bad": missed,
            "rejected_good": rejected,
        },
    }


def _verdicts_in(spell: Spell) -> QuerySet[Verdict]:
    given = Verdict.objects.filter(person=spell.person_id, undone_at=None, given_at__gte=spell.started_at)
    return given.filter(given_at__lte=spell.ended_at) if spell.ended_at else given
