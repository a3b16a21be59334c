"""Every write to people and machine accounts. Audited by the callers' command or the admin log."""

import secrets

from django.db import transaction

from accounts.models import DeviceAccount, DeviceKind, Person, Role, RoleOnLine
from accounts.queries import token_digest


@transaction.atomic
def add_person(
    *, username: str, password: str, name: str, roles: list[Role], line_code: str = "", is_staff: bool = False
) -> Person:
    """Make a person, or set the password and roles of one who is there."""
    first, _, last = name.partition(" ")
    person, _ = Person.objects.update_or_create(
        username=username, defaults={"first_name": first, "last_name": last, "is_staff": is_staff}
    )
    person.set_password(password)
    person.save(update_fields=["password"])
    for role in roles:
        RoleOnLine.objects.get_or_create(person=person, role=role, line_code=line_code)
    return person


def add_device(*, name: str, kind: DeviceKind, station_code: str = "", token: str | None = None) -> str:
    """Make a machine account (or give it a new token) and return the token, which is shown this once."""
    token = token or secrets.token_urlsafe(32)
    DeviceAccount.objects.update_or_create(
        name=name,
        defaults={
            "kind": kind,
            "station_code": station_code,
            "token_sha256": token_digest(token),
            "is_active": True,
        },
    )
    return token
