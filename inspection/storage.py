"""Files that survive a power cut before a row names them, and the model files kept by their hash."""

import hashlib
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils._os import safe_join


class Derived(ContentFile):
    """Bytes that can be computed again from what is durable: nobody waits for the disk to have them."""


class DurableFileStorage(FileSystemStorage):
    """Local files written as temp -> fsync -> rename -> fsync of the folder; an old name is replaced whole."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: ContentFile) -> str:
        target = Path(safe_join(self.location, name))
        _make_folders(target.parent, above=Path(self.location))
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                if not isinstance(content, Derived):
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        if not isinstance(content, Derived):
            _sync_folder(target.parent)
        return name


def _make_folders(folder: Path, *, above: Path) -> None:
    if folder.is_dir():
        return
    above.mkdir(parents=True, exist_ok=True)
    _make_folders(folder.parent, above=above)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(name: str, data: bytes) -> str:
    """Store the bytes durably under exactly this name; the row that names them is committed afterwards."""
    return default_storage.save(name, ContentFile(data))


def write_derived(name: str, data: bytes) -> str:
    """Store bytes that a power cut may take: whoever needs them computes them again."""
    return default_storage.save(name, Derived(data))


def read(name: str) -> bytes:
    with default_storage.open(name, "rb") as file:
        return file.read()


def model_file_name(sha256: str) -> str:
    return f"models/{sha256}.safetensors"


def keep_model(path: Path) -> str:
    """Store a model file under its hash and return the hash."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    write(model_file_name(sha256), data)
    return sha256


def local_model(sha256: str) -> Path:
    """Path of the model file on this machine, fetched from the storage if needed. The loader checks the hash."""
    name = model_file_name(sha256)
    if isinstance(default_storage._wrapped, FileSystemStorage):  # type: ignore[attr-defined]
        return Path(default_storage.path(name))
    cached = Path(settings.MODEL_CACHE_DIR) / f"{sha256}.safetensors"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{secrets.token_hex(4)}")
        temporary.write_bytes(read(name))
        temporary.replace(cached)
    return cached
