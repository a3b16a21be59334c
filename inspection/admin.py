from typing import ClassVar

from django.contrib import admin

from audit.admin import AuditedAdmin
from inspection.models import GoldenConfiguration, Line, Part, PartType, Station

admin.site.register(PartType, AuditedAdmin)


@admin.register(Line)
class LineAdmin(AuditedAdmin):
    list_display = ("code", "name", "part_type", "mode")


@admin.register(Station)
class StationAdmin(AuditedAdmin):
    list_display = ("code", "name", "line", "hold_mailbox", "epoch")


class ReadOnlyAdmin(admin.ModelAdmin):
    """What only actions may write is only shown."""

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Part)
class PartAdmin(ReadOnlyAdmin):
    list_display = ("plc_part_id", "line", "state", "triggered_at", "hold_reason")
    list_filter: ClassVar = ["state", "line"]
    search_fields = ("plc_part_id", "serial")


@admin.register(GoldenConfiguration)
class GoldenAdmin(ReadOnlyAdmin):
    list_display = ("line", "number", "state", "grey_from", "grey_to", "model_sha256")
