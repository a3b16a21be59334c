"""What a person asks of a run, as JSON, read strictly before anything starts."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from training.learning import LearningError
from training.teaching import Recipe
from vision.augment import AugmentPlan
from vision.families import FAMILIES, options_of
from vision.options import read_options
from vision.preprocess.chain import Preprocess
from vision.preprocess.plan import ReadPicture, preprocess_of


class RecipeError(ValueError):
    """This cannot be trained; `field` names what is wrong of family, options, augment and preprocess."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class UnknownFamilyError(RecipeError):
    """No model family that learns has this name here."""

    def __init__(self, sentence: str) -> None:
        super().__init__("family", sentence)


def read_recipe(
    *,
    family: str,
    seed: int,
    options: Mapping[str, Any],
    augment: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    read: ReadPicture,
) -> Recipe:
    """The recipe, all of it checked; {} is the family's defaults, no augmentation, no preprocessing.

    read  the bytes of a picture that the preprocessing names

    Raises RecipeError with the field and a sentence.
    """
    check_family(family)
    plan = _plan(augment)
    recipe = Recipe(
        family, seed, _options(family, options), plan, _chain(preprocess, read) if preprocess else None
    )
    try:
        recipe.check()
    except LearningError as problem:
        raise RecipeError("augment", str(problem)) from problem
    return recipe


def check_family(family: str) -> None:
    """Raises UnknownFamilyError unless a run can fit it here."""
    known = FAMILIES.get(family)
    if known is None:
        learn = sorted(name for name, each in FAMILIES.items() if each.learns_from != "a file")
        raise UnknownFamilyError(
            f"No model family is called {family!r}; there are: auto, {', '.join(learn)}."
        )
    if known.learns_from == "a file":
        raise UnknownFamilyError(
            f"The family {family!r} learns nothing here: its models come by import_model."
        )
    if not known.is_available:
        raise UnknownFamilyError(
            f"The family {family!r} needs more libraries: install requirements-models.txt beside the base set."
        )


def used_options(recipe: Recipe) -> dict[str, Any]:
    """Every option of the family as this recipe sets it, defaults too."""
    return asdict(read_options(options_of(recipe.family), recipe.options))


def read_json(text: str) -> dict[str, Any]:
    """An object as a person types it; nothing typed is {}. Raises ValueError with a sentence."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as problem:
        raise ValueError(
            f"This is not JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}."
        ) from problem
    if not isinstance(found, dict):
        raise ValueError('This is not an object of names and values, such as {"input_px": 224}.')  # noqa: TRY004
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number that JSON knows.")


def _options(family: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        read = asdict(read_options(options_of(family), given))
        if family == "hybrid":
            _check_members(read)
    except (ValueError, TypeError) as problem:
        raise RecipeError("options", f"{family}: {problem}") from problem
    return {name: read[name] for name in given}


def _check_members(options: Mapping[str, Any]) -> None:
    """A hybrid hands its members' options on only when it is fitted: hours later that would be late.

    Raises ValueError with a sentence.
    """
    supervised = options["supervised"]
    classifiers = () if supervised == "auto" else tuple(supervised.split("+"))  # it knows its own
    given = {options["anomaly"]: options["anomaly_options"], **options["supervised_options"]}
    for family in (options["anomaly"], *classifiers, *options["supervised_options"]):
        check_family(family)
        if not isinstance(given.get(family, {}), dict):
            raise ValueError(f"The options of {family} are an object of names and values.")  # noqa: TRY004
        try:
            read_options(options_of(family), given.get(family, {}))
        except ValueError as problem:
            raise ValueError(f"its member {family}: {problem}") from problem


def _plan(given: Mapping[str, Any]) -> AugmentPlan:
    try:
        return AugmentPlan.from_json(given)
    except (ValueError, TypeError) as problem:
        raise RecipeError("augment", str(problem)) from problem


def _chain(given: Mapping[str, Any], read: ReadPicture) -> Preprocess:
    try:
        return preprocess_of(given, read=read)
    except (ValueError, TypeError, OSError) as problem:
        raise RecipeError("preprocess", str(problem)) from problem
