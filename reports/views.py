"""The operator's line, the parts and their records, the stations, and the management report. All read, none writes."""

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from accounts.models import Person, Role
from accounts.permissions import role_required
from accounts.queries import has_role_on, roles_of
from inspection.models import Line
from inspection.states import Outcome, PartState
from reports import boards, story
from reports.forms import PERIODS, PartFilter, PeriodForm
from reports.queries import management as figures
from reports.queries.audits import audits_by_line, escapes_in
from reports.queries.management import ALL_LINES
from reports.queries.parts import Asked, lines_of, page_of_parts, parts_for
from reports.queries.records import records
from review.roles import FLAGGERS

REPORT_ROLES = (Role.MANAGER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER)
STATION_ROLES = (Role.INTEGRATOR, Role.VISION_DEVELOPER)


@require_GET
@role_required(*Role)
def line(request: HttpRequest) -> HttpResponse:
    """One line, chosen by ?line=; `?fragment=board` is the live part."""
    lines = lines_of(cast(Person, request.user))
    if not lines:
        return render(request, "inspection/no_line.html")
    chosen = chosen_line(request, lines) or lines[0]
    context = {
        **boards.line_board(chosen, timezone.now()),
        "board_url": f"{reverse('line')}?{urlencode({'line': chosen.code, 'fragment': 'board'})}",
        "lines": _tabs(reverse("line"), lines, chosen),
        "may_note": has_role_on(cast(Person, request.user), chosen.code, Role.LINE_OPERATOR, Role.INTEGRATOR),
    }
    return render(
        request, _fragment(request, "board", "inspection/_line_board.html", "inspection/line.html"), context
    )


@require_GET
@role_required(*Role)
def parts(request: HttpRequest) -> HttpResponse:
    """Search by serial or PLC part id, newest first, by keyset pages."""
    person, form = cast(Person, request.user), PartFilter(request.GET)
    asked = form.asked() if form.is_valid() else Asked()
    rows, before = page_of_parts(person, asked) if form.is_valid() else ([], None)
    sent: dict[str, str] = {
        name: str(value) for name, value in request.GET.items() if name not in {"before", "fragment"}
    }
    context = {
        "parts": records(rows),
        "form": form,
        "filters": request.GET,
        "lines": lines_of(person),
        "states": PartState,
        "outcomes": Outcome,
        "is_first_page": asked.before is None,
        "next_url": f"?{urlencode({**sent, 'before': str(before)})}" if before else None,
        "first_url": f"?{urlencode(sent)}",
    }
    return render(
        request, _fragment(request, "parts", "inspection/_parts.html", "inspection/parts.html"), context
    )


@require_GET
@role_required(*Role)
def part(request: HttpRequest, part_id: int) -> HttpResponse:
    """The whole record of one part."""
    person = cast(Person, request.user)
    row = get_object_or_404(parts_for(person), pk=part_id)
    record = records([row], with_events=True)[0]
    is_expert = has_role_on(person, row.line.code, Role.QUALITY_EXPERT)
    correctable = record.final.pk if record.final and record.is_correctable else 0
    if request.GET.get("fragment") == "correction":
        # Nobody's half-written note is disturbed because another part moved; after a correction all is shown anew.
        is_shown = request.GET.get("shown") == str(correctable)
        return HttpResponse(status=204) if is_shown else HttpResponse(headers={"HX-Refresh": "true"})
    context = {
        "part": row,
        "record": record,
        "image_url": boards.image_url(record),
        "map_url": None if roles_of(person) == {Role.MANUAL_INSPECTOR} else boards.map_url(record),
        "truth": _truth(row),
        "may_flag": record.outcome_word == Outcome.PASS and has_role_on(person, row.line.code, *FLAGGERS),
        "may_probe": record.final is not None and is_expert,
        "is_expert": is_expert,
        "correctable": correctable,
        "timeline": story.story(record),
        "sealed": sum(hasattr(event, "seal") for event in record.events),
    }
    template = _fragment(request, "record", "inspection/_part_record.html", "inspection/part.html")
    return render(request, template, context)


