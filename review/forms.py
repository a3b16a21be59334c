"""What people may send: checked here, so that actions get only known words."""

from rest_framework import serializers

from review.states import CaseState, Grade, VerdictWord

MOST_MS = 2**31 - 1


class EscalationForm(serializers.Serializer):
    """A case goes to the quality expert. `lease` is the token of POST cases/lease/."""

    lease = serializers.CharField(max_length=64)
    defect_type = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    seen_ms = serializers.IntegerField(
        min_value=0,
        max_value=MOST_MS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Looked at for so long.",
    )


class VerdictForm(EscalationForm):
    verdict = serializers.ChoiceField(choices=VerdictWord.choices)


class RenewalForm(serializers.Serializer):
    token = serializers.CharField(max_length=64)


class ReturnForm(serializers.Serializer):
    """The token is optional: without it the person's case is given back from whichever screen it is on."""

    token = serializers.CharField(max_length=64, required=False, default="")


class RulingForm(serializers.Serializer):
    grade = serializers.ChoiceField(choices=Grade.choices)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class CaseFilterForm(serializers.Serializer):
    state = serializers.ChoiceField(choices=CaseState.choices, required=False)
