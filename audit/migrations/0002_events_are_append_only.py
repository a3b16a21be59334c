"""The database refuses to change an event or a seal, whatever program asks.

Deletion is refused on PostgreSQL; a hole that is made all the same (TRUNCATE, SQLite) breaks the hash chain, which
`manage.py verify_audit` finds.
"""

from django.db import migrations

TABLES = ("audit_event", "audit_seal")


def guard(apps, schema_editor):
    for table in TABLES:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(
                f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
            )
        else:
            schema_editor.execute(
                "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
            )
            schema_editor.execute(
                f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
            )


def unguard(apps, schema_editor):
    for table in TABLES:
        on = "" if schema_editor.connection.vendor == "sqlite" else f" ON {table}"
        schema_editor.execute(f"DROP TRIGGER {table}_is_append_only{on}")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard)]
