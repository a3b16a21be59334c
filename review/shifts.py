"""How a block of work went: told to the inspector only when it is over, and to the expert over many blocks."""

from typing import Any

from django.db.models import QuerySet

from review.models import Spell, Verdict
from review.states import CaseKind, Grade, VerdictWord


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
