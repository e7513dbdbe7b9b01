"""Settings: strict models, one YAML file, environment values, and errors a person can act on.

A settings file is YAML in which `${NAME}` and `${NAME:-default}` stand for environment variables. Everything is checked
before anything starts: unknown keys, missing units, values out of range. Each problem names the file, the line and the
setting as the user wrote it, and says what to write instead.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, ValidationInfo

from seamark.core.errors import SettingsError
from seamark.core.units import (
    Ppb,
    Seconds,
    Wei,
    format_duration,
    format_ratio,
    parse_duration,
    parse_ratio,
    parse_wei,
)

__all__ = [
    "Duration",
    "Host",
    "Money",
    "Port",
    "Problem",
    "Ratio",
    "SettingsModel",
    "SettingsProblems",
    "load_settings",
    "parse_environment",
    "read_yaml",
    "validate_settings",
]

M = TypeVar("M", bound="SettingsModel")

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
MAX_FILE_BYTES = 1_000_000  # a settings file larger than this is a mistake, not a configuration
MAX_VALUES = 100_000  # of one file, its aliases written out: a small file can stand for billions
MAX_DEPTH = 50  # lists in lists; an alias may contain itself, and then there is no end


class SettingsModel(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversions of text to numbers and back."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, str_strip_whitespace=True, arbitrary_types_allowed=True
    )

    def with_changes(self, **changes: Any) -> Self:
        """A checked copy."""
        return type(self).model_validate({**self.model_dump(), **changes}, context=_CHECKED)


def _to_seconds(value: Any) -> Any:
    if isinstance(value, str):
        seconds = parse_duration(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        seconds = Seconds(0.0)
    elif isinstance(value, float):
        return value  # a default written in code, already in seconds
    else:
        raise ValueError(f"{value!r} has no unit: write 250ms, 30s, 5m, 1h30m or 1d")
    return seconds


def _to_ppb(value: Any) -> Any:
    if isinstance(value, str):
        return parse_ratio(value)
    if isinstance(value, int) and not isinstance(value, bool) and (value == 0 or value >= _CODE_PPB):
        return value
    raise ValueError(f"{value!r} has no unit: write 0.5%, 50bps or 5000000ppb")


_CHECKED = "amounts are in wei already: they come from settings that were checked"


def _to_wei(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_wei(value)
    if isinstance(value, int) and not isinstance(value, bool) and (value == 0 or info.context == _CHECKED):
        return value
    raise ValueError(f"{value!r} has no unit: write 0.2 ether, 30 gwei or 1000 wei")


def _show_wei(amount: Wei) -> str:
    return f"{amount} wei"


_CODE_PPB = 1000  # defaults in code are plain ppb integers; a person's bare 0.5, 1 or 50 is still refused

Duration = Annotated[
    Seconds, BeforeValidator(_to_seconds), Field(ge=0), PlainSerializer(format_duration, when_used="json")
]
"""Seconds; written with a unit ("30s"), never negative."""

Ratio = Annotated[Ppb, BeforeValidator(_to_ppb), Field(ge=0), PlainSerializer(format_ratio, when_used="json")]
"""Parts per billion; written with a unit ("0.5%")."""

Money = Annotated[Wei, BeforeValidator(_to_wei), Field(ge=0), PlainSerializer(_show_wei, when_used="json")]
"""Wei; written with a unit ("0.2 ether")."""

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0 lets the system choose."""

Host = Annotated[str, Field(min_length=1)]
"""Address to listen on. Loopback unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings. `setting` is a dotted path, `line` is 1-based where known."""

    setting: str
    problem: str
    remedy: str = ""
    line: int | None = None


