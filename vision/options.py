"""What a family lets one set: a frozen dataclass with defaults, read from JSON or from key=value words."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

Options = TypeVar("Options")
_LINE = re.compile(r"^(\w+(?:, \w+)*) {2,}(\S.*)$")  # "name, other  what they are"


@dataclass(frozen=True)
class OptionHelp:
    """One option for the person who sets it; `words` is "" where its dataclass says nothing of it."""

    name: str
    kind: str
    default: Any
    words: str


def read_options(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """The options with these values in place of the defaults; words are read as the default's type.

    Raises ValueError, with a sentence, for an option that the family does not have, or a value of another type.
    """
    defaults = kind()
    known = {field.name: getattr(defaults, field.name) for field in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise ValueError(f"There is no option {name!r}; there are: {', '.join(sorted(known)) or 'none'}.")
    return kind(**{name: _as(type(known[name]), name, value) for name, value in given.items()})


def options_help(kind: type[Any]) -> list[OptionHelp]:
    """Every option with its default and what the dataclass's docstring says of it, in their order."""
    words: dict[str, str] = {}
    last: list[str] = []
    for base in reversed(kind.__mro__[:-1]):
        for line in inspect.cleandoc(base.__dict__.get("__doc__") or "").splitlines():
            found = _LINE.match(line)
            if found:
                last = found[1].split(", ")
                words |= dict.fromkeys(last, found[2].strip())
            elif line.startswith("  ") and last:
                words |= {name: f"{words[name]} {line.strip()}" for name in last}
            else:
                last = []
    defaults = kind()
    return [
        OptionHelp(
            each.name,
            type(getattr(defaults, each.name)).__name__,
            getattr(defaults, each.name),
            words.get(each.name, ""),
        )
        for each in fields(kind)
    ]


def _as(kind: type[Any], name: str, value: Any) -> Any:
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind is bool and str(value).lower() in {"yes", "no", "true", "false", "1", "0"}:
        return str(value).lower() in {"yes", "true", "1"}
    if kind in (int, float) and isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is not None and (kind is float or float(value) == number):
            return number
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    raise ValueError(f"The option {name} is {kind.__name__}, not {value!r}.")
