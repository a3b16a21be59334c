"""How many parts a second the inspect worker sustains, beside its bare model in batches on the same images.

A backlog is captured first, then the worker of the demo (a Celery process, the rows in a database of its own) works it
off: claim, open, network, decision, map. Before and after, the bare model goes through the same pictures in this process,
decoded beforehand, in the worker's own runtime, in batches of its size. The captures leave their decoded pixels for the
worker as they do on a line, so neither side decodes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
THREADS = str(max(1, (os.cpu_count() or 2) - 1))  # as the demo gives its worker
os.environ |= {"OMP_NUM_THREADS": THREADS, "OMP_WAIT_POLICY": "PASSIVE"}

GOAL = 0.9
WARM_PARTS = 50  # the first ones, while the worker finds its pace, are not counted
BARE_S = 6.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=500)
    parser.add_argument("--images", type=Path, help="a folder in MVTec layout; without it parts are rendered")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secondlook-bench-") as folder:
        os.environ["DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        for name in ("REDIS_URL", "DATABASE_URL", "STORAGE_URL"):
            os.environ.pop(name, None)
        detail = measure(given, Path(folder))
    bare = sum(detail["bare_parts_per_s"]) / len(detail["bare_parts_per_s"])
    figure = round(detail["worker_parts_per_s"] / bare, 3)
    print(
        json.dumps(
            {
                "benchmark": "throughput",
                "figure": figure,
                "unit": "the worker's parts/s / the bare batched model's",
                "goal": GOAL,
                "holds": figure >= GOAL,
                "detail": detail,
            }
        )
    )
    return 0


def measure(given: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    from config.demo.options import Options
    from config.demo.supervisor import Supervisor
    from config.demo.valkey import embedded_valkey

    valkey = embedded_valkey(data_dir)
    assert valkey is not None
    with Supervisor(data_dir=data_dir, processes=[valkey.process()], say=say) as supervisor:
        import django

        django.setup()
        from config.demo.conductor import celery_worker
        from config.demo.prepare import prepare

        options = Options(
            images=given.images.resolve() if given.images else None,
            port=0,
            rate=1.0,
            parts=given.parts,
            family="auto",
            opens_browser=False,
            exits_when_done=True,
            data_dir=data_dir,
            seed=1,
        )
        prepared = prepare(options, 44818, lambda line: None if line.startswith("  ") else say(line))
        bare = Bare()
        say(f"Capturing {given.parts} parts.")
        pictures = capture(prepared, given.parts)
        before = bare.parts_per_s(pictures)
        supervisor.add(celery_worker("inspect"))
        worker = worked_off(given.parts, supervisor)
        laps = median_laps()
        supervisor.stop()
    after = bare.parts_per_s(pictures)
    return {
        "worker_parts_per_s": worker,
        "bare_parts_per_s": [before, after],
        "runtime": bare.runtime,
        "batch": bare.batch,
        "threads": int(THREADS),
        "worker_laps_ms_p50": laps,
    }


def capture(prepared: Any, parts: int) -> list[Any]:
    """The parts' pictures, captured as a station does; the folder is played round and round."""
    from audit.actor import Actor
    from inspection import actions
    from vision.folder import read_folder
    from vision.images import decode

    shown = [image.path for image in read_folder(prepared.images) if image.split == "test"]
    pictures = []
    for number in range(1, parts + 1):
        data = Path(shown[number % len(shown)]).read_bytes()
        actions.capture(
            station=prepared.station,
            trigger_seq=number,
            data=data
            + number.to_bytes(4, "big"),  # behind the end of the picture: another file, the same pixels
            actor=Actor.system("benchmark"),
        )
        if number <= len(shown):
            pictures.append(decode(data, max_pixels=60_000_000))
    return pictures


class Bare:
    """The active configuration's model in the runtime that the worker will find chosen."""

    def __init__(self) -> None:
        from django.conf import settings

        from inspection import storage
        from inspection.models import GoldenConfiguration
        from vision import model_file
        from vision.device import choose_device
        from vision.readiness import make_ready

        golden = GoldenConfiguration.objects.get(state="active")
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
            say=lambda _: None,
        )
        self._predictor = found.predictor
        self.runtime = str(ready)
        self.batch = int(getattr(getattr(found.predictor, "engine", None), "batch", 1))

    def parts_per_s(self, pictures: list[Any]) -> float:
        seen, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < BARE_S:
            for start in range(0, len(pictures), self.batch):
                seen += len(self._predictor.predict(pictures[start : start + self.batch]))
                if time.perf_counter() - began > BARE_S:
                    break
        return round(seen / spent, 1) if spent else 0.0


def worked_off(parts: int, supervisor: Any) -> float:
    """Parts a second between the first decisions and the last one."""
    from inspection.models import Inspection, Part

    give_up_at = time.monotonic() + 600
    while Part.objects.filter(state="captured").exists():
        if time.monotonic() > give_up_at:
            raise SystemExit("The worker did not work off the backlog within 10 minutes.")
        supervisor.wait(0.5)
    ended = list(Inspection.objects.order_by("finished_at").values_list("finished_at", flat=True))
    failed = Inspection.objects.exclude(problem="").count()
    if len(ended) != parts or failed:
        raise SystemExit(f"{len(ended)} of {parts} parts were inspected, {failed} with a problem.")
    return round((parts - WARM_PARTS) / (ended[-1] - ended[WARM_PARTS - 1]).total_seconds(), 1)


def median_laps() -> dict[str, float]:
    import numpy as np

    from inspection.models import Inspection

    laps: dict[str, list[float]] = {}
    for look in Inspection.objects.values_list("latency_ms", flat=True):
        for name, ms in look.items():
            laps.setdefault(name, []).append(ms)
    return {name: round(float(np.median(values)), 2) for name, values in laps.items()}


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
