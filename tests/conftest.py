"""Fixtures that every folder of tests shares."""

import pytest


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
