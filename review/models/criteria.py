"""The acceptance book, and what parts look like to a network, so that similar ruled cases can be found."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from inspection.models import Part, PartType
from review.models.cases import Ruling


class Criterion(models.Model):
    """One line of the acceptance book of a part type: from where on a mark is a defect."""

    part_type = models.ForeignKey(PartType, on_delete=models.PROTECT, related_name="criteria")
    number = models.PositiveIntegerField()
    text = models.CharField(max_length=500)
    defect_type = models.CharField(max_length=64, blank=True, default="")
    ruling = models.OneToOneField(
        Ruling, null=True, blank=True, on_delete=models.PROTECT, related_name="criterion"
    )
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "criteria"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["part_type", "number"], name="a_criterion_has_its_number_in_the_book"
            ),
            models.CheckConstraint(condition=~Q(text=""), name="a_criterion_says_something"),
        ]

    def __str__(self) -> str:
        return f"{self.part_type.code} criterion {self.number}"


class Appearance(models.Model):
    """A part as a point in the space of a network: near points look alike.

    space    which network and which pooling; points of different spaces are never compared
    vector   float32 little-endian, of unit length; empty where the picture cannot be had
    """

    part = models.OneToOneField(Part, on_delete=models.PROTECT, related_name="appearance")
    space = models.CharField(max_length=64)
    vector = models.BinaryField()
    made_at = models.DateTimeField()
