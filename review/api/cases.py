"""REST of the queue: leases, first opinions, verdicts, ties and rulings."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Role
from accounts.queries import has_role
from review import actions, forms, queries, records
from review.api.base import ANSWER, CasePages, ReviewView, checked
from review.models import Case, Verdict
from review.states import CaseState, Grade, VerdictWord

LONGEST_KEY = 64
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="New for each verdict, same for repeats.",
)


class MissingKey(APIException):
    status_code = 400
    default_code = "missing_idempotency_key"
    default_detail = (
        f"Send the header Idempotency-Key with 1 to {LONGEST_KEY} characters: a new one for each verdict, "
        "the same one when you repeat a request."
    )


class NoCase(APIException):
    status_code = 404
    default_code = "no_case"


def cases_seen_by(view: ReviewView) -> QuerySet[Case]:
    """An inspector sees what waits and what is on the own screen; what became of other cases would tell probes."""
    found = queries.open_cases(view.lines())
    if has_role(view.person, Role.QUALITY_EXPERT):
        return found
    return found.filter(Q(state=CaseState.WAITING) | Q(state=CaseState.LEASED, reviewer=view.person))


def page_of(
    view: ReviewView, cases: QuerySet[Case], records_of: Callable[[list[Case]], list[dict[str, Any]]]
) -> Response:
    pages = CasePages()
    page = pages.paginate_queryset(cases, view.request, view=view) or []
    return pages.get_paginated_response(records_of(page))


class CasesView(ReviewView):
    @extend_schema(parameters=[forms.CaseFilterForm], responses=ANSWER)
    def get(self, request: Request) -> Response:
        """The queue: what waits and what is on my screen (the expert: all that is open), most urgent first."""
        state = checked(forms.CaseFilterForm, request.query_params).get("state")
        cases = cases_seen_by(self)
        if state:
            is_expert = has_role(self.person, Role.QUALITY_EXPERT)
            cases = (queries.cases(self.lines()) if is_expert else cases).filter(state=state)
        return page_of(self, cases, _unrevealed)


def _unrevealed(cases: list[Case]) -> list[dict[str, Any]]:
    """On blind-first lines a list tells nothing of the model either."""
    policies = queries.policies_of(case.shown_part.line_id for case in cases)
    return [
        records.case_record(case, is_blind=policies[case.shown_part.line_id].is_blind_first) for case in cases
    ]


class NextLeaseView(ReviewView):
    @extend_schema(operation_id="cases_lease_next", request=None, responses={200: ANSWER, 204: None})
    def post(self, request: Request) -> Response:
        """The next case for me: the one already on my screen, else the most urgent one; 204 if none waits."""
        lines = self.lines()
        case = actions.lease(person=self.person, lines=lines)
        if case is None:
            return Response(status=204)
        return Response(records.leased_record(self.case(case.pk), self.person, lines))


class InHandView(ReviewView):
    @extend_schema(operation_id="cases_lease_in_hand", request=forms.InHandForm, responses=ANSWER)
    def post(self, request: Request) -> Response:
        """I hold the part and have scanned its code: give me its case."""
        code = checked(forms.InHandForm, request.data)["code"].strip()
        if queries.case_in_hand(code, self.lines()) is None:
            actions.open_cases(actor=self.actor)
        if queries.case_in_hand(code, self.lines()) is None:
            raise NoCase(f"No part {code} waits for a verdict on your lines. Scan its code again.")
        case = actions.lease_in_hand(person=self.person, code=code, lines=self.lines())
        return Response(records.leased_record(case, self.person, self.lines()))


class LeaseView(ReviewView):
    @extend_schema(request=forms.RenewalForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Keep the case on my screen."""
        token = checked(forms.RenewalForm, request.data)["token"]
        case = actions.renew_lease(case=self.bare_case(pk), person=self.person, token=token)
        return Response({"case": case.pk, "lease": records.lease_record(case)})

    @extend_schema(request=forms.ReturnForm, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Give the case back undecided."""
        token = checked(forms.ReturnForm, request.data)["token"]
        actions.return_case(case=self.bare_case(pk), person=self.person, token=token)
        return Response(status=204)


class FirstOpinionView(ReviewView):
    @extend_schema(request=forms.FirstOpinionForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """On a blind-first line: what I think before I see what the model thinks. The answer shows the rest."""
        said = checked(forms.FirstOpinionForm, request.data)
        case = self.case(pk)
        actions.give_first_opinion(
            case=case, person=self.person, token=said["lease"], verdict=VerdictWord(said["verdict"])
        )
        return Response(records.leased_record(case, self.person, self.lines()))


class VerdictView(ReviewView):
    @extend_schema(request=forms.VerdictForm, responses=ANSWER, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, pk: int) -> Response:
        """PASS, REJECT or CANNOT_TELL; the same Idempotency-Key again is answered the same and changes nothing."""
        return Response(records.verdict_record(self.give(pk, **checked(forms.VerdictForm, request.data))))

    @extend_schema(request=None, responses=ANSWER)
    def delete(self, request: Request, pk: int) -> Response:
        """Take my verdict back while its window is open; the case is on my screen again, under a new lease."""
        case = actions.undo_verdict(case=self.case(pk), person=self.person)
        return Response(records.leased_record(case, self.person, self.lines()))

    def give(self, pk: int, *, lease: str, **said: Any) -> Verdict:
        return actions.give_verdict(
            case=self.bare_case(pk),
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
        return page_of(self, queries.ties(self.lines()), records.tie_records)


class RulingView(ReviewView):
    roles = (Role.QUALITY_EXPERT,)

    @extend_schema(request=forms.RulingForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Decide a tie: a good part passes, a bad part is rejected. A ruling may become a precedent and a criterion."""
        said = checked(forms.RulingForm, request.data)
        grade = Grade(said.pop("grade"))
        ruling = actions.rule(case=self.case(pk), person=self.person, grade=grade, **said)
        return Response(records.ruling_record(ruling))


class CorrectionView(ReviewView):
    roles = (Role.QUALITY_EXPERT,)

    @extend_schema(request=forms.CorrectionForm, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Change what a verdict did to a held part; 409 `unfit` once the PLC has let the part go."""
        said = checked(forms.CorrectionForm, request.data)
        grade = Grade(said.pop("grade"))
        ruling = actions.correct_verdict(case=self.case(pk), person=self.person, grade=grade, **said)
        return Response(records.ruling_record(ruling))


def idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key or len(key) > LONGEST_KEY:
        raise MissingKey
    return key
