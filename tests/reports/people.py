"""Verdicts of many people, made by review's own actions: probes, second opinions, rulings, audits of passes."""

import itertools
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Person
from inspection.models import Disposition, GoldenConfiguration, Inspection, Part, Station
from inspection.states import Decision, Outcome, Reason, Source
from review import actions, queries
from review.actions.unmarked import slip_in_probe
from review.models import Case, Probe, ReviewPolicy, Verdict
from review.states import CaseState, ClosedBy, Grade, VerdictWord
from tests import factories
from tests.factories import TESTER

RIGHT = {Grade.GOOD: VerdictWord.PASS, Grade.BAD: VerdictWord.REJECT}
WRONG = {Grade.GOOD: VerdictWord.REJECT, Grade.BAD: VerdictWord.PASS}
_keys, _numbers = itertools.count(1), itertools.count(1)


def set_policy(at: Station, **changes: Any) -> ReviewPolicy:
    return actions.set_policy(line=at.line, actor=TESTER, **changes)


def known_part(at: Station, grade: Grade, *, defect_type: str = "", score: float | None = None) -> Probe:
    """A part whose grade is beyond doubt; the model decides by `score`, rightly if none is given."""
    if score is None:
        score = 0.9 if grade == Grade.BAD else 0.1
    part = factories.decided_part(at, score)
    return actions.add_probe(part=part, grade=grade, defect_type=defect_type, person=None, actor=TESTER)


def slip_in(at: Station, probe: Probe) -> Case:
    """Slip in this very probe: all others of the part type rest meanwhile."""
    others = Probe.objects.filter(retired_at=None).exclude(pk=probe.pk)
    resting = list(others.values_list("pk", flat=True))
    others.update(retired_at=timezone.now())
    factories.decided_part(at, 0.1)  # a part that lends its number
    case = slip_in_probe(line=at.line, policy=queries.policy_of(at.line.pk), actor=TESTER)
    Probe.objects.filter(pk__in=resting).update(retired_at=None)
    assert case is not None
    return case


def judge(
    case: Case,
    by: Person,
    word: VerdictWord,
    *,
    first: VerdictWord | None = None,
    is_committed: bool = True,
    **fields: Any,
) -> Verdict:
    """The person gets just this case, says the word, and it is carried out."""
    Case.objects.filter(deadline_slot=0).update(deadline_slot=1)
    Case.objects.filter(pk=case.pk).update(deadline_slot=0)  # the most urgent of all
    leased = actions.lease(person=by, lines=None)
    assert leased is not None
    assert leased.pk == case.pk
    if first:
        actions.give_first_opinion(case=leased, person=by, token=leased.lease_token, verdict=first)
    given = actions.give_verdict(
        case=leased,
        person=by,
        token=leased.lease_token,
        verdict=word,
        idempotency_key=f"key-{next(_keys)}",
        **fields,
    )
    if is_committed:
        commit(given)
    return given


def commit(given: Verdict) -> None:
    verdict = Verdict.objects.select_related(
        "case__part__line", "case__shown_part__line", "case__probe", "person"
    ).get(pk=given.pk)
    actions.commit_verdict(verdict=verdict, actor=TESTER)


def see_probe(at: Station, probe: Probe, by: Person, *, errs: bool = False, **fields: Any) -> Verdict:
    """The person judges this probe, rightly unless they err."""
    word = (WRONG if errs else RIGHT)[Grade(probe.grade)]
    return judge(slip_in(at, probe), by, word, **fields)


def held_case(at: Station) -> Case:
    part = factories.held_part(at)
    actions.open_cases(actor=TESTER)
    return Case.objects.get(part=part, kind="held")


def judged_by_two(at: Station, first: Person, second: Person, words: tuple[VerdictWord, VerdictWord]) -> Case:
    """A held part that two people judge without seeing each other."""
    case = held_case(at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)
    for by, word in zip((first, second), words, strict=True):
        judge(case, by, word)
    return Case.objects.get(pk=case.pk)


def rule(case: Case, grade: Grade, by: Person | None = None, **fields: Any) -> None:
    tied = Case.objects.select_related("part", "shown_part__line__part_type").get(pk=case.pk)
    assert tied.state == CaseState.TIED
    actions.rule(case=tied, person=by or factories.expert(), grade=grade, note="", **fields)


