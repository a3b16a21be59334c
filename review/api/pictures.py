"""Pictures of a case, under the case's own address: by nothing can a probe be told from a part of the line."""

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.models import Role
from accounts.queries import has_role
from inspection import storage
from inspection.models import Inspection, PartType
from inspection.pictures import PictureError, picture_response, shown_image
from inspection.queries import deciding_view
from review import queries, records
from review.api.base import ReviewView
from review.models import Case
from review.references import reference_picture
from review.states import CaseState
from vision import maps


class NoPicture(APIException):
    status_code = 404
    default_code = "no_picture"


class StillBlind(APIException):
    status_code = 409
    default_code = "blind_first"
    default_detail = (
        "On this line the first opinion comes before the map: POST first-opinion/, then ask again."
    )


class PictureView(ReviewView):
    """Cases on the person's lines, and precedents of the types of parts that these lines make."""

    def case(self, pk: int) -> Case:
        lines = self.lines()
        seen = queries.cases(None).filter(pk=pk)
        if lines is not None:
            part_types = PartType.objects.filter(lines__code__in=lines)
            seen = seen.filter(
                Q(shown_part__line__code__in=lines)
                | Q(ruling__is_precedent=True, part__part_type__in=part_types)
            )
        return get_object_or_404(seen)


class CaseImage(PictureView):
    @extend_schema(responses={(200, "image/*"): bytes})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """The picture that is judged, as it came from the camera where a browser can show that."""
        case = self.case(pk)
        view = request.query_params.get("view", deciding_view(case.part))
        image = next((each for each in case.part.images.all() if each.view == view), None)
        if image is None:
            raise NoPicture(f"This case has no image of view {view!r}.")
        try:
            return picture_response(*shown_image(image, max_pixels=case.part.station.max_pixels))
        except PictureError as problem:
            raise NoPicture(str(problem)) from problem


class CaseMap(PictureView):
    @extend_schema(responses={(200, "image/png"): bytes})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """The defect map, one byte a pixel; on a blind-first line only after the first opinion."""
        case = self.case(pk)
        if case.state != CaseState.CLOSED and records.look_at(case, self.person).is_blind:
            raise StillBlind
        inspection = records.inspection_of(case.part)
        if inspection is None or not inspection.map_file:
            raise NoPicture("The model kept no map of this part.")
        stored = storage.read(inspection.map_file)
        is_told_all = has_role(self.person, Role.QUALITY_EXPERT)
        if is_told_all and case.state in {CaseState.TIED, CaseState.CLOSED}:
            return picture_response(stored, "image/png")
        return picture_response(map_as_shown(case, inspection, stored), "image/png")


class CaseReference(PictureView):
    @extend_schema(responses={(200, "image/jpeg"): bytes})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """A good part, laid onto the picture of the case where that can be done."""
        try:
            good = reference_picture(self.case(pk), request.query_params.get("view", ""))
        except PictureError as problem:
            raise NoPicture(str(problem)) from problem
        response = picture_response(good.data, "image/jpeg")
        response["X-Registered"] = "yes" if good.is_registered else "no"
        return response


def map_as_shown(case: Case, inspection: Inspection, stored: bytes) -> bytes:
    """The map on the scale of the score that the screen shows.

    A pass that is audited has an empty map and a known part one of another model: both would tell. Every map goes
    through the same steps, so that time does not tell either; that of a held part comes out as it was. Only the
    expert sees the model's own map, on a tie and afterwards.
    """
    defect_map = maps.from_png(stored)
    if case.kind in records.UNMARKED and case.shown_score is not None and inspection.score:
        # The score lies a little below the peak; by the same share it lies below it on this scale.
        defect_map = defect_map * (case.shown_score / inspection.score)
    return maps.to_png(defect_map.clip(0.0, 1.0))
