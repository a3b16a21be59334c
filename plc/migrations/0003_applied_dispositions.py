"""Dispositions that the PLC acknowledged before `applied_at` existed: nobody may correct them any more."""

from typing import Any

from django.db import migrations
from django.db.models import OuterRef, Subquery


def tell_what_was_applied(apps: Any, schema_editor: Any) -> None:
    disposition = apps.get_model("inspection", "Disposition")
    delivery = apps.get_model("plc", "Delivery")
    acked = delivery.objects.filter(disposition=OuterRef("pk"), state="acked")
    disposition.objects.filter(delivery__state="acked", applied_at=None).update(
        applied_at=Subquery(acked.values("acked_at")[:1])
    )


class Migration(migrations.Migration):
    dependencies = [
        ("inspection", "0005_corrections"),
        ("plc", "0002_withdrawn_deliveries"),
    ]

    operations = [migrations.RunPython(tell_what_was_applied, migrations.RunPython.noop)]
