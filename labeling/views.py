"""Pages of labeling: graded parts, datasets and their versions."""

from typing import cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Person
from accounts.permissions import role_required
from accounts.queries import has_role, line_codes
from audit.actor import Actor
from inspection.models import Line
from labeling import actions, queries, records
from labeling.api import LABEL_READERS, PAINTERS, READERS, WRITERS
from labeling.states import GradeWord

PER_PAGE = 48
MOST_PROPOSALS = 12


@require_safe
@role_required(*LABEL_READERS)
def labels(request: HttpRequest) -> HttpResponse:
    """The gallery of graded parts, newest first; ?grade=good|bad shows one kind, ?fragment=labels the gallery alone."""
    grades = queries.grades_on(line_codes(_person(request), *LABEL_READERS))
    counts = queries.grade_counts(grades)
    wanted = request.GET.get("grade", "")
    wanted = wanted if wanted in GradeWord.values else ""
    page = Paginator(grades.filter(grade=wanted) if wanted else grades, PER_PAGE).get_page(
        request.GET.get("page")
    )
    shown = [records.grade_record(grade) for grade in page]
    proposals = queries.proposals_on(line_codes(_person(request), *LABEL_READERS))[:MOST_PROPOSALS]
    context = {
        "grades": shown,
        "page": page,
        "counts": counts,
        "wanted": wanted,
        "proposals": [records.proposal_record(verdict) for verdict in proposals],
        "may_paint": has_role(_person(request), *PAINTERS),
    }
    is_fragment = request.GET.get("fragment") == "labels"
    return render(request, "labeling/_labels.html" if is_fragment else "labeling/labels.html", context)


@require_safe
@role_required(*READERS)
def datasets(request: HttpRequest) -> HttpResponse:
    """Datasets and their versions; `?fragment=datasets` is the live part alone."""
    mine = line_codes(_person(request), *WRITERS)
    found = queries.datasets_on(line_codes(_person(request), *READERS))
    lines = Line.objects.order_by("code")
    context = {
        "datasets": [records.dataset_record(dataset) for dataset in found],
        "lines": lines if mine is None else lines.filter(code__in=mine),
        "may_change": mine != frozenset(),
    }
    is_fragment = request.GET.get("fragment") == "datasets"
    return render(request, "labeling/_datasets.html" if is_fragment else "labeling/datasets.html", context)


@require_POST
@role_required(*WRITERS)
def freeze(request: HttpRequest, pk: int) -> HttpResponse:
    person = _person(request)
    dataset = get_object_or_404(queries.datasets_on(line_codes(person, *WRITERS)), pk=pk)
    try:
        version = actions.freeze_version(dataset=dataset, actor=Actor.person(person))
    except actions.NothingToFreezeError as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, f"{version} is frozen.")
    return redirect("datasets")


def _person(request: HttpRequest) -> Person:
    return cast(Person, request.user)
