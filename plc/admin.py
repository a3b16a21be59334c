from django.contrib import admin

from audit.admin import AuditedAdmin
from plc.models import Delivery, Mailbox, PlcLink


@admin.register(PlcLink)
class PlcLinkAdmin(AuditedAdmin):
    list_display = ("code", "driver", "host", "port", "state", "alarm", "notice", "lease_owner")
    readonly_fields = [
        field.name
        for field in PlcLink._meta.fields
        if field.name not in {"host", "port", "driver", "options"}
    ]


@admin.register(Mailbox)
class MailboxAdmin(AuditedAdmin):
    list_display = ("code", "link", "station", "kind", "next_seq", "numbering", "plc_boot")
    readonly_fields = ("link", "station", "code", "kind", "numbering", "next_seq", "plc_boot", "trig_seq")

    def has_add_permission(self, request: object) -> bool:
        """A station's two mailboxes are made together, by set_up_link."""
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):
    """To look at only: the gateway alone writes deliveries."""

    list_display = ("id", "mailbox", "seq", "state", "sent_at", "acked_at", "ack_code", "attempts", "problem")
    list_filter = ("state", "mailbox")
    list_select_related = ("mailbox",)

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False
