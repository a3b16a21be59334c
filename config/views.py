"""The role's home, health, metrics, the API's page, and error pages."""

from functools import cache
from typing import Any, cast

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.models import Person
from config.prometheus import metrics_text
from config.readiness import checks
from config.schema import DeviceTokenScheme  # noqa: F401 - the schema knows it once it is imported
from reports.home import cards_of

LOOPBACK = frozenset({"127.0.0.1", "::1"})
METHODS = ("get", "post", "put", "patch", "delete")


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What waits for this person; `?fragment=cards` is the live part."""
    person = cast(Person, request.user)
    context = {
        "greeting": person.first_name or person.get_username(),
        "cards": cards_of(person, timezone.now()),
    }
    return render(
        request, "_home_cards.html" if request.GET.get("fragment") == "cards" else "home.html", context
    )


# --- asked by machines ------------------------------------------------------------------------------------
@login_not_required
@require_GET
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """200 if this process answers; it asks nothing else, so a broken database does not restart the web server."""
    return JsonResponse({"ok": True})


@login_not_required
@require_GET
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 if parts can be decided now, else 503; every check by name, no secrets."""
    found = checks()
    ok = all(check.ok for check in found)
    body = {"ok": ok, "checks": [check.as_json() for check in found]}
    return JsonResponse(body, status=200 if ok else 503)


@login_not_required
@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for a scraper on this machine or in this container, and for people who are logged in.

    A request that came through a proxy is not local, whatever address the proxy has.
    """
    is_proxied = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
    is_local = request.META.get("REMOTE_ADDR") in LOOPBACK and not is_proxied
    if not is_local and not isinstance(request.user, Person):
        raise PermissionDenied("Metrics are for a scraper on this machine, or for people who are logged in.")
    return HttpResponse(metrics_text(), content_type=CONTENT_TYPE_LATEST)


# --- for people who write clients ---------------------------------------------------------------------------
@require_GET
def api_docs(request: HttpRequest) -> HttpResponse:
    """The schema's operations as a plain page: the usual viewers need inline scripts, which our policy forbids."""
    schema = _schema()
    return render(request, "api_docs.html", {"info": schema["info"], "groups": _operations(schema)})


@cache
def _schema() -> dict[str, Any]:
    return cast(dict[str, Any], SchemaGenerator().get_schema(request=None, public=True))


def _operations(schema: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by the first word of their path after /api/v1/."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        group = path.removeprefix("/api/v1/").split("/")[0]
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(group, []).append(
                    {
                        "method": method.upper(),
                        "path": path,
                        "text": operation.get("description", ""),
                        "parameters": [
                            each["name"] for each in operation.get("parameters", []) if each["in"] == "query"
                        ],
                        "answers": ", ".join(operation.get("responses", {})),
                    }
                )
    return dict(sorted(groups.items()))


# --- errors ---------------------------------------------------------------------------------------------------
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 with the sentence of whoever refused."""
    if request.path.startswith("/api/"):
        return JsonResponse({"error": "permission_denied", "detail": str(exception)}, status=403)
    return render(request, "403.html", {"detail": str(exception)}, status=403)
