"""The header's links: each role sees the pages that it may open."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Person, Role
from accounts.queries import roles_of

PAGES: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("line", "Line", frozenset(Role)),
    (
        "review",
        "Review",
        frozenset({Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT}),
    ),
    ("ties", "Ties", frozenset({Role.QUALITY_EXPERT})),
    ("review_desk", "Desk", frozenset({Role.QUALITY_EXPERT, Role.INTEGRATOR, Role.MANAGER})),
    ("parts", "Parts", frozenset(Role)),
    (
        "labels",
        "Labels",
        frozenset({Role.IMAGE_LABELER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER}),
    ),
    (
        "datasets",
        "Datasets",
        frozenset({Role.DATA_COLLECTOR, Role.IMAGE_LABELER, Role.VISION_DEVELOPER, Role.QUALITY_EXPERT}),
    ),
    ("training", "Training", frozenset({Role.VISION_DEVELOPER, Role.QUALITY_EXPERT})),
    ("golden", "Golden", frozenset({Role.VISION_DEVELOPER, Role.QUALITY_EXPERT, Role.INTEGRATOR})),
    ("reports", "Reports", frozenset({Role.MANAGER, Role.QUALITY_EXPERT, Role.VISION_DEVELOPER})),
    ("stations", "Stations", frozenset({Role.INTEGRATOR, Role.VISION_DEVELOPER})),
)


def _open_page(path: str) -> str:
    """The longest address that the path lies under: /review/desk/ is the desk, not the review."""
    return max((reverse(name) for name, _, _ in PAGES if path.startswith(reverse(name))), key=len, default="")


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: `nav` = the pages of this person's roles, the open one marked."""
    person = getattr(request, "user", None)
    if not isinstance(person, Person):
        return {"nav": []}
    roles = roles_of(person)
    return {
        "nav": [
            {
                "url": reverse(name),
                "name": name,
                "label": label,
                "active": reverse(name) == _open_page(request.path),
            }
            for name, label, allowed in PAGES
            if roles & allowed
        ],
        "role_names": sorted(str(role.label) for role in roles),
    }
