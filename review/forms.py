"""What people may send: checked here, so that actions get only known words."""

from typing import Any

from rest_framework import serializers

from inspection.models import Line, Part
from review.models import ReviewPolicy
from review.states import CaseState, Grade, Handling, VerdictWord

MOST_MS = 2**31 - 1
MOST_MARKS = 50
MOST_PX = 100_000


class MarkField(serializers.ListField):
    """A box in image pixels: x, y, width, height."""

    child = serializers.IntegerField(min_value=0, max_value=MOST_PX)

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=4, max_length=4, **options)

    def to_internal_value(self, data: Any) -> list[int]:
        box = super().to_internal_value(data)
        # Its length is checked only after this.
        if len(box) != 4 or not (box[2] and box[3]):
            raise serializers.ValidationError("A mark is [x, y, width, height] in pixels, at least 1 x 1.")
        return box


class EscalationForm(serializers.Serializer):
    """A case goes to the quality expert. `lease` is the token of POST cases/lease/."""

    lease = serializers.CharField(max_length=64)
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    handling = serializers.ChoiceField(
        choices=Handling.choices,
        required=False,
        allow_blank=True,
        default="",
        help_text="What had to be done with the real part before anybody could tell.",
    )
    marks = serializers.ListField(
        child=MarkField(),
        max_length=MOST_MARKS,
        required=False,
        default=list,
        help_text="Boxes [x, y, width, height] in image pixels, kept as proposed labels.",
    )
    seen_ms = serializers.IntegerField(
        min_value=0,
        max_value=MOST_MS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Looked at for so long.",
    )
    active_ms = serializers.IntegerField(
        min_value=0,
        max_value=MOST_MS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Worked without a break for so long.",
    )


class VerdictForm(EscalationForm):
    verdict = serializers.ChoiceField(choices=VerdictWord.choices)


class FirstOpinionForm(serializers.Serializer):
    lease = serializers.CharField(max_length=64)
    verdict = serializers.ChoiceField(choices=VerdictWord.choices)


class RenewalForm(serializers.Serializer):
    token = serializers.CharField(max_length=64)


class ReturnForm(serializers.Serializer):
    """The token is optional: without it the person's case is given back from whichever screen it is on."""

    token = serializers.CharField(max_length=64, required=False, default="")


class InHandForm(serializers.Serializer):
    code = serializers.CharField(max_length=64, help_text="Serial or number of the part, as its code reads.")


class RulingForm(serializers.Serializer):
    grade = serializers.ChoiceField(choices=Grade.choices)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    is_precedent = serializers.BooleanField(required=False, default=False)
    criterion = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class CorrectionForm(serializers.Serializer):
    grade = serializers.ChoiceField(choices=Grade.choices)
    note = serializers.CharField(max_length=300, help_text="Why; it goes into the record.")
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")


class CaseFilterForm(serializers.Serializer):
    state = serializers.ChoiceField(choices=CaseState.choices, required=False)


class LineForm(serializers.Serializer):
    line = serializers.SlugRelatedField(slug_field="code", queryset=Line.objects.all(), required=False)


class ActivityForm(serializers.Serializer):
    active_ms = serializers.IntegerField(
        min_value=0, max_value=MOST_MS, help_text="Active since the last call."
    )


class KeysForm(serializers.Serializer):
    keys = serializers.DictField(child=serializers.CharField(max_length=20), allow_empty=True)

    def validate_keys(self, keys: dict[str, str]) -> dict[str, str]:
        if len(keys) > 64 or any(len(verb) > 32 for verb in keys):
            raise serializers.ValidationError("Send at most 64 verbs of at most 32 characters.")
        used = [key.lower() for key in keys.values()]
        if len(set(used)) < len(used):
            raise serializers.ValidationError("One key was given to two verbs. Give each its own.")
        return keys


class WordsField(serializers.ListField):
    """A list of words, or one text with commas as a page sends it."""

    child = serializers.CharField(max_length=64)

    def to_internal_value(self, data: Any) -> list[str]:
        if len(data) == 1 and isinstance(data[0], str):
            data = [word.strip() for word in data[0].split(",") if word.strip()]
        return super().to_internal_value(data)


class PolicyForm(serializers.ModelSerializer):
    reference_part = serializers.PrimaryKeyRelatedField(
        queryset=Part.objects.all(), required=False, allow_null=True
    )
    defect_types = WordsField(max_length=9, required=False, allow_empty=True)

    class Meta:
        model = ReviewPolicy
        fields = (
            "is_blind_first", "double_share", "newcomer_days", "probe_share", "audit_share", "amber_s",
            "break_after_min", "late_grading_h", "degrades_on_overflow", "overkill_cost", "reference_part",
            "defect_types",
        )  # fmt: skip


class ProbeForm(serializers.Serializer):
    part = serializers.PrimaryKeyRelatedField(queryset=Part.objects.select_related("line"))
    grade = serializers.ChoiceField(choices=Grade.choices)
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")


class CriterionForm(serializers.Serializer):
    line = serializers.SlugRelatedField(slug_field="code", queryset=Line.objects.select_related("part_type"))
    text = serializers.CharField(max_length=500)
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")


class FlagForm(serializers.Serializer):
    """Which part: its id here, or the serial on it (or its number, where it carries none)."""

    part = serializers.PrimaryKeyRelatedField(queryset=Part.objects.all(), required=False)
    serial = serializers.CharField(max_length=64, required=False, default="")
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")

    def validate(self, sent: dict[str, Any]) -> dict[str, Any]:
        if "part" not in sent and not sent["serial"]:
            raise serializers.ValidationError("Say which part: send `serial` or `part`.")
        return sent


class WatchForm(serializers.Serializer):
    note = serializers.CharField(max_length=500)
