"""What people may send to training."""

from rest_framework import serializers

from vision.model_file import families

FAMILY_LABELS = {"patchcore": "PatchCore: learns from good parts, better with graded bad ones"}


def family_choices() -> list[tuple[str, str]]:
    return [(name, FAMILY_LABELS.get(name, name)) for name in families()]


def family_label(name: str) -> str:
    """The family's name as people write it."""
    return FAMILY_LABELS.get(name, name).partition(":")[0]


class RunForm(serializers.Serializer):
    """`dataset_version` is the id that POST datasets/{id}/versions/ answers."""

    dataset_version = serializers.IntegerField(min_value=1)
    family = serializers.ChoiceField(choices=family_choices(), default="patchcore")
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


class FreezeAndTrainForm(serializers.Serializer):
    """The one button of the training page."""

    dataset = serializers.IntegerField(min_value=1)
    family = serializers.ChoiceField(choices=family_choices(), default="patchcore")
