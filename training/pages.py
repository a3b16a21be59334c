"""What the training and golden pages show: rows turned into words and rates with their n and bound."""

from typing import Any

from audit.models import Event
from inspection.models import GoldenConfiguration
from inspection.queries import REFUSED
from inspection.states import GoldenState
from metrics.rates import Rate
from training.forms import family_label
from training.models import Candidate, Run
from training.states import CandidateState, RunState

OUTCOMES = {RunState.FINISHED: "ok", RunState.FAILED: "fault"}
COMPARED = (
    ("review_rate", "To a person, of all held-out parts"),
    ("underkill", "Underkill: bad parts passed"),
    ("overkill", "Overkill: good parts rejected"),
)


def run_card(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "name": f"Run {run.pk}",
        "family": family_label(run.family),
        "dataset": str(run.dataset_version),
        "state": run.get_state_display(),
        "outcome": OUTCOMES.get(RunState(run.state)),
        "is_going": run.state == RunState.RUNNING,
        "progress": run.progress,
        "message": run.error or run.message,
        "started_at": run.started_at,
        "ended_at": run.finished_at,
        "started_by": run.person.get_username() if run.person else "the set-up",
    }


def candidate_card(candidate: Candidate) -> dict[str, Any]:
    golden = candidate.golden
    return {
        "id": candidate.pk,
        "name": f"Candidate {candidate.pk}",
        "run_id": candidate.run_id,
        "dataset": str(candidate.run.dataset_version),
        "made_at": candidate.made_at,
        "state": candidate.get_state_display(),
        "is_active": golden is not None and golden.state == GoldenState.ACTIVE,
        "can_activate": candidate.state in {CandidateState.PROPOSED, CandidateState.ACCEPTED},
        "why_not": _why_not(candidate),
        "grey_from": candidate.grey_from,
        "grey_to": candidate.grey_to,
        "metrics": candidate.metrics,
        "worse": worse_than_before(candidate.metrics),
        "work": _row(candidate.metrics, "review_rate_imported", ""),
        "rows": [_row(candidate.metrics, name, words) for name, words in COMPARED],
    }


def _why_not(candidate: Candidate) -> str:
    if candidate.state == CandidateState.DECLINED:
        return "Declined."
    if candidate.golden and candidate.golden.state == GoldenState.RETIRED:
        return f"Was active as golden configuration {candidate.golden.number}; roll back on the Golden page."
    return ""


def worse_than_before(metrics: dict[str, Any]) -> list[str]:
    """In words, where the candidate did worse than the active model on the same held-out parts."""
    found = []
    before, after = metrics.get("auroc_before"), metrics.get("auroc_after")
    if before is not None and after is not None and after < before:
        found.append(f"it separates good from bad less well (AUROC {before:.3f} to {after:.3f})")
    for name, words in (("underkill", "passes more bad parts"), ("overkill", "rejects more good parts")):
        old, new = rate(metrics.get(f"{name}_before")), rate(metrics.get(f"{name}_after"))
        if old["share"] is not None and new["share"] is not None and new["share"] > old["share"]:
            found.append(f"it {words} ({old['k']} to {new['k']} of {new['n']})")
    return found


def _row(metrics: dict[str, Any], name: str, words: str) -> dict[str, Any]:
    return {
        "words": words,
        "before": rate(metrics.get(f"{name}_before")),
        "after": rate(metrics.get(f"{name}_after")),
    }


def rate(counted: dict[str, int] | None) -> dict[str, Any]:
    """Counts as {share, percent, k, n, bounds}; an unknown rate has no share and no percent."""
    if not counted or not counted["n"]:
        return {"share": None, "percent": None, "k": 0, "n": 0, "bounds": ""}
    known = Rate.of(counted["k"], counted["n"])
    bounds = f"95\N{NO-BREAK SPACE}%: {known.lower * 100:.1f} to {known.upper * 100:.1f}\N{NO-BREAK SPACE}%"
    return {
        "share": known.value,
        "percent": f"{known.value * 100:.1f}",
        "k": known.k,
        "n": known.n,
        "bounds": bounds,
    }


def golden_card(golden: GoldenConfiguration) -> dict[str, Any]:
    return {
        "id": golden.pk,
        "name": f"Golden configuration {golden.number}",
        "line": golden.line.name,
        "grey_from": golden.grey_from,
        "grey_to": golden.grey_to,
        "model_name": golden.model_name,
        "model_family": family_label(golden.family),
        "model_sha256": golden.model_sha256,
        "content_sha256": golden.content_sha256,
        "preprocessing": _preprocessing_words(golden.preprocessing),
        "sop_revision": golden.sop_revision,
        "state": golden.state,
        "state_label": golden.get_state_display(),
        "locked_at": golden.locked_at,
        "activated_at": golden.activated_at,
        "activated_by": golden.activated_by.get_username() if golden.activated_by else "the set-up",
    }


def deciding(cards: list[dict[str, Any]], words: dict[int, Event]) -> list[dict[str, Any]]:
    """The active ones of golden cards, each with the one that decided before it on its line, or None.

    words  what the inspect worker last said, by the id of the golden configuration
    """
    active = [card for card in cards if card["state"] == GoldenState.ACTIVE]
    return [
        {**card, "before": _before(card, cards), "worker": worker_words(words.get(card["id"]))}
        for card in active
    ]


def worker_words(word: Event | None) -> dict[str, str]:
    """What the inspect worker said when it loaded the model: `outcome` for the colour, `text` for people."""
    if word is None:
        return {"outcome": "warn", "text": "The inspect worker has not loaded it yet."}
    if word.verb == REFUSED:
        return {"outcome": "fault", "text": f"Refused: {word.details.get('problem', '')}"}
    said = word.details
    return {
        "outcome": "ok",
        "text": (
            f"Warm in {said.get('runtime', 'an unknown runtime')}, {said.get('ms', 0):.1f} ms a look. "
            f"{said.get('reference_count', 0)} reference images score as when it was made (to "
            f"{said.get('largest_difference', 0):.0e}) and as in torch (to {said.get('runtime_difference', 0):.0e})."
        ),
    }


def _before(active: dict[str, Any], cards: list[dict[str, Any]]) -> dict[str, Any] | None:
    retired = [
        card for card in cards if card["line"] == active["line"] and card["state"] == GoldenState.RETIRED
    ]
    return max(retired, key=lambda card: card["activated_at"], default=None)


def _preprocessing_words(preprocessing: dict[str, Any]) -> str:
    size = preprocessing.get("input_px")
    words = [str(preprocessing.get(name, "")) for name in ("colour", "resize")]
    return ", ".join([f"{size[0]} x {size[1]} px" if size else "", *words]).strip(", ") or "none"
