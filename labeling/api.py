"""REST of labeling: labels, datasets, their versions, and exports."""

from typing import Any, ClassVar, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.permissions import holds
from accounts.queries import has_role_on, line_codes
from audit.actor import Actor
from inspection.models import Line
from labeling import actions, export, forms, queries, records
from labeling.masks import MaskError, mask_bytes
from labeling.models import Dataset, DatasetVersion
from labeling.states import ExportFormat

READERS = (Role.DATA_COLLECTOR, Role.IMAGE_LABELER, Role.VISION_DEVELOPER, Role.QUALITY_EXPERT)
WRITERS = (Role.DATA_COLLECTOR, Role.VISION_DEVELOPER)
LABEL_READERS = (Role.IMAGE_LABELER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER)
PAINTERS = (Role.IMAGE_LABELER, Role.QUALITY_EXPERT)
MOST_PROPOSALS = 100
ANSWER = OpenApiTypes.OBJECT


class NothingToFreeze(APIException):
    status_code = 409
    default_code = "nothing_to_freeze"


class NotPaintable(APIException):
    status_code = 409
    default_code = "not_paintable"


class LabelingView(APIView):
    """What all addresses here share: readers may look, writers may change, each on their lines."""

    readers: ClassVar[tuple[Role, ...]] = READERS
    writers: ClassVar[tuple[Role, ...]] = WRITERS

    def get_permissions(self) -> list[Any]:
        return [holds(*self.roles())()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, actions.NothingToFreezeError):
            exc = NothingToFreeze(str(exc))
        if isinstance(exc, actions.NotPaintableError):
            exc = NotPaintable(str(exc))
        if isinstance(exc, MaskError):
            exc = ValidationError({"mask": str(exc)})
        return super().handle_exception(exc)

    def roles(self) -> tuple[Role, ...]:
        return self.readers if self.request.method == "GET" else self.writers

    def person(self) -> Person:
        return cast(Person, self.request.user)  # the permissions let nobody else in

    def dataset(self, pk: int) -> Dataset:
        return get_object_or_404(queries.datasets_on(line_codes(self.person(), *self.roles())), pk=pk)


class Datasets(LabelingView):
    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        datasets = queries.datasets_on(line_codes(self.person(), *READERS))
        return Response({"results": [records.dataset_record(dataset) for dataset in datasets]})

    @extend_schema(request=forms.DatasetForm, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        form = forms.DatasetForm(data=request.data)
        form.is_valid(raise_exception=True)
        line = get_object_or_404(Line, code=form.validated_data["line"])
        if not has_role_on(self.person(), line.code, *WRITERS):
            raise PermissionDenied(f"Your role does not cover the line {line.code}.")
        dataset = actions.make_dataset(
            line=line, name=form.validated_data["name"], actor=Actor.person(self.person())
        )
        return Response(records.dataset_record(dataset), status=201)


class Versions(LabelingView):
    @extend_schema(request=None, responses={201: ANSWER})
    def post(self, request: Request, pk: int) -> Response:
        version = actions.freeze_version(dataset=self.dataset(pk), actor=Actor.person(self.person()))
        return Response(records.version_record(version), status=201)


class Labels(LabelingView):
    readers = LABEL_READERS
    writers = PAINTERS
    parser_classes = (MultiPartParser,)

    @extend_schema(parameters=[forms.LabelsForm], responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Every painting of one part, newest first; the first stands."""
        form = forms.LabelsForm(data=request.query_params)
        form.is_valid(raise_exception=True)
        labels = queries.labels_on(line_codes(self.person(), *self.roles())).filter(
            part=form.validated_data["part"]
        )
        return Response({"results": [records.label_record(label) for label in labels]})

    @extend_schema(request={"multipart/form-data": forms.LabelForm}, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        """Paint where a bad part's defect is. A repaint is a new label; dataset versions keep what they froze."""
        form = forms.LabelForm(data=request.data)
        form.is_valid(raise_exception=True)
        mine = line_codes(self.person(), *self.roles())
        part = get_object_or_404(queries.parts_on(mine), pk=form.validated_data["part"])
        label = actions.paint_label(
            part=part,
            mask=form.validated_data["mask"].read(),
            person=self.person(),
            actor=Actor.person(self.person()),
        )
        return Response(records.label_record(label), status=201)


class Proposals(LabelingView):
    readers = LABEL_READERS

    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Regions that inspectors marked on bad parts that nobody has painted yet, newest first."""
        found = queries.proposals_on(line_codes(self.person(), *self.roles()))[:MOST_PROPOSALS]
        return Response({"results": [records.proposal_record(verdict) for verdict in found]})


class Proposal(LabelingView):
    writers = PAINTERS

    @extend_schema(request=None, responses={201: ANSWER})
    def post(self, request: Request, pk: int) -> Response:
        """Take the marked boxes as the part's label."""
        verdict = get_object_or_404(queries.proposals_on(line_codes(self.person(), *self.roles())), pk=pk)
        label = actions.take_proposal(
            verdict=verdict, person=self.person(), actor=Actor.person(self.person())
        )
        return Response(records.label_record(label), status=201)


class LabelMask(LabelingView):
    readers = LABEL_READERS

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """The mask as PNG, white where the defect was painted."""
        label = get_object_or_404(queries.labels_on(line_codes(self.person(), *self.roles())), pk=pk)
        return HttpResponse(mask_bytes(label), content_type="image/png")


class Export(LabelingView):
    @extend_schema(parameters=[forms.ExportForm], responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int, number: int) -> StreamingHttpResponse:
        form = forms.ExportForm(data=request.query_params)
        form.is_valid(raise_exception=True)
        version = get_object_or_404(DatasetVersion, dataset=self.dataset(pk), number=number)
        return _zip(request, version, ExportFormat(form.validated_data["format"]))


def _zip(request: Request, version: DatasetVersion, layout: ExportFormat) -> StreamingHttpResponse:
    chunks = export.zip_chunks(version, layout)
    served_async = isinstance(request._request, ASGIRequest)
    response = StreamingHttpResponse(export.in_thread(chunks) if served_async else chunks)
    response["Content-Type"] = "application/zip"
    name = f"{version.dataset.line.code}-v{version.number}-{layout}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
