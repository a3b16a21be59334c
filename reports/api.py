"""REST of reports: the parts, their evidence, and the reports. All read, none writes."""

import csv
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
from reports import answers
from reports.forms import PartFilter, PeriodForm
from reports.queries.management import reports_by_line
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


class Report(APIView):
    permission_classes = (holds(*REPORT_ROLES),)
    shapes: ClassVar = {"yield": answers.yield_answer, "underkill": answers.underkill_answer}
    not_built: ClassVar = frozenset({"agreement", "roi", "validation", "drift"})

    @extend_schema(
        parameters=[OpenApiParameter(name, str) for name in ("period", "from", "to", "line", "format")],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request, name: str) -> Response | HttpResponse:
        """A report by line over a period; a rate always with k, n and its 95 % interval."""
        shape = self.shape_of(name)
        form = PeriodForm(request.query_params)
        if not form.is_valid():
            raise ValidationError(_problems(form))
        lines = lines_of(cast(Person, request.user), *REPORT_ROLES)
        if code := form.cleaned_data["line"]:
            lines = [line for line in lines if line.code == code]
            if not lines:
                raise PermissionDenied(f"You have no role on a line {code}.")
        since, until = form.bounds(timezone.now())
        found = reports_by_line(lines, since=since, until=until)
        if form.cleaned_data["format"] == "csv":
            return _csv(name, answers.csv_rows(found, only_underkill=name == "underkill"))
        return Response(
            {"report": name, "from": since, "to": until, "lines": [shape(each) for each in found]}
        )

    def shape_of(self, name: str) -> Any:
        if name in self.not_built:
            raise NotBuilt(f"The report {name!r} is not built yet in this version.")
        if name not in self.shapes:
            raise NotFound(f"There is no report {name!r}. Ask for one of: {', '.join(self.shapes)}.")
        return self.shapes[name]


def _problems(form: Form) -> dict[str, list[str]]:
    return {name: [str(problem) for problem in problems] for name, problems in form.errors.items()}


def _csv(name: str, rows: list[dict[str, Any]]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="secondlook-{name}.csv"'
    writer = csv.DictWriter(response, fieldnames=answers.CSV_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return response
