"""REST of reports: the parts, their evidence, and the reports. All read, none writes."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, cast

from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.permissions import holds
from accounts.queries import has_role_on
from inspection.models import Line
from reports import answers, people_answers
from reports.forms import AgreementForm, InspectorsForm, PartFilter, PeriodForm
from reports.people_views import NAME_ROLES, may_read_names
from reports.queries.agreement import ALL, agreement_report
from reports.queries.audits import audits_by_line
from reports.queries.inspectors import inspectors_report
from reports.queries.line_state import line_state
from reports.queries.management import ALL_LINES, reports_by_line
from reports.queries.parts import lines_of, page_of_parts, parts_for
from reports.queries.records import Record, records
from reports.views import REPORT_ROLES

FILTERS = [
    OpenApiParameter(name, str) for name in ("serial", "line", "state", "disposition", "from", "to", "before")
]


class NotBuilt(APIException):
    status_code = 501
    default_code = "not_built"


class Parts(APIView):
    permission_classes = (holds(*Role),)

    @extend_schema(operation_id="parts_list", parameters=FILTERS, responses={200: dict})
    def get(self, request: Request) -> Response:
        """Parts, newest first; `next` is the address of the following page."""
        form = PartFilter(request.query_params)
        if not form.is_valid():
            raise ValidationError(_problems(form))
        rows, before = page_of_parts(cast(Person, request.user), form.asked())
        sent = {**request.query_params.dict(), "before": str(before)}
        return Response(
            {
                "next": f"{reverse('part_list')}?{urlencode(sent)}" if before else None,
                "results": [answers.part_answer(record) for record in records(rows)],
            }
        )


class PartDetail(APIView):
    permission_classes = (holds(*Role),)

    @extend_schema(responses={200: dict})
    def get(self, request: Request, part_id: int) -> Response:
        """One part with its inspections, case, verdicts, ruling and deliveries."""
        return Response(answers.part_answer(self.record(request, part_id)))

    def record(self, request: Request, part_id: int, *, with_events: bool = False) -> Record:
        part = get_object_or_404(parts_for(cast(Person, request.user)), pk=part_id)
        return records([part], with_events=with_events)[0]


class Evidence(PartDetail):
    @extend_schema(responses={200: dict})
    def get(self, request: Request, part_id: int) -> Response:
        """The part's whole hash-chained record; its stored images are hashed again for this answer."""
        return Response(answers.evidence_answer(self.record(request, part_id, with_events=True)))


def chosen_lines(request: Request, form: PeriodForm, *roles: Role) -> list[Line]:
    """The lines of the person that are asked for; 400 for what cannot be read, 403 for a foreign line."""
    if not form.is_valid():
        raise ValidationError(_problems(form))
    lines = lines_of(cast(Person, request.user), *roles)
    if code := form.cleaned_data["line"]:
        lines = [line for line in lines if line.code == code]
        if not lines:
            raise PermissionDenied(f"You have no role on a line {code}.")
    return lines


class Report(APIView):
    permission_classes = (holds(*REPORT_ROLES),)
    shapes: ClassVar = {"yield": answers.yield_answer, "underkill": answers.underkill_answer}
    elsewhere: ClassVar = ("agreement", "inspectors")
    not_built: ClassVar = frozenset({"roi", "validation", "drift"})

    @extend_schema(
        parameters=[OpenApiParameter(name, str) for name in ("period", "from", "to", "line", "format")],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request, name: str) -> Response | HttpResponse:
        """A report by line over a period; a rate always with k, n and its 95 % interval."""
        shape = self.shape_of(name)
        form = PeriodForm(request.query_params)
        lines = chosen_lines(request, form, *REPORT_ROLES)
        since, until = form.bounds(timezone.now())
        found = reports_by_line(lines, since=since, until=until)
        told = [shape(each) for each in found]
        rows = answers.csv_rows(found, only_underkill=name == "underkill")
        if name == "underkill":
            audits = audits_by_line(lines, since=since, until=until)
            for each in told:
                each["audit_of_passes"] = answers.audit_answer(audits[each["line"] or ALL_LINES])
            rows += answers.audit_rows(audits)
        if form.cleaned_data["format"] == "csv":
            return _csv(name, answers.CSV_COLUMNS, rows)
        return Response({"report": name, "from": since, "to": until, "lines": told})

    def shape_of(self, name: str) -> Any:
        if name in self.not_built:
            raise NotBuilt(f"The report {name!r} is not built yet in this version.")
        if name not in self.shapes:
            known = ", ".join((*self.shapes, *self.elsewhere))
            raise NotFound(f"There is no report {name!r}. Ask for one of: {known}.")
        return self.shapes[name]


class Agreement(APIView):
    permission_classes = (holds(*REPORT_ROLES),)

    @extend_schema(
        parameters=[
            OpenApiParameter(name, str) for name in ("period", "from", "to", "line", "reference", "format")
        ],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """How well people and the model agree, over 30 days if nothing is said; only managers and experts get names."""
        form = AgreementForm(request.query_params)
        lines = chosen_lines(request, form, *REPORT_ROLES)
        since, until = form.bounds(timezone.now())
        report = agreement_report(
            lines,
            since=since,
            until=until,
            reference=form.cleaned_data["reference"] or ALL,
            has_names=may_read_names(cast(Person, request.user), lines),
        )
        if form.cleaned_data["format"] == "csv":
            return _csv("agreement", people_answers.CSV_COLUMNS, people_answers.agreement_rows(report))
        answer = people_answers.agreement_answer(report)
        return Response({"report": "agreement", "from": since, "to": until, **answer})


class Inspectors(APIView):
    permission_classes = (holds(*NAME_ROLES),)

    @extend_schema(
        parameters=[
            OpenApiParameter(name, str) for name in ("period", "from", "to", "line", "person", "format")
        ],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """What the probes say of each inspector, over 30 days if nothing is said; for managers and experts."""
        form = InspectorsForm(request.query_params)
        lines = chosen_lines(request, form, *NAME_ROLES)
        since, until = form.bounds(timezone.now())
        report = inspectors_report(lines, since=since, until=until, chosen=form.cleaned_data["person"])
        if form.cleaned_data["format"] == "csv":
            codes = " ".join(line.code for line in lines)
            return _csv(
                "inspectors", people_answers.CSV_COLUMNS, people_answers.inspector_rows(report, codes)
            )
        answer = people_answers.inspectors_answer(report)
        return Response({"report": "inspectors", "from": since, "to": until, **answer})


class LineState(APIView):
    permission_classes = (holds(*Role),)

    @extend_schema(responses={200: dict})
    def get(self, request: Request, code: str) -> Response:
        """Worker, camera, PLC and model of the line: ok, fault or unknown, and why."""
        line = get_object_or_404(Line, code=code)
        if not has_role_on(cast(Person, request.user), line.code, *Role):
            raise PermissionDenied(f"You have no role on a line {code}.")
        return Response({name: asdict(sign) for name, sign in line_state(line, timezone.now()).items()})


def _problems(form: Form) -> dict[str, list[str]]:
    return {name: [str(problem) for problem in problems] for name, problems in form.errors.items()}


def _csv(name: str, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="secondlook-{name}.csv"'
    writer = csv.DictWriter(response, fieldnames=columns)
    writer.writeheader()
    writer.writerows(rows)
    return response
