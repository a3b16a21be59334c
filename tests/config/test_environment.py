"""A wrong value stops the start with a sentence, and the sentence tells no secret to a log."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment


def test_a_wrong_redis_url_is_refused_without_its_password(monkeypatch, tmp_path):
    monkeypatch.setenv("REDIS_URL", "redis+tls://:hunter2@broker:6379/0")
    with pytest.raises(ImproperlyConfigured, match="must begin with redis://") as refused:
        environment.redis_url(tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_storage_url_is_refused_without_its_password(monkeypatch, tmp_path):
    monkeypatch.setenv("STORAGE_URL", "https://key:hunter2@store/bucket")
    with pytest.raises(ImproperlyConfigured, match="must be file:///folder") as refused:
        environment.storage("STORAGE_URL", tmp_path)
    assert "hunter2" not in str(refused.value)
