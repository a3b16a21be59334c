from typing import ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from accounts.models import DeviceAccount, Person, RoleOnLine


class RolesInline(admin.TabularInline):
    model = RoleOnLine
    extra = 0


@admin.register(Person)
class PersonAdmin(UserAdmin):
    inlines: ClassVar = [RolesInline]


@admin.register(DeviceAccount)
class DeviceAccountAdmin(admin.ModelAdmin):
    """Tokens are made by `manage.py add_device`, never typed or shown here."""

    list_display = ("name", "kind", "station_code", "is_active", "created_at")
    readonly_fields = ("token_sha256", "created_at")

    def has_add_permission(self, request: object) -> bool:
        return False
