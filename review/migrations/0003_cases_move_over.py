"""Part 2: every case moves over and keeps its number, so that verdicts, rulings and events go on naming it."""

from typing import Any

from django.core.management.color import no_style
from django.db import migrations

SLOT_S = 10


def move_over(apps: Any, schema_editor: Any) -> None:
    case, old, verdict = (apps.get_model("review", name) for name in ("Case", "OldCase", "Verdict"))
    inspection = apps.get_model("inspection", "Inspection")
    shared = (
        "state", "version", "opened_at", "deadline_at", "reviewer_id", "lease_token", "lease_expires_at",
        "closed_at", "closed_by",
    )  # fmt: skip
    scores = dict(
        inspection.objects.filter(part__in=old.objects.values("pk")).values_list("part_id", "score")
    )
    case.objects.bulk_create(
        (
            case(
                id=row.part_id,
                part_id=row.part_id,
                shown_part_id=row.part_id,
                shown_score=scores.get(row.part_id),
                deadline_slot=int(row.deadline_at.timestamp()) // SLOT_S,
                **{name: getattr(row, name) for name in shared},
            )
            for row in old.objects.iterator()
        ),
        batch_size=500,
    )
    for sql in schema_editor.connection.ops.sequence_reset_sql(no_style(), [case]):
        schema_editor.execute(sql)
    for row in verdict.objects.filter(undone_at=None).select_related("case").iterator():
        if row.case.state != "decided":
            verdict.objects.filter(pk=row.pk).update(committed_at=row.commit_at)


class Migration(migrations.Migration):
    dependencies = [("review", "0002_cases_of_every_kind")]

    operations = [migrations.RunPython(move_over, migrations.RunPython.noop)]
