"""The people at the screen: their active time, their breaks, their keys, and the watch on eyes that got worse."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from metrics.cusum import run_cusum
from review.actions.queue import clear_screen, take_turns
from review.models import KeyMap, Probe, Spell, Verdict, Watch
from review.shifts import watch_chart
from review.states import CaseKind, Grade, VerdictWord

PAUSE = timedelta(minutes=5)  # nobody seen for so long has had a break


# --- active time ------------------------------------------------------------------------------------------
@transaction.atomic
def note_activity(*, person: Person, active_ms: int) -> Spell:
    """Add active time to the spell that goes on; more than has passed on the clock is not believed."""
    take_turns(person)
    now = timezone.now()
    spell = Spell.objects.filter(person=person, ended_at=None).first()
    if spell and now - spell.last_seen_at >= PAUSE:
        end_spell(spell, spell.last_seen_at)
        spell = None
    if spell is None:
        return Spell.objects.create(person=person, started_at=now, last_seen_at=now)
    passed_ms = int((now - spell.last_seen_at).total_seconds() * 1000)
    spell.active_ms += min(active_ms, passed_ms)
    spell.last_seen_at = now
    spell.save(update_fields=["active_ms", "last_seen_at"])
    return spell


@transaction.atomic
def take_break(*, person: Person) -> Spell | None:
    """End the spell and give the case on the screen to somebody else; None if no spell was going on."""
    take_turns(person)
    clear_screen(person)
    spell = Spell.objects.filter(person=person, ended_at=None).first()
    if spell:
        end_spell(spell, timezone.now())
    return spell


def end_spell(spell: Spell, at: datetime) -> None:
    spell.ended_at = at
    spell.save(update_fields=["ended_at"])


def remember_keys(*, person: Person, keys: dict[str, str]) -> KeyMap:
    """Keep where this person has moved keys to."""
    moved, _ = KeyMap.objects.update_or_create(person=person, defaults={"keys": keys})
    return moved


# --- watch ------------------------------------------------------------------------------------------------
def notice_probe(*, verdict: Verdict, probe: Probe, actor: Actor) -> None:
    """Run the inspector's probes through the chart; where it sounds, a second pair of eyes joins from now on."""
    erred = _errors_since_watch(verdict.person_id)
    if not erred or not erred[-1]:
        return
    path = run_cusum(watch_chart(), erred)
    if len(erred) - 1 not in path.alarms:
        return
    why = f"{sum(erred)} of the last {len(erred)} probes were misjudged"
    try:
        with transaction.atomic():
            watch = Watch.objects.create(person_id=verdict.person_id, since=timezone.now(), why=why)
            record(watch, "began", actor=actor, details={"person": verdict.person_id, "why": why})
    except IntegrityError:
        return  # watched already


def _errors_since_watch(person_id: int) -> list[bool]:
    """Whether the person misjudged each probe since their last watch was lifted, oldest first."""
    judged = Verdict.objects.filter(
        person=person_id, case__kind=CaseKind.PROBE, undone_at=None, committed_at__isnull=False
    ).exclude(verdict=VerdictWord.CANNOT_TELL)
    last = Watch.objects.filter(person=person_id).order_by("-since").first()
    if last:
        judged = judged.filter(given_at__gt=last.cleared_at or last.since)
    words = judged.order_by("given_at", "id").values_list("verdict", "case__probe__grade")
    return [(word == VerdictWord.PASS) != (grade == Grade.GOOD) for word, grade in words]


@transaction.atomic
def clear_watch(*, watch: Watch, person: Person, note: str) -> Watch:
    """The expert lifts the watch, for instance after a training; the chart begins anew."""
    if Watch.objects.filter(pk=watch.pk, cleared_at=None).update(
        cleared_at=timezone.now(), cleared_by=person, note=note
    ):
        record(watch, "cleared", actor=Actor.person(person), details={"note": note})
    watch.refresh_from_db()
    return watch
