"""What the training and golden pages show: rows turned into words and rates with their n and bound."""

import json
from typing import Any

from audit.models import Event
from inspection.models import GoldenConfiguration
from inspection.queries import REFUSED
from inspection.states import GoldenState
from metrics.rates import Rate
from training.choice import AUTO, Material, choose_family
from training.forms import family_label
from training.models import Candidate, Run
from training.states import CandidateState, RunState
from vision.families import FAMILIES, options_of
from vision.options import options_help

OUTCOMES = {RunState.FINISHED: "ok", RunState.FAILED: "fault"}
PLOT_LEFT, PLOT_TOP, PLOT_PX = 44, 8, 148
COMPARED = (
    ("review_rate", "To a person, of all held-out parts"),
    ("underkill", "Underkill: bad parts passed"),
    ("overkill", "Overkill: good parts rejected"),
)


def recipe_card(material: Material, family: str) -> dict[str, Any] | None:
    """Which family a run would take now and why, and what it lets one set; None for a family that is not here."""
    choice = choose_family(material)
    taken = choice.family if family == AUTO else family
    known = FAMILIES.get(taken)
    if known is None or not known.is_available:
        return None
    return {
        "label": family_label(taken),
        "is_auto": family == AUTO,
        "why": choice.why if family == AUTO else f"{known.title}. It learns from {known.learns_from}.",
        "lacks": _what_it_lacks(known.learns_from, material),
        "options": [
            {"name": each.name, "default": json.dumps(each.default), "words": each.words}
            for each in options_help(options_of(taken))
        ],
    }


def _what_it_lacks(learns_from: str, material: Material) -> str:
    if not material.good:
        return "There is no good picture to learn from yet."
    if learns_from == "graded parts" and not material.bad:
        return "There is no graded bad picture to learn from yet."
    if learns_from == "painted labels" and not material.painted:
        return f"None of the {material.bad} bad pictures to learn from is painted yet."
    return ""


def run_card(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "name": f"Run {run.pk}",
        "family": family_label(run.family),
        "why": run.why_family,
        "settings": _settings(run),
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


def _settings(run: Run) -> list[str]:
    """What differs from the defaults, in words."""
    said = [f"{name} {json.dumps(value)}" for name, value in run.options.items()]
    said += [f"seed {run.seed}"] if run.seed else []
    said += ["augmented"] if run.augment else []
    return said + (["behind a preprocessing"] if run.preprocess else [])


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
        "plots": reliability_plots(candidate.metrics),
        "areas": _areas(candidate.metrics),
        "defects": _by_defect(candidate.metrics),
        "made_with": made_with(candidate.metrics.get("recipe")),
        "worse": worse_than_before(candidate.metrics),
        "work": _row(candidate.metrics, "review_rate_imported", ""),
        "rows": [_row(candidate.metrics, name, words) for name, words in COMPARED],
    }


def _areas(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """How well the maps find what was painted; empty where nobody painted a held-out part."""
    if metrics.get("aupro_after") is None:
        return []
    return [
        {
            "words": words,
            "before": metrics.get(f"{name}_before"),
            "after": metrics[f"{name}_after"],
            "n": metrics["n_painted"],
        }
        for name, words in (
            ("pixel_auroc", "Finds the painted pixels (AUROC)"),
            ("aupro", "Finds each painted region (AUPRO to 30 %)"),
        )
    ]


def _by_defect(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    before = metrics.get("auroc_by_defect_before") or {}
    return [
        {"name": name, "n": each["n"], "after": each["auroc"], "before": before.get(name, {}).get("auroc")}
        for name, each in (metrics.get("auroc_by_defect_after") or {}).items()
    ]


def made_with(recipe: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The candidate's recipe as rows; empty for candidates that were made before recipes were kept."""
    if not recipe:
        return []
    rows = [("Family", family_label(recipe["family"])), ("Seed", str(recipe["seed"]))]
    rows += [(name, json.dumps(value)) for name, value in recipe["options"].items()]
    rows += [("Augmentation", json.dumps(recipe["augment"]) if recipe["augment"] else "none")]
    return [*rows, ("Preprocessing", json.dumps(recipe["preprocess"]) if recipe["preprocess"] else "none")]


def reliability_plots(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """What the active model and the candidate said of the same held-out parts, each as a plot; without either none."""
    names = (("before", "Active when the run began"), ("after", "Candidate"))
    found = [(title, metrics.get(f"reliability_{name}") or []) for name, title in names]
    return [_plot(title, bins) for title, bins in found if bins]


def _plot(title: str, bins: list[dict[str, Any]]) -> dict[str, Any]:
    """Places in the 240 x 200 units of training/_reliability.html; y grows downwards."""

    def across(probability: float) -> str:
        return f"{PLOT_LEFT + PLOT_PX * probability:.1f}"

    def down(share: float) -> str:
        return f"{PLOT_TOP + PLOT_PX * (1 - share):.1f}"

    return {
        "title": title,
        "n": sum(each["n"] for each in bins),
        "bad": sum(each["k"] for each in bins),
        "bins": [
            {
                "x": across(each["probability"]),
                "y": down(each["share"]),
                "top": down(each["upper"]),
                "bottom": down(each["lower"]),
                "said": f"{each['probability']:.0%}",
                "was": f"{each['share']:.0%}",
                "bounds": f"{each['lower']:.0%} to {each['upper']:.0%}",
                "k": each["k"],
                "n": each["n"],
            }
            for each in bins
        ],
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
        "preprocessing": preprocessing_words(golden.preprocessing),
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


def preprocessing_words(preprocessing: dict[str, Any]) -> str:
    """What is done to a picture, in words: before the model, and by each member where there are several."""
    before = [
        words
        for name, words in (("align", "aligned to a reference"), ("region", "in a region of interest"))
        if preprocessing.get(name)
    ]
    if preprocessing.get("crop"):
        before.append("cut to {2} x {3} px".format(*preprocessing["crop"]))
    inside = preprocessing.get("model", preprocessing)
    members = [each for each in inside.values() if isinstance(each, dict) and "family" in each]
    said = [f"{family_label(each['family'])}: {_own_words(each)}" for each in members] or [_own_words(inside)]
    return "; ".join([", ".join(before)] * bool(before) + said)


def _own_words(preprocessing: dict[str, Any]) -> str:
    size, tile = preprocessing.get("input_px"), preprocessing.get("tile_px")
    words = [f"{size[0]} x {size[1]} px"] if size else []
    words += [f"tiles of {tile} px, {preprocessing.get('overlap_px')} px shared"] if tile else []
    words += [str(preprocessing[name]) for name in ("colour", "resize") if preprocessing.get(name)]
    return ", ".join(words) or "none"
