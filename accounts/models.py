"""People, what they may do on which line, and the machine accounts of cameras and PLCs."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q


class Role(models.TextChoices):
    MANUAL_INSPECTOR = "manual_inspector", "Manual inspector"
    QUALITY_EXPERT = "quality_expert", "Quality expert"
    IMAGE_LABELER = "image_labeler", "Image labeler"
    VISION_DEVELOPER = "vision_developer", "Vision developer"
    DATA_COLLECTOR = "data_collector", "Data collector"
    LINE_OPERATOR = "line_operator", "Line operator"
    MANAGER = "manager", "Manager"
    INTEGRATOR = "integrator", "Integrator"


class Person(AbstractUser):
    """Somebody who logs in. What a person may do is in `roles`; without a role: nothing."""

    class Meta:
        verbose_name_plural = "people"


class RoleOnLine(models.Model):
    """One role of one person on one line; an empty line code means every line.

    The line is named by its code and not by a foreign key: accounts stand below inspection.
    """

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="roles")
    role = models.CharField(max_length=32, choices=Role.choices)
    line_code = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        verbose_name_plural = "roles on lines"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person", "role", "line_code"], name="a_person_has_a_role_on_a_line_once"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="a_role_is_a_known_role"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} on {self.line_code or 'every line'}"


class DeviceKind(models.TextChoices):
    CAMERA = "camera", "Camera"
    PLC = "plc", "PLC"


class DeviceAccount(models.Model):
    """A machine that calls the API with `Authorization: Token …`; only the token's sha256 is kept."""

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, choices=DeviceKind.choices)
    station_code = models.CharField(max_length=16, blank=True, default="")
    token_sha256 = models.CharField(max_length=64, unique=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def is_anonymous(self) -> bool:
        return False
