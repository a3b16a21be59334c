"""Fixtures that every folder of tests shares."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings

from tests.environment import DATA_DIR


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """SQLite in a file: threads and server processes see the same rows, with the locks of a real install."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
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
