"""What all addresses of review share: the roles, the person's lines, and conflicts as 409 with a code."""

from typing import Any, ClassVar, cast

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.pages import SafeCursorPagination
from accounts.permissions import holds
from accounts.queries import line_codes
from audit.actor import Actor
from inspection.models import Line
from review import actions, queries
from review.models import Case
from review.roles import REVIEWERS

ANSWER = OpenApiTypes.OBJECT


class LeaseEnded(APIException):
    status_code = 409
    default_code = "lease_ended"


class TooLate(APIException):
    status_code = 409
    default_code = "too_late"


class Unfit(APIException):
    status_code = 409
    default_code = "unfit"


class CasePages(SafeCursorPagination):
    """Keyset pages, most urgent case first: a queue that moves meanwhile never shows a case twice or hides one."""

    page_size = 50
    ordering = ("deadline_at", "id")


class ReviewView(APIView):
    roles: ClassVar[tuple[Role, ...]] = REVIEWERS

    def get_permissions(self) -> list[Any]:
        return [holds(*self.roles)()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, actions.LeaseError):
            exc = LeaseEnded(str(exc))
        elif isinstance(exc, actions.TooLateError):
            exc = TooLate(str(exc))
        elif isinstance(exc, actions.UnfitError):
            exc = Unfit(str(exc))
        return super().handle_exception(exc)

    @property
    def person(self) -> Person:
        return cast(Person, self.request.user)  # the permission has let nobody else in

    @property
    def actor(self) -> Actor:
        return Actor.person(self.person)

    def lines(self) -> queries.Lines:
        return line_codes(self.person, *self.roles)

    def line(self, code: str) -> Line:
        line = get_object_or_404(Line.objects.select_related("part_type"), code=code)
        codes = self.lines()
        if codes is not None and line.code not in codes:
            raise PermissionDenied(f"You have none of the roles for this on line {line.code}.")
        return line

    def case(self, pk: int) -> Case:
        return get_object_or_404(queries.cases(self.lines()), pk=pk)

    def bare_case(self, pk: int) -> Case:
        """Where nothing of it is shown."""
        return get_object_or_404(queries.bare_cases(self.lines()), pk=pk)


def checked(form: type[serializers.BaseSerializer], data: Any) -> dict[str, Any]:
    """What was sent, as the form understands it; 400 with a sentence otherwise."""
    filled = form(data=data)
    filled.is_valid(raise_exception=True)
    return dict(filled.validated_data)


def line_asked(view: ReviewView, request: Request) -> Line:
    """The line of `?line=`; the only one there is where it is not named."""
    code = request.query_params.get("line", "")
    if code:
        return view.line(code)
    codes = view.lines()
    found = Line.objects.select_related("part_type").order_by("code")
    mine = list(found if codes is None else found.filter(code__in=codes))
    if len(mine) != 1:
        raise ValidationError("Say which line: add ?line= with its code.")
    return mine[0]
