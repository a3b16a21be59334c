"""Pages of training: runs and candidates, golden configurations."""

from typing import Any, cast

from django.contrib import messages
from django.db.models import QuerySet
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
from labeling.models import Dataset
from labeling.records import dataset_record
from training import actions, forms, pages, queries
from training.api import APPROVERS, TRAINERS
from training.choice import AUTO, Material
from training.forms import family_label

GOLDEN_READERS = (*APPROVERS, Role.INTEGRATOR)
MOST_SHOWN = 20


@require_safe
@role_required(*APPROVERS)
def training(request: HttpRequest) -> HttpResponse:
    """Runs and candidates; `?fragment=training` is the live part alone, `?fragment=recipe` what a family would take."""
    fragment = request.GET.get("fragment")
    if fragment == "training":
        return render(request, "training/_training.html", _live(request))
    if fragment == "recipe":
        card = _recipe_card(request, request.GET.get("dataset", ""), request.GET.get("family", AUTO))
        return render(request, "training/_recipe_fragment.html", {"recipe": card})
    return _page(request)


@require_POST
@role_required(*TRAINERS)
def freeze_and_train(request: HttpRequest) -> HttpResponse:
    """Freeze what the dataset holds now and start a run on it; what was typed stays where it is refused."""
    form = forms.FreezeAndTrainForm(data=request.POST)
    if not form.is_valid():
        return _page(request, errors=forms.sentences(form))
    wanted = dict(form.validated_data)
    person = _person(request)
    dataset = get_object_or_404(_datasets(request), pk=wanted.pop("dataset"))
    try:
        run = actions.freeze_and_train(dataset=dataset, actor=Actor.person(person), person=person, **wanted)
    except actions.RecipeError as problem:
        return _page(request, errors={problem.field: str(problem)})
    except (labeling.actions.NothingToFreezeError, actions.RunGoesOnError) as problem:
        return _page(request, errors={"dataset": str(problem)})
    messages.success(request, f"Run {run.pk} trains {family_label(run.family)} on {run.dataset_version}.")
    return redirect("training")


def _page(request: HttpRequest, *, errors: dict[str, str] | None = None) -> HttpResponse:
    """The whole page; with errors its form holds what was sent."""
    context = _live(request)
    if context["can_train"]:
        found = [dataset_record(dataset) for dataset in _datasets(request)]
        typed = {name: request.POST.get(name, "") for name in ("dataset", "family", *forms.MORE_FIELDS)}
        typed["family"] = typed["family"] or AUTO
        typed["dataset"] = typed["dataset"] or (str(found[0]["id"]) if found else "")
        context |= {
            "datasets": found,
            "families": [(AUTO, "Auto: what the pictures allow"), *forms.family_choices()],
            "typed": typed,
            "errors": errors or {},
            "is_more_open": any(typed[name].strip() for name in forms.MORE_FIELDS),
            "recipe": _recipe_card(request, typed["dataset"], typed["family"]),
        }
    return render(request, "training/training.html", context, status=400 if errors else 200)


def _live(request: HttpRequest) -> dict[str, Any]:
    lines = line_codes(_person(request), *APPROVERS)
    return {
        "runs": [pages.run_card(run) for run in queries.runs_on(lines)[:MOST_SHOWN]],
        "candidates": [pages.candidate_card(each) for each in queries.candidates_on(lines)[:MOST_SHOWN]],
        "can_train": line_codes(_person(request), *TRAINERS) != frozenset(),
    }


def _recipe_card(request: HttpRequest, dataset_id: str, family: str) -> dict[str, Any] | None:
    dataset = _datasets(request).filter(pk=dataset_id).first() if dataset_id.isdecimal() else None
    if dataset is None:
        return None
    return pages.recipe_card(Material.of(labeling.queries.contents_of(dataset).images), family)


def _datasets(request: HttpRequest) -> QuerySet[Dataset]:
    return labeling.queries.datasets_on(line_codes(_person(request), *TRAINERS))


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
