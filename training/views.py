"""Pages of training: runs and candidates, golden configurations."""

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

import labeling.actions
import labeling.queries
from accounts.models import Person, Role
from accounts.permissions import role_required
from accounts.queries import line_codes
from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState
from inspection.queries import newest_words_on
from labeling.records import dataset_record
from training import actions, forms, pages, queries
from training.api import APPROVERS, TRAINERS

GOLDEN_READERS = (*APPROVERS, Role.INTEGRATOR)
MOST_SHOWN = 20


@require_safe
@role_required(*APPROVERS)
def training(request: HttpRequest) -> HttpResponse:
    """Runs and candidates; `?fragment=training` is the live part alone."""
    lines = line_codes(_person(request), *APPROVERS)
    mine = line_codes(_person(request), *TRAINERS)
    is_fragment = request.GET.get("fragment") == "training"
    context: dict[str, Any] = {
        "runs": [pages.run_card(run) for run in queries.runs_on(lines)[:MOST_SHOWN]],
        "candidates": [pages.candidate_card(each) for each in queries.candidates_on(lines)[:MOST_SHOWN]],
        "can_train": mine != frozenset(),
    }
    if not is_fragment and context["can_train"]:
        context["datasets"] = [dataset_record(dataset) for dataset in labeling.queries.datasets_on(mine)]
        context["families"] = forms.family_choices()
    return render(request, "training/_training.html" if is_fragment else "training/training.html", context)


@require_POST
@role_required(*TRAINERS)
def freeze_and_train(request: HttpRequest) -> HttpResponse:
    """Freeze what the dataset holds now and start a run on it."""
    form = forms.FreezeAndTrainForm(data=request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a dataset and a model family.")
        return redirect("training")
    datasets = labeling.queries.datasets_on(line_codes(_person(request), *TRAINERS))
    dataset = get_object_or_404(datasets, pk=form.validated_data["dataset"])
    actor, family = Actor.person(_person(request)), form.validated_data["family"]
    try:
        version = labeling.actions.freeze_version(dataset=dataset, actor=actor)
    except labeling.actions.NothingToFreezeError as problem:
        messages.error(request, str(problem))
    else:
        run = actions.start_run(dataset_version=version, family=family, actor=actor, person=_person(request))
        messages.success(request, f"Run {run.pk} trains on {version}.")
    return redirect("training")


@require_POST
@role_required(*APPROVERS)
def activate_candidate(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept and activate in one step; the page asked for confirmation before."""
    person = _person(request)
    candidate = get_object_or_404(queries.candidates_on(line_codes(person, *APPROVERS)), pk=pk)
    try:
        golden = actions.activate(candidate=candidate, actor=Actor.person(person), person=person)
    except (IllegalMove, StaleState) as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, f"Golden configuration {golden.number} is active on {golden.line}.")
    if request.headers.get("HX-Request"):  # a full page, so that the notice is seen
        return HttpResponse(headers={"HX-Redirect": reverse("training")})
    return redirect("training")


@require_safe
@role_required(*GOLDEN_READERS)
def golden(request: HttpRequest) -> HttpResponse:
    """Every golden configuration of the person's lines; `?fragment=golden` is the live part alone."""
    person = _person(request)
    found = [pages.golden_card(each) for each in queries.goldens_on(line_codes(person, *GOLDEN_READERS))]
    context = {
        "active": pages.deciding(found, newest_words_on([card["id"] for card in found])),
        "history": found,
        "can_activate": line_codes(person, *APPROVERS) != frozenset(),
    }
    is_fragment = request.GET.get("fragment") == "golden"
    return render(request, "training/_golden.html" if is_fragment else "training/golden.html", context)


def _person(request: HttpRequest) -> Person:
    return cast(Person, request.user)