def _truth(row: Any) -> dict[str, str] | None:
    """What is known of the part; nothing while somebody may still have to judge it."""
    if row.state != PartState.DISPOSED:
        return None
    known = getattr(row, "known_truth", None)
    grade = known or getattr(row, "grade", None)
    return grade and {
        "outcome": str(grade.grade).upper(),
        "source": "known" if known else f"by {grade.source}",
    }


@require_GET
@role_required(*STATION_ROLES)
def stations(request: HttpRequest) -> HttpResponse:
    """Lines and stations as they are set up, with their camera, PLC and golden configuration."""
    person = cast(Person, request.user)
    context = {"stations": boards.stations(lines_of(person, *STATION_ROLES), timezone.now(), person)}
    return render(
        request,
        _fragment(request, "stations", "inspection/_stations.html", "inspection/stations.html"),
        context,
    )


@require_GET
@role_required(*REPORT_ROLES)
def management(request: HttpRequest) -> HttpResponse:
    """Yield, review rate, underkill and overkill of a period, by line."""
    form, lines = PeriodForm(request.GET), lines_of(cast(Person, request.user), *REPORT_ROLES)
    if not form.is_valid():
        raise Http404("This period cannot be read.")
    chosen = chosen_line(request, lines)
    wanted = [chosen] if chosen else lines
    since, until = form.bounds(timezone.now())
    step, buckets = figures.over_time(wanted, since=since, until=until)
    rows = figures.reports_by_line(wanted, since=since, until=until)
    period = form.period_name
    audits = audits_by_line(wanted, since=since, until=until)
    context = {
        "report": rows[0] if rows else None,
        "reports": rows,
        "audit": audits[chosen.code if chosen else ALL_LINES],
        "audits": [(each.name, audits[each.code]) for each in wanted],
        "escapes": escapes_in(wanted, since=since, until=until),
        "step": step,
        "buckets": buckets[::-1],
        "chart": _chart(buckets),
        "period": PERIODS[period][0],
        "since": since,
        "until": until,
        "periods": [
            {"label": label, "url": _query(period=name, line=chosen), "active": name == period}
            for name, (label, _) in PERIODS.items()
        ],
        "lines": [
            {"label": "All lines", "url": _query(period=period, line=None), "active": chosen is None},
            *(
                {"label": each.name, "url": _query(period=period, line=each), "active": each == chosen}
                for each in lines
            ),
        ],
        "csv_url": f"{reverse('report', args=['yield'])}{_query(period=period, line=chosen)}&format=csv",
        "csv_underkill_url": f"{reverse('report', args=['underkill'])}{_query(period=period, line=chosen)}&format=csv",
    }
    return render(
        request,
        _fragment(request, "figures", "reports/_management_figures.html", "reports/management.html"),
        context,
    )


def _chart(buckets: list[figures.Bucket]) -> dict[str, Any]:
    return {
        "times": [int(bucket.begins_at.timestamp()) for bucket in buckets],
        "unit": "parts",
        "series": [
            {"name": "Passed", "tone": "pass", "values": [bucket.passed for bucket in buckets]},
            {"name": "Rejected", "tone": "reject", "values": [bucket.rejected for bucket in buckets]},
            {"name": "Held for a person", "tone": "hold", "values": [bucket.held for bucket in buckets]},
        ],
    }


def _query(*, period: str, line: Line | None) -> str:
    return "?" + urlencode({"period": period, **({"line": line.code} if line else {})})


def chosen_line(request: HttpRequest, lines: list[Line]) -> Line | None:
    """The line of ?line=; None if it names none. 403 for a line on which the person has no role."""
    code = request.GET.get("line", "")
    if not code:
        return None
    for each in lines:
        if each.code == code:
            return each
    raise PermissionDenied(f"You have no role on a line {code}.")


def _tabs(url: str, lines: list[Line], chosen: Line) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "url": f"{url}?{urlencode({'line': each.code})}", "active": each == chosen}
        for each in lines
    ]


def _fragment(request: HttpRequest, name: str, fragment: str, page: str) -> str:
    return fragment if request.GET.get("fragment") == name else page
