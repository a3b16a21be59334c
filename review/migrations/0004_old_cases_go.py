"""Part 3: verdicts and rulings belong to the new cases; the old table goes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0003_cases_move_over")]

    operations = [
        migrations.AlterField(
            model_name="verdict",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="verdicts", to="review.case"
            ),
        ),
        migrations.AlterField(
            model_name="ruling",
            name="case",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="ruling", to="review.case"
            ),
        ),
        migrations.DeleteModel(name="OldCase"),
        migrations.AddIndex(
            model_name="verdict",
            index=models.Index(
                condition=models.Q(("committed_at__isnull", True), ("undone_at__isnull", True)),
                fields=["commit_at"],
                name="verdict_in_its_commit_window",
            ),
        ),
        migrations.AddIndex(
            model_name="verdict",
            index=models.Index(fields=["person", "-given_at"], name="verdict_of_person_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="verdict",
            constraint=models.UniqueConstraint(
                condition=models.Q(("undone_at__isnull", True)),
                fields=("case", "person"),
                name="a_person_has_one_standing_verdict_on_a_case",
            ),
        ),
        migrations.AddConstraint(
            model_name="verdict",
            constraint=models.UniqueConstraint(
                condition=models.Q(("committed_at__isnull", True), ("undone_at__isnull", True)),
                fields=("case",),
                name="a_case_has_one_verdict_in_its_commit_window",
            ),
        ),
    ]