class SettingsProblems(SettingsError):
    """All that is wrong with one source of settings; reads as its first problem."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        first = problems[0]
        where = f"{source}:{first.line}: " if source and first.line else f"{source}: " if source else ""
        more = f" (and {len(problems) - 1} more: seamark config check lists all)" if len(problems) > 1 else ""
        super().__init__(f"{where}{first.setting}", f"{first.problem}{more}", remedy=first.remedy)
        self.source = source
        self.problems = tuple(problems)


def load_settings(model: type[M], path: Path, environment: Mapping[str, str] | None = None) -> M:
    """Read and check a YAML file.

    Raises:
        SettingsError: The file cannot be read or is not YAML.
        SettingsProblems: It is YAML and wrong; carries every problem.
    """
    document = read_yaml(path, os.environ if environment is None else environment)
    return validate_settings(model, document.values, source=str(path), lines=document.lines)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain values and where each stands."""

    values: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]


def read_yaml(path: Path, environment: Mapping[str, str]) -> Document:
    """Parse, with `${NAME}` replaced inside scalars only, so that a value can never add structure."""
    text = _read_text(path)
    lines: dict[tuple[str | int, ...], int] = {}
    try:
        _note_lines(yaml.compose(text, Loader=yaml.SafeLoader), (), lines, str(path))
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _not_yaml(path, text, error) from error
    except RecursionError:
        raise SettingsError(str(path), "is nested too deeply", remedy="is this the right file?") from None
    except ValueError as error:  # a date like 2024-13-45
        raise SettingsError(str(path), f"not valid YAML: {error}", remedy="put the value in quotes") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise SettingsError(
            str(path), "is no mapping of settings", remedy="begin lines with the name of a setting, such as chains:"
        )
    return Document(_interpolate(values, (), environment, lines, str(path)), lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingsError(
                str(path), f"is larger than {MAX_FILE_BYTES} bytes", remedy="is this the right settings file?"
            )
        return content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(
            str(path), f"cannot be read: {error.strerror}", remedy="check the path given with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            str(path), "is not UTF-8 text", remedy="is this the right file? If so, save it as UTF-8"
        ) from error


def _not_yaml(path: Path, text: str, error: yaml.YAMLError) -> SettingsError:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "it breaks off here"
        variable = any("${" in line for line in text.splitlines()[mark.line : mark.line + 1])
        remedy = 'write "${NAME}" in quotes inside [ ] and { }' if variable else "correct this line"
        return SettingsError(f"{path}:{mark.line + 1}", f"not valid YAML: {problem}", remedy=remedy)
    reason = getattr(error, "reason", None) or str(error).splitlines()[0]
    return SettingsError(str(path), f"not valid YAML: {reason}", remedy="is this the right file?")


def _note_lines(node: Any, at: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], source: str) -> None:
    if len(at) > MAX_DEPTH:
        raise SettingsError(source, "is nested too deeply", remedy="is this the right file?")
    if len(lines) > MAX_VALUES:
        raise SettingsError(source, f"stands for more than {MAX_VALUES} values", remedy="is this the right file?")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                problem = Problem(dotted((*at, name)), "is given twice", "remove one of them", key.start_mark.line + 1)
                raise SettingsProblems(source, [problem])
            seen.add(name)
            lines[(*at, name)] = key.start_mark.line + 1
            _note_lines(value, (*at, name), lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _note_lines(value, (*at, index), lines, source)


def _interpolate(
    value: Any,
    at: tuple[str | int, ...],
    environment: Mapping[str, str],
    lines: Mapping[tuple[str | int, ...], int],
    source: str,
) -> Any:
    if isinstance(value, dict):
        return {
            str(name): _interpolate(item, (*at, str(name)), environment, lines, source) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_interpolate(item, (*at, index), environment, lines, source) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name in environment:
            return environment[name]
        if default is not None:
            return default
        problem = Problem(dotted(at), f"the environment variable {name} is not set", f"export {name}=…", lines.get(at))
        raise SettingsProblems(source, [problem])

    return _VARIABLE.sub(replace, value)


def validate_settings(
    model: type[M],
    values: Mapping[str, Any],
    *,
    source: str = "",
    lines: Mapping[tuple[str | int, ...], int] | None = None,
) -> M:
    """Check plain values against a model.

    Raises:
        SettingsProblems: With every problem found, in the order of the file.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_explain(model, item, lines or {}) for item in found if not _follows(item, found)]
        problems.sort(key=lambda problem: problem.line or 0)
        raise SettingsProblems(source, problems) from None  # pydantic's text quotes values, which may be secrets


def _follows(item: Any, others: Sequence[Any]) -> bool:
    """A list that is too short only because an item of it is wrong, which is told anyway."""
    at = item["loc"]
    return item["type"] == "too_short" and any(o["loc"][: len(at)] == at for o in others if o is not item)


def _explain(model: type[SettingsModel], item: Any, lines: Mapping[tuple[str | int, ...], int]) -> Problem:
    at = tuple(
        part for part in item["loc"] if not (isinstance(part, str) and part.startswith(("function-", "tagged-union")))
    )
    line = next((lines[at[:size]] for size in range(len(at), 0, -1) if at[:size] in lines), None)
    setting = dotted(at) or "settings"
    problem, remedy = _words(model, at, item)
    return Problem(setting, problem, remedy, line)


def _words(model: type[SettingsModel], at: tuple[str | int, ...], item: Any) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    match item["type"]:
        case "extra_forbidden":
            words = "unknown setting", _suggest(model, at)
        case "value_error":
            problem, _, remedy = str(item["ctx"]["error"]).partition("; ")
            words = problem, remedy
        case "greater_than_equal" if item["ctx"]["ge"] == 0:
            words = "must not be negative", "write zero or more"
        case "model_type" | "dict_type":
            words = "must be a mapping", f"write below it: {', '.join(_fields_at(model, at)) or 'name: value'}"
        case kind if kind in _WORDS:
            words = _WORDS[kind]
        case _:
            problem = item["msg"].replace("Input should be", "must be")
            words = problem[:1].lower() + problem[1:], ""
    return words


_NUMBER = ("is no whole number", "write digits alone")
_LIST = ("must be a list", 'begin each item with "- ", or write [first, second]')
_WORDS = {
    "missing": ("is missing", "add it"),
    "int_parsing": _NUMBER,
    "int_type": _NUMBER,
    "int_from_float": _NUMBER,
    "string_type": ("must be text", "put it in quotes"),
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": ("must not be empty", "add at least one"),
}
"""pydantic's names for what is wrong, in words of ours."""


def dotted(at: Sequence[str | int]) -> str:
    """("feeds", 0, "name") as "feeds[0].name"."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _suggest(model: type[SettingsModel], at: Sequence[str | int]) -> str:
    known = _fields_at(model, at[:-1])
    near = difflib.get_close_matches(str(at[-1]), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}" if known else "remove it"


def _fields_at(model: Any, at: Sequence[str | int]) -> list[str]:
    """The names that a model offers at a path; follows lists, mappings and optional parts."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if not at:
            return list(model.model_fields)
        field = model.model_fields.get(str(at[0]))
        return _fields_at(field.annotation, at[1:]) if field else []
    candidates = [kind for kind in get_args(model) if kind is not type(None)]
    inner = at[1:] if at and getattr(model, "__origin__", None) in (list, tuple, dict) else at
    return next((names for kind in candidates if (names := _fields_at(kind, inner))), [])


def parse_environment(environment: Mapping[str, str], name: str, parse: Callable[[str], Any], *, example: str) -> Any:
    """One value from the environment.

    Raises:
        SettingsError: Missing, or `parse` raised a `ValueError`.
    """
    text = environment.get(name, "").strip()
    if not text:
        raise SettingsError(name, "is not set", remedy=f"export {name}={example}")
    try:
        return parse(text)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError(name, problem, remedy=remedy or f"for example {name}={example}") from None
