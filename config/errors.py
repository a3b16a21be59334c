"""Every API error is `{"error": code, "detail": sentence}`."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from audit.transitions import IllegalMove, StaleState


class Conflict(exceptions.APIException):
    status_code = 409
    default_code = "conflict"
    default_detail = "Somebody else was first. Load it again."


def sentence_errors(problem: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(problem, IllegalMove | StaleState):
        problem = Conflict(str(problem))
    response = exception_handler(problem, context)
    if response is None:
        return None
    if isinstance(problem, Http404):
        code, detail = "not_found", "There is nothing at this address."
    elif isinstance(problem, PermissionDenied):
        code, detail = "permission_denied", str(problem) or "Your role does not allow this."
    elif isinstance(problem, exceptions.ValidationError):
        code, detail = "invalid", _sentence(problem.detail)
    else:
        codes = problem.get_codes() if isinstance(problem, exceptions.APIException) else "error"
        code = codes if isinstance(codes, str) else "error"
        detail = _sentence(getattr(problem, "detail", str(problem)))
    response.data = {"error": code, "detail": detail, **getattr(problem, "extra", {})}
    return response


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return " ".join(f"{field}: {_sentence(each)}" for field, each in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(each) for each in detail)
    return str(detail)
