"""Agreement and inspectors as the REST API answers them, as JSON and as one figure a row of CSV."""

from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from reports.figures import RateFigure, ValueFigure
from reports.queries.agreement import AgreementReport, Appraiser
from reports.queries.inspectors import Figures, Inspector, InspectorsReport, Share

CSV_COLUMNS = (
    "line", "figure", "appraiser", "other", "k", "n", "value", "lower_95", "upper_95", "needed", "says",
)  # fmt: skip
Figure = RateFigure | ValueFigure


# --- agreement --------------------------------------------------------------------------------------------
def agreement_answer(report: AgreementReport) -> dict[str, Any]:
    return {
        "lines": list(report.lines),
        "reference": report.reference,
        "parts": {"all": report.parts, "known": report.known, "ruled": report.ruled},
        "looks": report.looks,
        "fleiss": {
            "people": report.people_kappa.as_json(),
            "people_and_model": report.everybody_kappa.as_json(),
        },
        "all_agree": report.all_agree.as_json(),
        "appraisers": [_appraiser(each) for each in report.appraisers],
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "agree": pair.agree.as_json(),
                "kappa": pair.kappa.as_json(),
            }
            for pair in report.pairs
        ],
        "pairs_with_too_few_parts": report.pairs_too_few,
        "consensus": {
            "lacks": report.consensus_lacks or None,
            "against_rulings": [
                {
                    "part": each.part,
                    "plc_part_id": each.part_name,
                    "ruled": each.ruled,
                    "chance_of_the_other": each.chance,
                    "looks": each.looks,
                    "against": each.against,
                    "url": reverse("part", args=[each.part]),
                }
                for each in report.contradictions
            ],
        },
    }


def _appraiser(each: Appraiser) -> dict[str, Any]:
    return {
        "appraiser": each.name,
        "is_model": each.is_model,
        "standing": each.standing,
        **{
            judged.figure.name: {
                **judged.figure.as_json(),
                "standing": judged.standing,
                "is_sure": judged.is_sure,
            }
            for judged in each.measures
        },
        "cannot_tell": each.cannot_tell.as_json(),
        "reference_kappa": each.reference_kappa.as_json(),
        "repeatability": each.repeatability.as_json(),
        "repeatability_kappa": each.repeatability_kappa.as_json(),
        "consensus": {
            "underkill": each.consensus_underkill.as_json(),
            "overkill": each.consensus_overkill.as_json(),
        },
    }


def agreement_rows(report: AgreementReport) -> Iterator[dict[str, Any]]:
    """One figure a row, never without its n and its bound."""
    line = " ".join(report.lines)
    overall: tuple[Figure, ...] = (report.people_kappa, report.everybody_kappa, report.all_agree)
    yield from (_row(line, figure) for figure in overall)
    for each in report.appraisers:
        own: tuple[Figure, ...] = (
            *(judged.figure for judged in each.measures), each.cannot_tell, each.reference_kappa,
            each.repeatability, each.repeatability_kappa, each.consensus_underkill, each.consensus_overkill,
        )  # fmt: skip
        yield from (_row(line, figure, each.name) for figure in own)
    for pair in report.pairs:
        yield _row(line, pair.agree, pair.first, pair.second)
        yield _row(line, pair.kappa, pair.first, pair.second)


# --- inspectors -------------------------------------------------------------------------------------------
def inspectors_answer(report: InspectorsReport) -> dict[str, Any]:
    return {
        "inspectors": [_inspector(each) for each in report.inspectors],
        "person": report.chosen and report.chosen.name,
        "together": _figures(report.together),
        "slips_by_active_time": [_share(share) for share in report.slips],
        "by_line": [_share(share) for share in report.by_line],
        "by_defect_type": [_share(share) for share in report.by_defect_type],
        "by_handling": dict(report.by_handling),
    }


def _inspector(each: Inspector) -> dict[str, Any]:
    path, watch = each.path, each.watch
    return {
        "person": each.name,
        **_figures(each.figures),
        "cusum": {
            "steps": path.steps,
            "alarms": path.alarms,
            "now": path.now,
            "limit": path.limit,
            "probes": path.probes,
        },
        "watch": watch and {"watch": watch.pk, "since": watch.since, "why": watch.why},
        "lifted_watches": [
            {"since": old.since, "why": old.why, "cleared_at": old.cleared_at, "note": old.note}
            for old in each.lifted
        ],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "verdicts": figures.verdicts,
        "probes": figures.probes,
        **{figure.name: figure.as_json() for figure in _each_figure(figures)},
        "decision_time": figures.decision_time.as_json(),
        "changes": {
            "toward_the_truth": figures.toward,
            "away_from_it": figures.away,
            "truth_unknown": figures.unknown_change,
        },
    }


def _each_figure(figures: Figures) -> tuple[Figure, ...]:
    return (
        figures.underkill, figures.overkill, figures.skill, figures.leaning, figures.cannot_tell,
        figures.handling, figures.changed,
    )  # fmt: skip


def _share(share: Share) -> dict[str, Any]:
    return {
        "name": share.key,
        "label": share.label,
        **{figure.name: figure.as_json() for figure in share.figures},
    }


def inspector_rows(report: InspectorsReport, line: str) -> Iterator[dict[str, Any]]:
    """Each figure of each inspector, then those of bins, lines and defect types (`other` names which)."""
    for each in report.inspectors:
        yield from (_row(line, figure, each.name) for figure in _each_figure(each.figures))
    who = report.chosen.name if report.chosen else "all"
    for share in (*report.slips, *report.by_line, *report.by_defect_type):
        yield from (_row(line, figure, who, share.key) for figure in share.figures)


def _row(line: str, figure: Figure, appraiser: str = "", other: str = "") -> dict[str, Any]:
    known = figure.as_json()
    value = known["rate"] if isinstance(figure, RateFigure) else known["value"]
    return {
        "line": line,
        "figure": figure.name,
        "appraiser": appraiser,
        "other": other,
        "k": known.get("k", ""),
        "n": known["n"],
        "value": "" if value is None else value,
        "lower_95": "" if known["lower_95"] is None else known["lower_95"],
        "upper_95": "" if known["upper_95"] is None else known["upper_95"],
        "needed": figure.needed,
        "says": known["says"],
    }
