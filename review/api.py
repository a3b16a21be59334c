"""REST of review: the queue, leases, verdicts, ties and rulings."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.pages import SafeCursorPagination
from accounts.permissions import holds
from accounts.queries import line_codes
from review import actions, forms, queries, records
from review.models import Case, Verdict
from review.states import Grade, VerdictWord

REVIEWERS = (Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT)
LONGEST_KEY = 64
ANSWER = OpenApiTypes.OBJECT
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="New for each verdict, same for repeats.",
)


class LeaseEnded(APIException):
    status_code = 409
    default_code = "lease_ended"


class TooLate(APIException):
    status_code = 409
    default_code = "too_late"


class MissingKey(APIException):
    status_code = 400
    default_code = "missing_idempotency_key"
    default_detail = (
        f"Send the header Idempotency-Key with 1 to {LONGEST_KEY} characters: a new one for each verdict, "
        "the same one when you repeat a request."
    )


class CasePages(SafeCursorPagination):
    """Keyset pages, most urgent case first: a queue that moves meanwhile never shows a case twice or hides one."""

    page_size = 50
    ordering = ("deadline_at", "part_id")


class ReviewView(APIView):
    """What all addresses here share: the roles, the person's lines, and conflicts as 409 with a code."""

    roles: ClassVar[tuple[Role, ...]] = REVIEWERS

    def get_permissions(self) -> list[Any]:
        return [holds(*self.roles)()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, actions.LeaseError):
            exc = LeaseEnded(str(exc))
        elif isinstance(exc, actions.TooLateError):
            exc = TooLate(str(exc))
        return super().handle_exception(exc)

    @property
    def person(self) -> Person:
        return cast(Person, self.request.user)  # the permission has let nobody else in

    def lines(self) -> queries.Lines:
        return line_codes(self.person, *self.roles)

    def case(self, pk: int) -> Case:
        return get_object_or_404(queries.cases(self.lines()), pk=pk)

    def page(self, cases: QuerySet[Case], record: Callable[[Case], dict[str, Any]]) -> Response:
        pages = CasePages()
        page = pages.paginate_queryset(cases, self.request, view=self) or []
        return pages.get_paginated_response([record(case) for case in page])


class CasesView(ReviewView):
    @extend_schema(parameters=[forms.CaseFilterForm], responses=ANSWER)
    def get(self, request: Request) -> Response:
        """The queue: open cases (or those in `state`), most urgent first."""
        state = checked(forms.CaseFilterForm, request.query_params).get("state")
        cases = queries.cases(self.lines()).filter(state=state) if state else queries.open_cases(self.lines())
        return self.page(cases, records.case_record)


class NextLeaseView(ReviewView):
    @extend_schema(operation_id="cases_lease_next", request=None, responses={200: ANSWER, 204: None})
    def post(self, request: Request) -> Response:
        """The next case for me: the one already on my screen, else the most urgent one; 204 if none waits."""
        case = actions.lease(person=self.person, lines=self.lines())
        return Response(status=204) if case is None else Response(records.leased_record(case, self.lines()))


class LeaseView(ReviewView):
    @extend_schema(request=forms.RenewalForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Keep the case on my screen."""
        token = checked(forms.RenewalForm, request.data)["token"]
        case = actions.renew_lease(case=self.case(pk), person=self.person, token=token)
        return Response({"case": case.pk, "lease": records.lease_record(case)})

    @extend_schema(request=forms.ReturnForm, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Give the case back undecided."""
        token = checked(forms.ReturnForm, request.data)["token"]
        actions.return_case(case=self.case(pk), person=self.person, token=token)
        return Response(status=204)


class VerdictView(ReviewView):
    @extend_schema(request=forms.VerdictForm, responses=ANSWER, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, pk: int) -> Response:
        """PASS, REJECT or CANNOT_TELL; the same Idempotency-Key again is answered the same and changes nothing."""
        return Response(records.verdict_record(self.give(pk, **checked(forms.VerdictForm, request.data))))

    @extend_schema(request=None, responses=ANSWER)
    def delete(self, request: Request, pk: int) -> Response:
        """Take my verdict back while its window is open; the case is on my screen again, under a new lease."""
        case = actions.undo_verdict(case=self.case(pk), person=self.person)
        return Response(records.leased_record(case, self.lines()))

    def give(self, pk: int, *, lease: str, **said: Any) -> Verdict:
        return actions.give_verdict(
            case=self.case(pk),
            person=self.person,
            token=lease,
            idempotency_key=idempotency_key(self.request),
            **said,
        )


class EscalationView(VerdictView):
    http_method_names = ["post", "options"]

    @extend_schema(request=forms.EscalationForm, responses=ANSWER, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, pk: int) -> Response:
        """I want the quality expert to see this: CANNOT_TELL, marked as an escalation."""
        said = checked(forms.EscalationForm, request.data)
        verdict = self.give(pk, verdict=VerdictWord.CANNOT_TELL, is_escalation=True, **said)
        return Response(records.verdict_record(verdict))


class TiesView(ReviewView):
    roles = (Role.QUALITY_EXPERT,)

    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Cases that wait for the quality expert, with every opinion and no name."""
        return self.page(queries.ties(self.lines()), records.tie_record)


class RulingView(ReviewView):
    roles = (Role.QUALITY_EXPERT,)

    @extend_schema(request=forms.RulingForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Decide a tie: a good part passes, a bad part is rejected."""
        said = checked(forms.RulingForm, request.data)
        ruling = actions.rule(
            case=self.case(pk), person=self.person, grade=Grade(said["grade"]), note=said["note"]
        )
        return Response(records.ruling_record(ruling))


def checked(form: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """What was sent, as the form understands it; 400 with a sentence otherwise."""
    filled = form(data=data)
    filled.is_valid(raise_exception=True)
    return dict(filled.validated_data)


def idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key or len(key) > LONGEST_KEY:
        raise MissingKey
    return key
