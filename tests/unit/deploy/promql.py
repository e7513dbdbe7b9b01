"""Which metrics an expression of Prometheus names. No parser: it takes away what cannot be one."""

from __future__ import annotations

import re

_TAKEN_AWAY = (
    re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"),  # strings
    re.compile(r"\{[^{}]*\}"),  # label matchers
    re.compile(r"\[[^\[\]]*\]"),  # ranges
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"),  # label lists
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w|\s*\()")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on"}
_MATCHER = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^{}]*)\}")


def metrics_in(expression: str) -> set[str]:
    for pattern in _TAKEN_AWAY:
        expression = pattern.sub(" ", expression)
    return {name for name in _NAME.findall(expression) if name.lower() not in _WORDS}


def matchers_in(expression: str) -> list[tuple[str, set[str]]]:
    """(metric, the labels that its matchers name)."""
    return [
        (name, set(re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)", inside)))
        for name, inside in _MATCHER.findall(expression)
    ]
