"""What people may send to training."""

from rest_framework import serializers

from vision.families import FAMILIES


def family_choices() -> list[tuple[str, str]]:
    """The families that a run can fit here; imported ones come by `import_model`."""
    return [
        (name, family.title)
        for name, family in FAMILIES.items()
        if family.learns_from != "a file" and family.is_available
    ]


def family_label(name: str) -> str:
    """The family's name as people write it."""
    family = FAMILIES.get(name)
    return family.title.partition(":")[0] if family else name


class RunForm(serializers.Serializer):
    """`dataset_version` is the id that POST datasets/{id}/versions/ answers."""

    dataset_version = serializers.IntegerField(min_value=1)
    family = serializers.ChoiceField(choices=family_choices(), default="patchcore")
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


class FreezeAndTrainForm(serializers.Serializer):
    """The one button of the training page."""

    dataset = serializers.IntegerField(min_value=1)
    family = serializers.ChoiceField(choices=family_choices(), default="patchcore")
