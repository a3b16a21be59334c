"""REST of inspection: captures in, images and defect maps out."""

from typing import Any, cast

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import DeviceAccount, Person, Role
from accounts.permissions import CameraDevice, holds
from accounts.queries import has_role_on
from audit.actor import Actor
from inspection import actions, storage
from inspection.forms import CaptureForm
from inspection.models import Inspection, Part
from inspection.pictures import PictureError, picture_response, shown_image
from inspection.queries import deciding_view


class DifferentImage(APIException):
    status_code = 409
    default_code = "different_image"


class TriggerGap(APIException):
    status_code = 422
    default_code = "trigger_gap"


class UnreadableImage(APIException):
    """422, and yet the part is safe: it was held or rejected, and the answer names it."""

    status_code = 422
    default_code = "unreadable_image"

    def __init__(self, detail: str, extra: dict[str, Any]) -> None:
        super().__init__(detail)
        self.extra = extra


class Captures(APIView):
    permission_classes = (CameraDevice,)
    parser_classes = (MultiPartParser, FormParser)

    @extend_schema(request=CaptureForm, responses={201: dict, 200: dict, 409: dict, 422: dict})
    def post(self, request: Request) -> Response:
        """Take in one image of one trigger: 201 once it is durable, 200 for the same again."""
        form = CaptureForm(data=request.data)
        form.is_valid(raise_exception=True)
        sent = dict(form.validated_data)
        camera = cast(DeviceAccount, request.user)
        if camera.station_code not in {"", sent["station"].code}:
            raise PermissionDenied(f"This camera belongs to station {camera.station_code}.")
        try:
            done = actions.capture(data=sent.pop("image").read(), actor=Actor.device(camera), **sent)
        except actions.DifferentImageError as conflict:
            raise DifferentImage(str(conflict)) from conflict
        except actions.UnknownViewError as unknown:
            raise ValidationError(str(unknown)) from unknown
        except actions.TriggerGapError as gap:
            raise TriggerGap(str(gap)) from gap
        body = {"part": done.part.pk, "inspection": done.part.plc_part_id, "state": done.part.state}
        if done.image.problem:
            raise UnreadableImage(done.image.problem, body)
        return Response(body, status=201 if done.is_new else 200)


class PartPicture(APIView):
    """Base of the image and the map of a part, for people with a role on its line."""

    permission_classes = (holds(*Role),)

    def part(self, request: Request, part_id: int) -> Part:
        part = get_object_or_404(Part.objects.select_related("line", "station"), pk=part_id)
        if not has_role_on(cast(Person, request.user), part.line.code, *Role):
            raise PermissionDenied(f"You have no role on line {part.line.code}.")
        return part


class PartImage(PartPicture):
    @extend_schema(responses={(200, "image/*"): bytes})
    def get(self, request: Request, part_id: int) -> HttpResponse:
        part = self.part(request, part_id)
        view = request.query_params.get("view", deciding_view(part))
        image = next((each for each in part.images.all() if each.view == view), None)
        if image is None:
            raise NoPicture(f"Part {part} has no image of view {view!r}.")
        try:
            return picture_response(*shown_image(image, max_pixels=part.station.max_pixels))
        except PictureError as problem:
            raise NoPicture(str(problem)) from problem


class PartMap(PartPicture):
    """Not for those who only judge: they see what the model saw in their case, when the line lets them."""

    permission_classes = (holds(*(role for role in Role if role != Role.MANUAL_INSPECTOR)),)

    @extend_schema(responses={(200, "image/png"): bytes})
    def get(self, request: Request, part_id: int) -> HttpResponse:
        inspection = get_object_or_404(
            Inspection.objects.exclude(map_file=""), part=self.part(request, part_id)
        )
        return picture_response(storage.read(inspection.map_file), "image/png")


class NoPicture(APIException):
    status_code = 404
    default_code = "no_picture"
