"""The inspector's workstation and the expert's ties. Both speak to the REST addresses; here are the pages."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import Person, Role
from accounts.permissions import role_required
from accounts.queries import line_codes
from review import queries, records

REVIEWERS = (Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT)
MOST_TIES = 20


@require_GET
@role_required(*REVIEWERS)
def review(request: HttpRequest) -> HttpResponse:
    """The workstation; `?fragment=queue` is the live count alone."""
    template = "review/_queue.html" if request.GET.get("fragment") == "queue" else "review/workstation.html"
    return render(request, template, _queue(cast(Person, request.user)))


def _queue(person: Person) -> dict[str, Any]:
    waiting = queries.waiting_cases(line_codes(person, *REVIEWERS))
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "waiting_count": waiting.count(),
        "oldest_opened_at": waiting.order_by("opened_at").values_list("opened_at", flat=True).first(),
        "decided_today": queries.verdicts_given(person.pk, since=midnight),
    }


@require_GET
@role_required(Role.QUALITY_EXPERT)
def ties(request: HttpRequest) -> HttpResponse:
    """Every open tie; `?fragment=ties` is the list alone, or 204 if the page shows exactly these already."""
    cases = queries.ties(line_codes(cast(Person, request.user), Role.QUALITY_EXPERT))[:MOST_TIES]
    shown = ",".join(str(case.pk) for case in cases)
    is_fragment = request.GET.get("fragment") == "ties"
    if is_fragment and request.GET.get("shown") == shown:
        # Nobody's half-written note is disturbed because a case elsewhere moved.
        return HttpResponse(status=204)
    template = "review/_ties.html" if is_fragment else "review/ties.html"
    return render(request, template, {"ties": records.tie_records(cases), "shown": shown})
