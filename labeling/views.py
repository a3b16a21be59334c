"""Pages of labeling: graded parts, datasets and their versions."""

from typing import cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Person
from accounts.permissions import role_required
from accounts.queries import line_codes
from audit.actor import Actor
from labeling import actions, queries, records
from labeling.api import READERS, WRITERS

PER_PAGE = 48
LABEL_READERS = tuple(role for role in READERS if role != "data_collector")


@require_safe
@role_required(*LABEL_READERS)
def labels(request: HttpRequest) -> HttpResponse:
    """The gallery of graded parts, newest first; ?grade=good|bad shows one kind."""
    grades = queries.grades_on(line_codes(cast(Person, request.user), *LABEL_READERS))
    counts = queries.grade_counts(grades)
    wanted = request.GET.get("grade", "")
    if wanted in {"good", "bad"}:
        grades = grades.filter(grade=wanted)
    page = Paginator(grades, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "grades": [records.grade_record(grade) for grade in page],
        "page": page,
        "counts": counts,
        "wanted": wanted,
    }
    return render(request, "labeling/labels.html", context)


@require_safe
@role_required(*READERS)
def datasets(request: HttpRequest) -> HttpResponse:
    found = queries.datasets_on(line_codes(cast(Person, request.user), *READERS))
    context = {
        "datasets": [records.dataset_record(dataset) for dataset in found],
        "may_freeze": _may_freeze(request),
    }
    return render(request, "labeling/datasets.html", context)


@require_POST
@role_required(*WRITERS)
def freeze(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_object_or_404(queries.datasets_on(line_codes(cast(Person, request.user), *WRITERS)), pk=pk)
    try:
        version = actions.freeze_version(dataset=dataset, actor=Actor.person(cast(Person, request.user)))
    except actions.NothingToFreezeError as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, f"{version} is frozen.")
    return redirect("datasets")


def _may_freeze(request: HttpRequest) -> bool:
    return line_codes(cast(Person, request.user), *WRITERS) != frozenset()
