"""Typed readers of the environment: a wrong value stops the start with a sentence."""

import os
import secrets
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured

DEMO, PLANT = "demo", "plant"


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment of every Second Look process."
        )
    return value


def flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false. Use 1 or 0.")


def choice(name: str, allowed: tuple[str, ...], *, default: str) -> str:
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r} is unknown. Use one of: {', '.join(allowed)}.")
    return value


def words(name: str, default: str | None = None) -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def folder(name: str, default: Path) -> Path:
    path = Path(text(name, str(default))).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ImproperlyConfigured(f"{name}={path} cannot be made or opened: {problem}.") from problem
    return path


def kept_secret(path: Path) -> str:
    """Read the secret of an embedded install, making it at the first start (readable by its owner only)."""
    if not path.exists():
        part = path.with_suffix(f".{secrets.token_hex(4)}")
        part.touch(mode=0o600)
        part.write_text(secrets.token_urlsafe(64))
        try:
            # A hard link fails if another process was first, so two starts agree on one secret.
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_text().strip()


def redis_url(data: Path) -> str:
    """REDIS_URL, or the address that the embedded Valkey of this data folder wrote down."""
    remembered = data / "valkey.url"
    default = remembered.read_text().strip() if remembered.exists() else "redis://127.0.0.1:6379/0"
    url = text("REDIS_URL", default)
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        # Without the address itself: it holds the password, and this sentence goes to a log.
        raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
    return url


def storage(name: str, default: Path) -> dict[str, object]:
    """STORAGE_URL as a Django storage: file:///folder, or s3://bucket?endpoint=http://host:port&region=…"""
    url = urlsplit(text(name, f"file://{default}"))
    if url.scheme == "file" and url.path:
        return {"BACKEND": "inspection.storage.DurableFileStorage", "OPTIONS": {"location": url.path}}
    if url.scheme == "s3" and url.netloc:
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        unknown = set(asked) - {"endpoint", "region", "prefix"}
        if unknown:
            raise ImproperlyConfigured(
                f"{name} knows endpoint, region and prefix, not {', '.join(sorted(unknown))}."
            )
        return {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": url.netloc,
                "endpoint_url": asked.get("endpoint"),
                "region_name": asked.get("region", "us-east-1"),
                "location": asked.get("prefix", ""),
                "file_overwrite": True,
                "querystring_auth": True,
            },
        }
    raise ImproperlyConfigured(f"{name} must be file:///folder or s3://bucket?endpoint=….")
