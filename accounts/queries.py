"""What one may ask about people and machine accounts."""

import hashlib

from django.db.models import QuerySet, prefetch_related_objects

from accounts.models import DeviceAccount, Person, Role, RoleOnLine

EVERY_LINE = ""


def line_codes(person: Person, *roles: Role) -> frozenset[str] | None:
    """Codes of the lines on which the person holds one of the roles; None means every line."""
    codes = frozenset(held.line_code for held in _held(person) if held.role in roles)
    return None if EVERY_LINE in codes else codes


def roles_of(person: Person) -> frozenset[Role]:
    return frozenset(Role(held.role) for held in _held(person))


def only_judges(person: Person) -> bool:
    """Manual inspector and nothing else: nothing that such a person sees may tell why a part is judged."""
    return roles_of(person) == {Role.MANUAL_INSPECTOR}


def has_role(person: Person, *roles: Role) -> bool:
    return person.is_active and any(held.role in roles for held in _held(person))


def _held(person: Person) -> QuerySet[RoleOnLine]:
    """Read once for each Person object, that is once a request: every address asks several times."""
    prefetch_related_objects([person], "roles")
    return person.roles.all()


def has_role_on(person: Person, line_code: str, *roles: Role) -> bool:
    codes = line_codes(person, *roles)
    return codes is None or line_code in codes


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def device_by_token(token: str) -> DeviceAccount | None:
    return DeviceAccount.objects.filter(token_sha256=token_digest(token), is_active=True).first()
