"""REST of training: runs, candidates and their acceptance, golden configurations."""

from typing import Any, ClassVar, cast

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import inspection.actions
from accounts.models import Person, Role
from accounts.pages import SafeCursorPagination
from accounts.permissions import holds
from accounts.queries import line_codes
from audit.actor import Actor
from inspection.models import GoldenConfiguration
from labeling.queries import versions_on
from training import actions, forms, queries, records

TRAINERS = (Role.VISION_DEVELOPER,)
APPROVERS = (Role.VISION_DEVELOPER, Role.QUALITY_EXPERT)
ANSWER = OpenApiTypes.OBJECT


class RunGoesOn(APIException):
    status_code = 409
    default_code = "run_goes_on"


class CandidatePages(SafeCursorPagination):
    page_size = 50
    ordering = "-id"


class TrainingView(APIView):
    """What all addresses here share: the roles, and the person's lines."""

    roles: ClassVar[tuple[Role, ...]] = APPROVERS

    def get_permissions(self) -> list[Any]:
        return [holds(*self.roles)()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, actions.RunGoesOnError):
            exc = RunGoesOn(str(exc))
        if isinstance(exc, actions.RecipeError):
            exc = ValidationError({exc.field: str(exc)})
        return super().handle_exception(exc)

    def person(self) -> Person:
        return cast(Person, self.request.user)  # the permissions let nobody else in

    def actor(self) -> Actor:
        return Actor.person(self.person())

    def lines(self) -> queries.Lines:
        return line_codes(self.person(), *self.roles)

    def golden(self, pk: int) -> GoldenConfiguration:
        return get_object_or_404(queries.goldens_on(self.lines()), pk=pk)


class Runs(TrainingView):
    roles = TRAINERS

    @extend_schema(request=forms.RunForm, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        form = forms.RunForm(data=request.data)
        form.is_valid(raise_exception=True)
        sent = dict(form.validated_data)
        version = get_object_or_404(versions_on(self.lines()), pk=sent.pop("dataset_version"))
        run = actions.start_run(dataset_version=version, actor=self.actor(), person=self.person(), **sent)
        return Response(records.run_record(run), status=201)


class RunDetail(TrainingView):
    @extend_schema(responses=ANSWER)
    def get(self, request: Request, pk: int) -> Response:
        return Response(records.run_record(get_object_or_404(queries.runs_on(self.lines()), pk=pk)))


class Candidates(TrainingView):
    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Candidates of your lines with their figures before and after, newest first."""
        pages = CandidatePages()
        page = pages.paginate_queryset(queries.candidates_on(self.lines()), request, view=self) or []
        return pages.get_paginated_response([records.candidate_record(candidate) for candidate in page])


class Acceptance(TrainingView):
    @extend_schema(request=None, responses={201: ANSWER})
    def post(self, request: Request, pk: int) -> Response:
        """Accept the candidate: its golden configuration is written and locked; activating it is a step of its own."""
        candidate = get_object_or_404(queries.candidates_on(self.lines()), pk=pk)
        actions.accept(candidate=candidate, actor=self.actor())
        return Response(records.candidate_record(candidate), status=201)


class GoldenLock(TrainingView):
    @extend_schema(request=None, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        golden = inspection.actions.lock_golden(golden=self.golden(pk), actor=self.actor())
        return Response(records.golden_record(golden))


class GoldenActivation(TrainingView):
    @extend_schema(request=None, responses=ANSWER)
    def post(self, request: Request, pk: int) -> Response:
        """Make this the line's active configuration: a locked one for the first time, or a retired one again."""
        golden = actions.make_active(golden=self.golden(pk), actor=self.actor(), person=self.person())
        return Response(records.golden_record(golden))
