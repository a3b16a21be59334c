"""What people may send to training."""

import json
from typing import Any, cast

from rest_framework import serializers

from training.choice import AUTO
from training.recipes import read_json
from vision.families import FAMILIES

MORE_FIELDS = ("seed", "options", "augment", "preprocess")  # behind "More" on the training page


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


def sentences(form: serializers.Serializer) -> dict[str, str]:
    """The first sentence about each field that was refused."""
    return {str(name): str(found[0]) for name, found in cast(dict[str, list[str]], form.errors).items()}


class JsonObject(serializers.JSONField):
    """An object of names and values; on a page as text, where nothing typed is {}."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            return read_json(data if isinstance(data, str) else json.dumps(data))
        except ValueError as problem:
            raise serializers.ValidationError(str(problem)) from problem


class RecipeForm(serializers.Serializer):
    """How a run trains. `family` auto takes what the pictures allow: hybrid once bad parts are graded, else patchcore."""

    family = serializers.ChoiceField(
        choices=[(AUTO, "What the pictures allow"), *family_choices()],
        default=AUTO,
        error_messages={"invalid_choice": "No model family that learns here is called {input}."},
    )
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)
    options = JsonObject(default=dict, help_text="The family's options, where they are not the defaults.")
    augment = JsonObject(default=dict, help_text="A plan of vision.augment: copies and synthetic bad parts.")
    preprocess = JsonObject(
        default=dict,
        help_text="Region of interest, alignment and crop, as fit_model --preprocess takes them; pictures by sha256.",
    )


class RunForm(RecipeForm):
    """`dataset_version` is the id that POST datasets/{id}/versions/ answers."""

    dataset_version = serializers.IntegerField(min_value=1)


class FreezeAndTrainForm(RecipeForm):
    """The one button of the training page; an empty field is its default."""

    dataset = serializers.IntegerField(
        min_value=1, error_messages={"required": "Choose a dataset.", "invalid": "Choose a dataset."}
    )

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value({name: value for name, value in data.items() if value.strip()})
