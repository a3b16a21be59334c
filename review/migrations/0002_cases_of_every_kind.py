"""A case gets a number of its own: a part may be judged more than once (audits, probes, flags). Part 1: the tables."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inspection", "0003_worker_claims_and_views"),
        ("review", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(model_name="case", name="case_in_the_queue"),
        migrations.RemoveConstraint(model_name="case", name="a_leased_case_names_its_reviewer"),
        migrations.RemoveConstraint(model_name="case", name="a_closed_case_says_when_and_by_what"),
        migrations.RemoveConstraint(model_name="case", name="a_reviewer_leases_one_case_at_a_time"),
        migrations.RemoveConstraint(model_name="case", name="a_case_is_in_a_known_state"),
        migrations.RemoveConstraint(model_name="verdict", name="a_case_has_one_standing_verdict"),
        # Its index would keep its name on the renamed table, where the new table needs it.
        migrations.AlterField(
            model_name="case",
            name="reviewer",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RenameModel(old_name="Case", new_name="OldCase"),
        migrations.AlterField(
            model_name="oldcase",
            name="part",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                primary_key=True,
                related_name="+",
                serialize=False,
                to="inspection.part",
            ),
        ),
        migrations.CreateModel(
            name="KeyMap",
            fields=[
                (
                    "person",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="key_map",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("keys", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="Appearance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("space", models.CharField(max_length=64)),
                ("vector", models.BinaryField()),
                ("made_at", models.DateTimeField()),
                (
                    "part",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="appearance",
                        to="inspection.part",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Case",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.PositiveIntegerField(default=0)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("held", "Held part"),
                            ("audit", "Audit of an automatic pass"),
                            ("probe", "Probe: a part of known grade"),
                            ("flagged", "Flagged on the floor"),
                        ],
                        default="held",
                        max_length=8,
                    ),
                ),
                ("shown_score", models.FloatField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("leased", "On a screen"),
                            ("decided", "Decided, can be undone"),
                            ("tied", "Waits for the expert"),
                            ("closed", "Closed"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("deadline_at", models.DateTimeField()),
                ("deadline_slot", models.BigIntegerField()),
                ("expected_cost", models.FloatField(default=0.0)),
                ("draw_share", models.FloatField(blank=True, null=True)),
                ("late_at", models.DateTimeField(blank=True, null=True)),
                ("wants_opinions", models.PositiveSmallIntegerField(default=1)),
                ("lease_token", models.CharField(blank=True, default="", max_length=64)),
                ("leased_at", models.DateTimeField(blank=True, null=True)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "closed_by",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("verdict", "Verdict"),
                            ("ruling", "Ruling"),
                            ("deadline", "Deadline"),
                            ("elsewhere", "Disposed elsewhere"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                (
                    "part",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cases",
                        to="inspection.part",
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="leased_cases",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "shown_part",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shown_in",
                        to="inspection.part",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Flag",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("note", models.CharField(blank=True, default="", max_length=500)),
                ("flagged_at", models.DateTimeField()),
                (
                    "case",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="flag", to="review.case"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Probe",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("grade", models.CharField(choices=[("good", "Good"), ("bad", "Bad")], max_length=8)),
                ("defect_type", models.CharField(blank=True, default="", max_length=64)),
                ("added_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "added_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "part",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="probes",
                        to="inspection.part",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="case",
            name="probe",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="cases",
                to="review.probe",
            ),
        ),
        migrations.CreateModel(
            name="ReviewPolicy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("is_blind_first", models.BooleanField(default=False)),
                (
                    "double_share",
                    models.FloatField(
                        default=0.1,
                        validators=[
                            django.core.validators.MinValueValidator(0.0),
                            django.core.validators.MaxValueValidator(1.0),
                        ],
                    ),
                ),
                ("newcomer_days", models.PositiveSmallIntegerField(default=7)),
                (
                    "probe_share",
                    models.FloatField(
                        default=0.05,
                        validators=[
                            django.core.validators.MinValueValidator(0.0),
                            django.core.validators.MaxValueValidator(1.0),
                        ],
                    ),
                ),
                (
                    "audit_share",
                    models.FloatField(
                        default=0.015,
                        validators=[
                            django.core.validators.MinValueValidator(0.0),
                            django.core.validators.MaxValueValidator(1.0),
                        ],
                    ),
                ),
                ("amber_s", models.PositiveIntegerField(default=60)),
                (
                    "break_after_min",
                    models.PositiveSmallIntegerField(
                        default=18, validators=[django.core.validators.MinValueValidator(5)]
                    ),
                ),
                ("late_grading_h", models.PositiveSmallIntegerField(default=8)),
                ("degrades_on_overflow", models.BooleanField(default=True)),
                (
                    "overkill_cost",
                    models.FloatField(
                        default=1.0, validators=[django.core.validators.MinValueValidator(0.0)]
                    ),
                ),
                ("defect_types", models.JSONField(blank=True, default=list)),
                ("set_at", models.DateTimeField()),
                (
                    "line",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="review_policies",
                        to="inspection.line",
                    ),
                ),
                (
                    "reference_part",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inspection.part",
                    ),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "review policies",
            },
        ),
        migrations.CreateModel(
            name="Criterion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("text", models.CharField(max_length=500)),
                ("defect_type", models.CharField(blank=True, default="", max_length=64)),
                ("written_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "part_type",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="criteria",
                        to="inspection.parttype",
                    ),
                ),
                (
                    "written_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "ruling",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="criterion",
                        to="review.ruling",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "criteria",
            },
        ),
        migrations.CreateModel(
            name="Spell",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("active_ms", models.PositiveIntegerField(default=0)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="spells",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("since", models.DateTimeField()),
                ("why", models.CharField(max_length=300)),
                ("cleared_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.CharField(blank=True, default="", max_length=500)),
                (
                    "cleared_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="watches",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "watches",
            },
        ),
        migrations.CreateModel(
            name="FirstOpinion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[("PASS", "Pass"), ("REJECT", "Reject"), ("CANNOT_TELL", "Cannot tell")],
                        max_length=16,
                    ),
                ),
                ("given_at", models.DateTimeField()),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="first_opinions",
                        to="review.case",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("case", "person"), name="a_first_opinion_is_given_once"),
                    models.CheckConstraint(
                        condition=models.Q(("verdict__in", ["PASS", "REJECT", "CANNOT_TELL"])),
                        name="a_first_opinion_is_a_known_word",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="probe",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired_at__isnull", True)),
                fields=("part",),
                name="a_part_is_one_probe_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="probe",
            constraint=models.CheckConstraint(
                condition=models.Q(("grade__in", ["good", "bad"])), name="a_probe_has_a_known_grade"
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("state", "closed"), _negated=True),
                fields=["state", "deadline_slot", "-expected_cost", "id"],
                name="case_in_the_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("state", "closed"), _negated=True),
                fields=["deadline_at"],
                name="case_with_a_deadline",
            ),
        ),
        migrations.CreateModel(
            name="AuditDraw",
            fields=[
                (
                    "line",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="audit_draw",
                        serialize=False,
                        to="inspection.line",
                    ),
                ),
                (
                    "seen_to",
                    models.BigIntegerField(help_text="Id of the newest disposition that had its chance."),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "audit"), _negated=True), ("draw_share__gt", 0.0), _connector="OR"
                ),
                name="an_audit_knows_how_likely_it_was",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "held")), fields=("part",), name="a_held_part_has_one_case"
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "audit")), fields=("part",), name="a_pass_is_audited_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "flagged"), models.Q(("state", "closed"), _negated=True)),
                fields=("part",),
                name="a_part_has_one_open_flag",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "probe")),
                fields=("shown_part",),
                name="a_part_lends_its_number_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "probe"), ("probe__isnull", False)),
                    models.Q(models.Q(("kind", "probe"), _negated=True), ("probe__isnull", True)),
                    _connector="OR",
                ),
                name="a_probe_and_only_a_probe_names_its_known_part",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["held", "audit", "probe", "flagged"])),
                name="a_case_is_of_a_known_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "leased"), _negated=True),
                    models.Q(
                        ("lease_expires_at__isnull", False),
                        ("reviewer__isnull", False),
                        models.Q(("lease_token", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="a_leased_case_names_its_reviewer",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "closed"), _negated=True),
                    models.Q(("closed_at__isnull", False), models.Q(("closed_by", ""), _negated=True)),
                    _connector="OR",
                ),
                name="a_closed_case_says_when_and_by_what",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "leased")),
                fields=("reviewer",),
                name="a_reviewer_leases_one_case_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["waiting", "leased", "decided", "tied", "closed"])),
                name="a_case_is_in_a_known_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="reviewpolicy",
            constraint=models.UniqueConstraint(
                fields=("line", "number"), name="a_review_policy_has_its_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="reviewpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("double_share__range", (0.0, 1.0)),
                    ("probe_share__range", (0.0, 1.0)),
                    ("audit_share__range", (0.0, 1.0)),
                ),
                name="shares_of_a_review_policy_lie_between_0_and_1",
            ),
        ),
        migrations.AddConstraint(
            model_name="criterion",
            constraint=models.UniqueConstraint(
                fields=("part_type", "number"), name="a_criterion_has_its_number_in_the_book"
            ),
        ),
        migrations.AddConstraint(
            model_name="criterion",
            constraint=models.CheckConstraint(
                condition=models.Q(("text", ""), _negated=True), name="a_criterion_says_something"
            ),
        ),
        migrations.AddIndex(
            model_name="spell",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True)),
                fields=["last_seen_at"],
                name="spell_that_goes_on",
            ),
        ),
        migrations.AddConstraint(
            model_name="spell",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)),
                fields=("person",),
                name="a_person_works_one_spell_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="watch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cleared_at__isnull", True)),
                fields=("person",),
                name="a_person_is_watched_once_at_a_time",
            ),
        ),
        migrations.AddField(
            model_name="verdict",
            name="first_verdict",
            field=models.CharField(
                blank=True,
                choices=[("PASS", "Pass"), ("REJECT", "Reject"), ("CANNOT_TELL", "Cannot tell")],
                default="",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="verdict",
            name="handling",
            field=models.CharField(
                blank=True,
                choices=[("tilt", "Tilted it"), ("wipe", "Wiped it"), ("light", "Lit it differently")],
                default="",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="verdict",
            name="marks",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name="verdict",
            name="active_ms",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="verdict",
            name="leased_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="verdict",
            name="committed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="ruling",
            name="defect_type",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="ruling",
            name="is_precedent",
            field=models.BooleanField(default=False),
        ),
    ]
