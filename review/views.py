"""The inspector's workstation and the expert's ties. Both speak to the REST addresses; here are the pages."""

from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import Person, Role
from accounts.permissions import role_required
from accounts.queries import has_role, line_codes
from inspection.models import Line
from review import queries, records
from review.containment import NoEscapeError, containment
from review.desk import desk_of
from review.roles import DESK, POLICY_SETTERS, REVIEWERS, SUPERVISORS

DESK_FRAGMENTS = frozenset({"load", "policy", "book", "probes", "escapes"})
MOST_TIES = 20


@require_GET
@role_required(*REVIEWERS)
def review(request: HttpRequest) -> HttpResponse:
    """The workstation; `?fragment=queue` is the live count alone."""
    template = "review/_queue.html" if request.GET.get("fragment") == "queue" else "review/workstation.html"
    return render(request, template, _queue(cast(Person, request.user)))


def _queue(person: Person) -> dict[str, Any]:
    waiting = queries.waiting_cases(line_codes(person, *REVIEWERS)).filter(late_at=None)
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


@require_GET
@role_required(*DESK)
def desk(request: HttpRequest) -> HttpResponse:
    """How the person's lines are reviewed; `?line=CODE&fragment=NAME` is one card alone."""
    person = cast(Person, request.user)
    codes = line_codes(person, *DESK)
    lines = Line.objects.select_related("part_type").order_by("code")
    lines = lines if codes is None else lines.filter(code__in=codes)
    rights = {
        "may_set": has_role(person, *POLICY_SETTERS),
        "may_write": has_role(person, Role.QUALITY_EXPERT),
    }
    now = timezone.now()
    fragment = request.GET.get("fragment")
    if fragment in DESK_FRAGMENTS:
        line = lines.filter(code=request.GET.get("line", "")).first()
        if line is None:
            raise Http404
        return render(request, f"review/_desk_{fragment}.html", {"desk": desk_of(line, now=now), **rights})
    return render(
        request, "review/desk.html", {"desks": [desk_of(line, now=now) for line in lines], **rights}
    )


@require_GET
@role_required(*SUPERVISORS)
def containment_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The parts that may be bad for the same reason as a missed defect."""
    lines = line_codes(cast(Person, request.user), *SUPERVISORS)
    case = get_object_or_404(queries.escapes(lines), pk=pk)
    try:
        found = containment(case)
    except NoEscapeError as problem:
        return render(request, "review/containment.html", {"case": case, "problem": str(problem)})
    return render(request, "review/containment.html", {"case": case, "found": found})
