"""The model of each line: loaded from its active golden configuration, proven, warm, and replaced without a gap."""

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection

from audit.actor import Actor
from inspection import actions, storage
from inspection.models import GoldenConfiguration, Line
from inspection.queries import active_golden
from inspection.states import Reason
from vision import model_file
from vision.device import choose_device
from vision.predictor import Predictor
from vision.readiness import NotReadyError, Ready, make_ready

# While another golden configuration warms up the one before goes on answering, but not for ever.
SWITCH_WITHIN_S = 120.0
KNOWN_FOR_S = 0.05  # so long the worker goes by the configuration it has just read; a switch takes far longer
TRY_AGAIN_S = 5.0  # a model that was refused is read again after this: somebody may have put the file back
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """`golden` is the configuration this predictor was loaded under; `ready` says what its proof gave."""

    golden: GoldenConfiguration
    predictor: Predictor
    ready: Ready


class Refused(Exception):  # noqa: N818 - read: "raise Refused(reason, sentence)"
    """Why the part cannot be scored; it will be held or rejected with this reason."""

    def __init__(self, reason: Reason, sentence: str, golden: GoldenConfiguration | None = None) -> None:
        super().__init__(sentence)
        self.reason, self.golden = reason, golden


@dataclass(slots=True)
class _Failed:
    refused: Refused
    at: float = field(default_factory=time.monotonic)


class Eye:
    """One loaded predictor a line.

    switches_in_background  True in the worker: a new configuration is loaded beside the old one, which goes on
                            answering under its own thresholds; False: the caller waits
    """

    def __init__(self, *, actor: Actor, switches_in_background: bool = False) -> None:
        self._actor = actor
        self._in_background = switches_in_background
        self._loaded: dict[int, Loaded] = {}
        self._known: dict[int, tuple[Loaded, float]] = {}  # line -> what answers, and until when that holds
        self._failed: dict[int, _Failed] = {}
        self._loading: dict[int, float] = {}  # golden -> since when
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Load every line's model, so that the first part does not pay for it."""
        for line in Line.objects.all():
            try:
                self.loaded_for(line)
            except Refused as refused:
                _log.error("line %s has no usable model: %s", line.code, refused)

    def loaded_for(self, line: Line) -> Loaded:
        """The predictor that answers for this line now; raises Refused with the reason if none may."""
        known = self._known.get(line.pk)
        if known and time.monotonic() < known[1]:
            return known[0]
        loaded = self._as_the_rows_say(line)
        if self._in_background:
            self._known[line.pk] = (loaded, time.monotonic() + KNOWN_FOR_S)
        return loaded

    def at_hand(self, line_id: int) -> Loaded | None:
        """What was loaded for this line last, without asking the rows whether it may still answer."""
        return self._loaded.get(line_id)

    def _as_the_rows_say(self, line: Line) -> Loaded:
        golden = active_golden(line)
        if golden is None:
            self._loaded.pop(line.pk, None)
            raise Refused(Reason.NO_MODEL, f"Line {line.code} has no active golden configuration.")
        if golden.computed_sha256() != golden.content_sha256:
            raise Refused(
                Reason.WRONG_MODEL, f"{golden} was changed after it was locked. Make a new one.", golden
            )
        loaded = self._loaded.get(line.pk)
        if loaded and loaded.golden.pk == golden.pk:
            return loaded
        failed = self._failed.get(golden.pk)
        if failed:
            # The one before must not go on deciding because its successor is broken.
            self._loaded.pop(line.pk, None)
            if time.monotonic() - failed.at < TRY_AGAIN_S:
                raise failed.refused
        elif loaded and self._in_background:
            return self._meanwhile(loaded, golden)
        return self._load(golden)

    def _meanwhile(self, before: Loaded, golden: GoldenConfiguration) -> Loaded:
        """The old one answers until the new one is warm."""
        with self._lock:
            since = self._loading.setdefault(golden.pk, 0.0)
            if since == 0.0:
                self._loading[golden.pk] = time.monotonic()
                threading.Thread(
                    target=self._load_beside, args=(golden,), name="model switch", daemon=True
                ).start()
            elif time.monotonic() - since > SWITCH_WITHIN_S:
                raise Refused(
                    Reason.WRONG_MODEL, f"{golden} did not get warm within {SWITCH_WITHIN_S:g} s.", golden
                )
        return before

    def _load_beside(self, golden: GoldenConfiguration) -> None:
        try:
            self._load(golden)
        except Refused:
            _log.info("%s was refused; its line's parts are held", golden)
        finally:
            with self._lock:
                self._loading.pop(golden.pk, None)
            connection.close()

    def _load(self, golden: GoldenConfiguration) -> Loaded:
        try:
            found = model_file.open_model(
                storage.local_model(golden.model_sha256),
                expected_sha256=golden.model_sha256,
                device=choose_device(settings.DEVICE),
            )
            ready = make_ready(
                found.predictor,
                references=found.references,
                model_sha256=golden.model_sha256,
                cache=Path(settings.DATA_DIR) / "runtimes",
                say=lambda sentence: _log.info("%s: %s", golden, sentence),
            )
        except (model_file.ModelFileError, NotReadyError, OSError) as problem:
            refused = Refused(Reason.WRONG_MODEL, str(problem), golden)
            self._failed[golden.pk] = _Failed(refused)
            actions.report_readiness(golden=golden, refused=str(problem), actor=self._actor)
            _log.error("%s cannot be used: %s", golden, problem)
            raise refused from problem
        loaded = Loaded(golden, found.predictor, ready)
        actions.report_readiness(golden=golden, ready=ready.as_json(), actor=self._actor)
        _log.info("%s is warm: %s", golden, ready)
        self._failed.pop(golden.pk, None)
        self._loaded[golden.line_id] = loaded  # last: from here on it answers
        return loaded
