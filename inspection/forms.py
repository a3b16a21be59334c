"""What cameras may send."""

import json
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inspection.models import Station
from inspection.queries import station_by_code

MOST_METADATA_BYTES = 8_192


@extend_schema_field(OpenApiTypes.OBJECT)
class StrictJSONField(serializers.Field):
    """A JSON object sent as text in a multipart form; NaN and Infinity are no JSON."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if len(str(data)) > MOST_METADATA_BYTES:
            raise serializers.ValidationError(f"Metadata may have at most {MOST_METADATA_BYTES} characters.")
        try:
            value = json.loads(data, parse_constant=_refuse) if isinstance(data, str) else data
        except ValueError as problem:
            raise serializers.ValidationError(f"This is no JSON object: {problem}.") from problem
        if not isinstance(value, dict):
            raise serializers.ValidationError("Metadata must be a JSON object.")
        return value

    def to_representation(self, value: Any) -> Any:
        return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")


@extend_schema_field(OpenApiTypes.STR)
class StationField(serializers.Field):
    def to_internal_value(self, data: Any) -> Station:
        station = station_by_code(str(data))
        if station is None:
            raise serializers.ValidationError(f"There is no station {data!r}.")
        return station

    def to_representation(self, value: Station) -> str:
        return value.code


class CaptureForm(serializers.Serializer):
    """POST /api/v1/captures/"""

    image = serializers.FileField(allow_empty_file=True)
    station = StationField()
    trigger_seq = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    epoch = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    view = serializers.RegexField(r"^[a-z0-9_-]{1,32}$", default="main")
    serial = serializers.RegexField(r"^[\x21-\x7e]{0,64}$", default="", allow_blank=True)
    metadata = StrictJSONField(required=False)
