"""What cameras may send."""

import json
import math
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
            value = (
                json.loads(data, parse_constant=_refuse, parse_float=_finite)
                if isinstance(data, str)
                else data
            )
        except (ValueError, RecursionError) as problem:
            raise serializers.ValidationError(f"This is no JSON object: {problem}.") from problem
        if not isinstance(value, dict):
            raise serializers.ValidationError("Metadata must be a JSON object.")
        if not _is_storable(value):
            raise serializers.ValidationError("Metadata may not hold NUL characters or halves of characters.")
        return value

    def to_representation(self, value: Any) -> Any:
        return value


def _is_storable(value: dict[str, Any]) -> bool:
    """PostgreSQL's JSON holds no NUL character and no half of a surrogate pair."""
    text = json.dumps(value, ensure_ascii=False).replace(r"\\", "")
    return r"\u0000" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")


def _finite(text: str) -> float:
    """1e999 is written like a number and read as infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


@extend_schema_field(OpenApiTypes.STR)
class StationField(serializers.Field):
    def to_internal_value(self, data: Any) -> Station:
        code = str(data)
        station = station_by_code(code) if code.isprintable() else None
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
