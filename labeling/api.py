"""REST of labeling: datasets, their versions, and exports."""

from typing import Any, ClassVar, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.permissions import holds
from accounts.queries import has_role_on, line_codes
from audit.actor import Actor
from inspection.models import Line
from labeling import actions, export, forms, queries, records
from labeling.models import Dataset, DatasetVersion
from labeling.states import ExportFormat

READERS = (Role.DATA_COLLECTOR, Role.IMAGE_LABELER, Role.VISION_DEVELOPER, Role.QUALITY_EXPERT)
WRITERS = (Role.DATA_COLLECTOR, Role.VISION_DEVELOPER)
ANSWER = OpenApiTypes.OBJECT


class NothingToFreeze(APIException):
    status_code = 409
    default_code = "nothing_to_freeze"


class LabelingView(APIView):
    """What all addresses here share: readers may look, writers may change, each on their lines."""

    readers: ClassVar[tuple[Role, ...]] = READERS

    def get_permissions(self) -> list[Any]:
        return [holds(*(self.readers if self.request.method == "GET" else WRITERS))()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, actions.NothingToFreezeError):
            exc = NothingToFreeze(str(exc))
        return super().handle_exception(exc)

    def person(self) -> Person:
        return cast(Person, self.request.user)  # the permissions let nobody else in

    def dataset(self, pk: int) -> Dataset:
        roles = self.readers if self.request.method == "GET" else WRITERS
        return get_object_or_404(queries.datasets_on(line_codes(self.person(), *roles)), pk=pk)


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
