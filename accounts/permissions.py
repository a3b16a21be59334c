"""Who may pass: roles deny by default, on pages and in the API alike."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import DeviceAccount, DeviceKind, Person, Role
from accounts.queries import has_role


class DenyByDefault(BasePermission):
    """The default of every API view: an endpoint that names nobody lets nobody in."""

    message = "No role is named for this address."

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class AnyPerson(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Person) and request.user.is_active


class CameraDevice(BasePermission):
    message = "Only a camera account may send captures."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, DeviceAccount) and request.user.kind == DeviceKind.CAMERA


def holds(*roles: Role) -> type[BasePermission]:
    """A DRF permission that lets in people who hold one of the roles on some line."""

    class HoldsRole(BasePermission):
        message = f"This needs the role {' or '.join(str(role.label) for role in roles)}."

        def has_permission(self, request: Request, view: Any) -> bool:
            return isinstance(request.user, Person) and has_role(request.user, *roles)

    return HoldsRole


def role_required(*roles: Role) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Page decorator: 403 with a sentence unless the person holds one of the roles on some line."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            person = request.user
            if not isinstance(person, Person) or not has_role(person, *roles):
                wanted = " or ".join(str(role.label) for role in roles)
                raise PermissionDenied(f"This page needs the role {wanted}. Ask the integrator for it.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate
