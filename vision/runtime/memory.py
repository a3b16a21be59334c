"""The file that makes a choice of runtime stick: one for each model and device, with the ONNX files it needs."""

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Remembered:
    """What was chosen, and on what.

    engine       name of the chosen runtime
    ms           median of one image in each runtime that was measured
    refused      why the others did not run, by name
    libraries    versions at the time
    onnx_sha256  of the ONNX files beside it, by kind (`float32`, `int8`)
    score_limit  how far its scores were allowed to be from torch's
    """

    engine: str
    ms: dict[str, float]
    refused: dict[str, str]
    libraries: dict[str, str]
    onnx_sha256: dict[str, str]
    score_limit: float


class CorruptMemoryError(ValueError):
    """The file does not hold what `Memory.write` writes."""


class Memory:
    """The choice for one model on one device, under the cache folder."""

    def __init__(self, folder: Path, *, model_sha256: str, device_name: str) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", model_sha256):
            raise ValueError(f"A sha256 has 64 hexadecimal digits, not {model_sha256!r}.")
        device = hashlib.sha256(device_name.encode()).hexdigest()[:12]
        self._folder = folder
        self._stem = f"{model_sha256}-{device}"
        self._device_name = device_name
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        return self._folder / f"{self._stem}.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Two workers that start together must not choose two runtimes: the second waits, then reads."""
        with (self._folder / f"{self._stem}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self) -> Remembered | None:
        """The earlier choice, None where there is none; raises CorruptMemoryError for a file that is damaged."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return self._parsed(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptMemoryError(f"{self.path.name} is damaged: {error}.") from error

    def _parsed(self, fields: dict[str, Any]) -> Remembered:
        if fields.pop("device") != self._device_name:
            raise ValueError("it is of another device")
        found = Remembered(**fields)
        ms = {str(name): float(value) for name, value in found.ms.items()}
        words = [found.refused, found.libraries, found.onnx_sha256]
        if not isinstance(found.engine, str) or not all(isinstance(each, dict) for each in words):
            raise TypeError("its fields have other types")
        return replace(found, ms=ms, score_limit=float(found.score_limit))

    def write(self, remembered: Remembered) -> None:
        fields = {"device": self._device_name, **asdict(remembered)}
        self._replace(self.path, json.dumps(fields, indent=1, sort_keys=True).encode())

    def read_onnx(self, kind: str, *, sha256: str) -> bytes | None:
        """The kept ONNX file if it is exactly the one that was written."""
        try:
            content = self._onnx_path(kind).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def write_onnx(self, kind: str, content: bytes) -> None:
        self._replace(self._onnx_path(kind), content)

    def _onnx_path(self, kind: str) -> Path:
        return self._folder / f"{self._stem}.{kind}.onnx"

    def _replace(self, path: Path, content: bytes) -> None:
        """The old file or the whole new one, whatever happens in between."""
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=f".{path.name}.", delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(
            0o644
        )  # the temporary file is private; the plant's other processes read this one
        Path(file.name).replace(path)
