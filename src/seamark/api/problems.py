"""Errors as RFC 9457 problem documents: one human line, the parameter at fault, and nothing of our insides.

Every error that leaves the API goes through here, so a client can rely on one shape (`application/problem+json`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from seamark.core.errors import RejectedError, SeamarkError, TemporaryError

__all__ = ["PROBLEM_TYPE", "ParameterError", "Problem", "ProblemError", "install_problem_handlers", "problem_response"]

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 2  # a busy database or node is usually back by then
_SHOWN = 80  # characters of a wrong value that are quoted back

log = structlog.get_logger("seamark.api")


class ParameterProblem(BaseModel):
    """One parameter and what is wrong with it."""

    parameter: str = Field(examples=["limit"])
    problem: str = Field(examples=["must be less than or equal to 200"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(
        "about:blank", description="URI of the kind of problem; about:blank means: the status says it all."
    )
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened and what to do, in one line.", examples=["no message has this id"])
    errors: list[ParameterProblem] = Field(default=[], description="Each parameter at fault.")


class ProblemError(SeamarkError):
    """An answer other than success, decided by a route."""

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[tuple[str, str]] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = tuple(errors)
        self.retry_after = retry_after


class ParameterError(ProblemError):
    """A parameter that the client must change (422)."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, f"{parameter}: {problem}", errors=[(parameter, problem)])


def problem_response(
    status: int, detail: str, *, errors: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document as an HTTP response."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[ParameterProblem(parameter=parameter, problem=text) for parameter, text in errors],
    )
    return JSONResponse(problem.model_dump(), status, headers=dict(headers or {}), media_type=PROBLEM_TYPE)


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document; unexpected ones are left to the guard (`seamark.api.guard`)."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(TemporaryError, _on_temporary)
    app.add_exception_handler(RejectedError, _on_rejected)


def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    return problem_response(error.status, error.message, errors=error.errors, headers=headers)


def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [_explain(item) for item in error.errors()]
    detail = "; ".join(f"{parameter}: {text}" for parameter, text in problems)
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=problems)


def _explain(item: Mapping[str, Any]) -> tuple[str, str]:
    place = [str(part) for part in item["loc"] if part not in ("query", "path", "body", "header")]
    if item["type"] == "value_error":
        text = str(item["ctx"]["error"])
    else:
        text = str(item["msg"]).removeprefix("Input ")
        text = text[:1].lower() + text[1:]
    value = item.get("input")
    quoted = f" (got {str(value)[:_SHOWN]!r})" if isinstance(value, (str, int, float)) else ""
    return place[0] if place else "request", text + quoted


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"nothing is served at {request.url.path[:_SHOWN]}; /openapi.json lists what is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method[:10]} is not possible here; /openapi.json lists what is"
    return problem_response(error.status_code, detail, headers=error.headers)


def _on_temporary(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TemporaryError)
    log.warning("request failed for now", path=request.url.path, error=str(error))
    seconds = max(RETRY_AFTER_S, round(error.retry_after or 0))
    detail = f"temporarily not available: try again in {seconds} s"
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(seconds)})


def _on_rejected(_request: Request, error: Exception) -> JSONResponse:
    return problem_response(HTTPStatus.BAD_REQUEST, str(error))
