"""REST for the floor: flagging missed defects, what they may have hidden with, and whether people keep up."""

import csv
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inspection.models import Line, Part
from review import actions, forms, queries, records
from review.api.base import ANSWER, ReviewView, Unfit, checked
from review.capacity import load_of
from review.containment import After, NoEscapeError, containment
from review.models import Case
from review.roles import FLAGGERS, SUPERVISORS

COLUMNS = ("part", "plc_part_id", "serial", "passed_at", "score", "similarity", "why")


class FlagsView(ReviewView):
    roles: ClassVar = FLAGGERS

    @extend_schema(request=forms.FlagForm, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        """This part was passed and is bad: put it before the quality expert."""
        said = checked(forms.FlagForm, request.data)
        part = said.get("part") or self.part_named(said["serial"])
        self.line(part.line.code)
        case = actions.flag_part(part=part, person=self.person, note=said["note"])
        return Response({"case": case.pk, "part": part.pk, "state": case.state}, status=201)

    def part_named(self, code: str) -> Part:
        """The newest part with this serial, or the one of this number."""
        parts = Part.objects.select_related("line")
        found = parts.filter(serial=code).order_by("-id").first() or parts.filter(plc_part_id=code).first()
        if found is None:
            raise NotFound(f"There is no part {code}. Check the code on the part.")
        return found


class EscapesView(ReviewView):
    roles: ClassVar = SUPERVISORS

    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Confirmed underkill: passed parts that the expert ruled bad, newest first."""
        return Response({"results": [escape_record(case) for case in queries.escapes(self.lines())[:200]]})


def escape_record(case: Case) -> dict[str, Any]:
    return {
        **records.ruling_record(case.ruling),
        "part": case.part_id,
        "plc_part_id": case.part.plc_part_id,
        "serial": case.part.serial,
        "line": case.part.line.code,
        "found_by": case.kind,
    }


class ContainmentView(ReviewView):
    roles: ClassVar = SUPERVISORS

    @extend_schema(
        parameters=[OpenApiParameter("format", str), OpenApiParameter("after", str)],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request, pk: int) -> Response | HttpResponse:
        """Every part that may be bad for the same reason: passed by the same model since the last good check."""
        case = get_object_or_404(queries.escapes(self.lines()), pk=pk)
        after = after_asked(request.query_params.get("after", ""))
        try:
            found = records.containment_record(containment(case, after=after))
        except NoEscapeError as problem:
            raise Unfit(str(problem)) from problem
        if request.query_params.get("format") == "csv":
            return _csv(pk, found["parts"])
        return Response(found)


def after_asked(text: str) -> After | None:
    """The place where the stretch before ended, as that stretch told it; 400 for anything else."""
    if not text:
        return None
    try:
        score, part, until = text.split("_")
        return After(float(score), int(part), datetime.fromisoformat(until.replace(" ", "+")))
    except ValueError as problem:
        raise ValidationError("`after` is what the stretch before told as `after`.") from problem


def _csv(pk: int, rows: list[dict[str, Any]]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="secondlook-containment-{pk}.csv"'
    writer = csv.DictWriter(response, fieldnames=COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return response


class LoadView(ReviewView):
    roles: ClassVar = SUPERVISORS

    @extend_schema(parameters=[OpenApiParameter("line", str)], responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Arrivals against hands on each line, and when a case will miss its deadline if all stays as it is."""
        codes = self.lines()
        asked = request.query_params.get("line")
        wanted = Q() if codes is None else Q(code__in=codes)
        lines = [self.line(asked)] if asked else list(Line.objects.filter(wanted).order_by("code"))
        now = timezone.now()
        return Response({"results": [load_of(line, now=now).record() for line in lines]})
