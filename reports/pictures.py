"""The picture of a part, for everybody who may find the part itself."""

from typing import cast

from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from accounts.models import Person
from inspection.api import PartImage
from inspection.models import Part
from reports.queries.parts import parts_for


class UnbiasedImage(PartImage):
    """Beside the picture of a probe, that of the part which lends it its number would tell."""

    def part(self, request: Request, part_id: int) -> Part:
        part = super().part(request, part_id)
        return get_object_or_404(parts_for(cast(Person, request.user)), pk=part.pk)
