"""Cases, verdicts and rulings can be looked at here; they change by actions only."""

from django.contrib import admin

from review.models import Case, Ruling, Verdict


class LookOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Case)
class CaseAdmin(LookOnlyAdmin):
    list_display = ("part", "state", "opened_at", "deadline_at", "reviewer", "closed_by")
    list_filter = ("state", "closed_by")
    list_select_related = ("part", "reviewer")
    exclude = ("lease_token",)


@admin.register(Verdict)
class VerdictAdmin(LookOnlyAdmin):
    list_display = ("case", "verdict", "is_escalation", "person", "given_at", "undone_at")
    list_filter = ("verdict", "is_escalation")
    list_select_related = ("case", "person")
    exclude = ("lease_token",)


@admin.register(Ruling)
class RulingAdmin(LookOnlyAdmin):
    list_display = ("case", "grade", "person", "ruled_at")
    list_select_related = ("case", "person")
