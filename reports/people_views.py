"""The pages of agreement and of inspectors. Both read, none writes."""

from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from accounts.models import Person, Role
from accounts.permissions import role_required
from accounts.queries import has_role
from inspection.models import Line
from reports.forms import PERIODS, AgreementForm, InspectorsForm, PeriodForm
from reports.plots import cusum_plot, slips_plot
from reports.queries.agreement import ALL, PROBES, agreement_report
from reports.queries.inspectors import inspectors_report
from reports.queries.parts import lines_of
from reports.views import REPORT_ROLES, chosen_line
from review.shifts import watch_chart

NAME_ROLES = (Role.MANAGER, Role.QUALITY_EXPERT)


def may_read_names(person: Person, lines: list[Line]) -> bool:
    """Names of inspectors are for managers and quality experts, each on their own lines."""
    return set(lines) <= set(lines_of(person, *NAME_ROLES))


@require_GET
@role_required(*REPORT_ROLES)
def agreement(request: HttpRequest) -> HttpResponse:
    """How well people and the model agree with the truth, with themselves and with each other."""
    form, lines = AgreementForm(request.GET), lines_of(cast(Person, request.user), *REPORT_ROLES)
    wanted, context = _period_context(request, "agreement", form, lines)
    reference = form.cleaned_data["reference"] or ALL
    has_names = may_read_names(cast(Person, request.user), wanted)
    context |= {
        "report": agreement_report(
            wanted,
            since=context["since"],
            until=context["until"],
            reference=reference,
            has_names=has_names,
        ),
        "has_names": has_names,
        "references": [
            {"label": label, "url": _with(request, reference=name), "active": reference == name}
            for name, label in ((ALL, "Probes and rulings"), (PROBES, "Probes alone"))
        ],
        "csv_url": f"{reverse('agreement_report')}{_with(request, format='csv')}",
    }
    return render(request, "reports/agreement.html", context)


@require_GET
@role_required(*NAME_ROLES)
def inspectors(request: HttpRequest) -> HttpResponse:
    """What the probes say of each inspector; ?person= is about one."""
    form, lines = InspectorsForm(request.GET), lines_of(cast(Person, request.user), *NAME_ROLES)
    wanted, context = _period_context(request, "inspectors", form, lines)
    report = inspectors_report(
        wanted, since=context["since"], until=context["until"], chosen=form.cleaned_data["person"]
    )
    context |= {
        "report": report,
        "rows": [
            {
                "inspector": each,
                "plot": cusum_plot(each.path),
                "url": _with(request, person=each.name),
                "active": each is report.chosen,
            }
            for each in report.inspectors
        ],
        "everybody_url": _with(request, person=""),
        "slips": slips_plot(report.slips),
        "cusum": watch_chart(),
        "may_lift": has_role(cast(Person, request.user), Role.QUALITY_EXPERT),
        "csv_url": f"{reverse('inspectors_report')}{_with(request, format='csv')}",
    }
    return render(request, "reports/inspectors.html", context)


def _period_context(
    request: HttpRequest, page: str, form: PeriodForm, lines: list[Line]
) -> tuple[list[Line], dict[str, Any]]:
    """The lines asked for, and what the choosers of period and line need."""
    if not form.is_valid():
        raise Http404("This period cannot be read.")
    chosen = chosen_line(request, lines)
    since, until = form.bounds(timezone.now())
    return [chosen] if chosen else lines, {
        "page": page,
        "since": since,
        "until": until,
        "period": PERIODS[form.period_name][0],
        "periods": [
            {"label": label, "url": _with(request, period=name), "active": name == form.period_name}
            for name, (label, _) in PERIODS.items()
        ],
        "lines": [
            {"label": "All lines", "url": _with(request, line=""), "active": chosen is None},
            *(
                {"label": each.name, "url": _with(request, line=each.code), "active": each == chosen}
                for each in lines
            ),
        ],
    }


def _with(request: HttpRequest, **changes: str) -> str:
    """The query as it is, with these changes; an empty value takes the name out."""
    sent = {name: str(value) for name, value in request.GET.items()} | changes
    return "?" + urlencode({name: value for name, value in sent.items() if value})