def open_to_audits(at: Station, *, share: float) -> None:
    """From now on each automatic pass has this chance to be drawn."""
    set_policy(at, audit_share=share)
    draw_audits(at)


def draw_audits(at: Station) -> list[Case]:
    """Give every pass so far its one chance; the audits that are open then."""
    settled = timezone.now() + timedelta(seconds=6)
    policy = queries.policy_of(at.line.pk)
    actions.draw_audits(line=at.line, policy=policy, now=settled, actor=TESTER)
    return list(Case.objects.filter(kind="audit", part__line=at.line, state="waiting").order_by("pk"))


def passed_part(at: Station) -> Part:
    return factories.decided_part(at, 0.1)


# --- many at once: rows as the actions above leave them ---------------------------------------------------
def many_parts(at: Station, count: int, *, score: float = 0.1, decision: str = "GOOD") -> list[Part]:
    """Parts that the model disposed alone, with its inspection."""
    now, golden = timezone.now(), GoldenConfiguration.objects.get(line=at.line, state="active")
    first = next(_numbers)
    parts = Part.objects.bulk_create(
        Part(
            plc_part_id=f"M{first}-{number}", line=at.line, station=at, part_type=at.line.part_type,
            epoch=1_000_000 + first, trigger_seq=number, state="disposed", triggered_at=now,
            captured_at=now, disposed_at=now,
        )
        for number in range(count)
    )  # fmt: skip
    looks = Inspection.objects.bulk_create(
        Inspection(
            part=part, golden=golden, score=score, decision=decision, decided_by="test", finished_at=now
        )
        for part in parts
    )
    is_pass = decision == Decision.GOOD
    Disposition.objects.bulk_create(
        Disposition(
            part=part, outcome=Outcome.PASS if is_pass else Outcome.REJECT, is_final=True,
            source=Source.MODEL, reason=Reason.CLEAR, inspection=look, decided_at=now,
        )
        for part, look in zip(parts, looks, strict=True)
    )  # fmt: skip
    return parts


def many_probe_looks(
    at: Station,
    by: Person,
    grade: Grade,
    words: list[VerdictWord],
    *,
    decision: str | None = None,
    defect_type: str = "",
    **fields: Any,
) -> list[Verdict]:
    """One known part for each word, and the person's verdict on it, carried out; the newest word last."""
    said = decision or ("BAD" if grade == Grade.BAD else "GOOD")
    now = timezone.now()
    known = many_parts(at, len(words), score=0.9 if said == "BAD" else 0.1, decision=said)
    probes = Probe.objects.bulk_create(
        Probe(part=part, grade=grade, defect_type=defect_type, added_at=now) for part in known
    )
    cases = Case.objects.bulk_create(
        Case(kind="probe", probe=probe, part=probe.part, shown_part=shown, **_closed(now))
        for probe, shown in zip(probes, many_parts(at, len(words)), strict=True)
    )
    return many_verdicts(cases, by, words, **fields)


def many_pairs(
    at: Station, first: Person, second: Person, words: list[tuple[VerdictWord, VerdictWord]]
) -> list[Case]:
    """Held parts that two people judged without seeing each other."""
    parts = many_parts(at, len(words), score=0.5, decision="GREY")
    cases = Case.objects.bulk_create(
        Case(kind="held", part=part, shown_part=part, wants_opinions=2, **_closed(timezone.now()))
        for part in parts
    )
    for by, place in ((first, 0), (second, 1)):
        many_verdicts(cases, by, [pair[place] for pair in words])
    return cases


def many_verdicts(cases: list[Case], by: Person, words: list[VerdictWord], **fields: Any) -> list[Verdict]:
    now = timezone.now()
    return Verdict.objects.bulk_create(
        Verdict(
            case=case, person=by, verdict=word, idempotency_key=f"key-{next(_keys)}",
            lease_token="token", given_at=now, commit_at=now, committed_at=now, **fields,
        )
        for case, word in zip(cases, words, strict=True)
    )  # fmt: skip


def _closed(now: datetime) -> dict[str, Any]:
    return {
        "state": CaseState.CLOSED,
        "opened_at": now,
        "deadline_at": now + timedelta(minutes=10),
        "deadline_slot": 0,
        "closed_at": now,
        "closed_by": ClosedBy.VERDICT,
    }
