from typing import Any, cast

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from accounts.models import Person
from audit.actor import Actor
from audit.models import Event
from audit.transitions import record


class AuditedAdmin(admin.ModelAdmin):
    """What people change by hand is in the audit trail too, and touches no other column.

    A whole row that was read before the form was filled in would write back what a running process changed since.
    """

    def save_model(self, request: HttpRequest, obj: models.Model, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            record(obj, "added", actor=_actor(request), details=_told(obj, obj._meta.concrete_fields))
            return
        changed = [obj._meta.get_field(name) for name in form.changed_data]
        if not changed:
            return
        before = _told(type(obj)._default_manager.get(pk=obj.pk), changed)
        obj.save(update_fields=[field.name for field in changed])
        details = {"before": before, "after": _told(obj, changed)}
        record(obj, "changed", actor=_actor(request), details=details)

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        record(obj, "deleted", actor=_actor(request), details=_told(obj, obj._meta.concrete_fields))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[models.Model]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


def _actor(request: HttpRequest) -> Actor:
    return Actor.person(cast(Person, request.user))


def _told(obj: models.Model, fields: Any) -> dict[str, Any]:
    """Column values as JSON can hold them."""
    values = {field.name: field.value_from_object(obj) for field in fields}
    return {
        name: value if isinstance(value, bool | int | float | str | dict | list | None) else str(value)
        for name, value in values.items()
    }


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    list_display = (
        "id",
        "at",
        "actor_kind",
        "actor_name",
        "subject_kind",
        "subject_id",
        "verb",
        "before",
        "after",
    )
    list_filter = ("subject_kind", "actor_kind")

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False
