from django.contrib import admin

from audit.models import Event


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
