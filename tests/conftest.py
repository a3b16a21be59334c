"""Fixtures that every folder of tests shares."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection

from tests.environment import DATA_DIR


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """SQLite in a file: threads and server processes see the same rows, with the locks of a real install."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"] == "config.sqlite":
        database["TEST"] = {**database.get("TEST", {}), "NAME": str(Path(DATA_DIR) / "test.sqlite3")}


@pytest.fixture(autouse=True)
def _own_storage(tmp_path, settings):
    """Each test writes its images into a folder of its own."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "inspection.storage.DurableFileStorage",
            "OPTIONS": {"location": str(tmp_path / "storage")},
        },
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _no_stranger_keeps_the_test_database(django_db_setup, django_db_blocker):
    """PostgreSQL drops no database in use; servers that a test killed may still hold a session on it."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
