"""Trigger -> PLC acknowledgement of automatic parts, broken down by stage, on a whole running line.

Starts the same processes as script/demo in a data folder of its own, plays rendered parts at a fixed rate, and reads
the stages from the rows. The bare work (decode, and the model in the runtime that the worker chose; one process, nothing
else running) is measured in the same run. What the whole path takes beyond it is the overhead; the PLC's scan (10 ms, so
5 ms on average until its program sees anything) is a part of it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
GOAL_OVERHEAD_MS = 15.0  # p50
GOAL_P99_MS = 100.0  # of the whole, at 10 parts/s
STAGES = ("capture", "queue", "decode", "prepare", "wait", "forward", "finish", "decide", "outbox", "plc")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--images", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secondlook-bench-") as folder:
        os.environ["DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        for name in ("REDIS_URL", "DATABASE_URL", "STORAGE_URL"):
            os.environ.pop(name, None)
        detail = measure(given, Path(folder))
    figure = detail["overhead_ms_p50"]
    holds = {
        "overhead_ms_p50": figure <= GOAL_OVERHEAD_MS,
        "trigger_to_ack_ms_p99": detail["trigger_to_ack_ms"]["p99"] <= GOAL_P99_MS,
    }
    print(
        json.dumps(
            {
                "benchmark": "line_latency",
                "figure": figure,
                "unit": "ms p50 from trigger to PLC ack, less bare decode and bare model",
                "goal": GOAL_OVERHEAD_MS,
                "holds": all(holds.values()),
                "detail": {"holds": holds, **detail},
            }
        )
    )
    return 0


def measure(given: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    from config.demo.options import Options
    from config.demo.supervisor import Supervisor
    from config.demo.valkey import embedded_valkey

    options = Options(
        images=given.images.resolve() if given.images else None,
        port=0,
        rate=given.rate,
        parts=given.parts,
        family="auto",
        opens_browser=False,
        exits_when_done=True,
        data_dir=data_dir,
        seed=1,
    )
    valkey = embedded_valkey(data_dir)
    assert valkey is not None
    with Supervisor(data_dir=data_dir, processes=[valkey.process()], say=say) as supervisor:
        import django

        django.setup()
        from config.demo.conductor import Conductor

        conductor = Conductor(options, supervisor, lambda line: None if line.startswith("  ") else say(line))
        conductor.start_line()
        say(f"Playing {given.parts} parts at {given.rate:g} parts/s.")
        wait_until_acknowledged(given.parts, supervisor.wait)
        detail = stages()
        supervisor.stop()
    detail["bare_ms"] = bare_work()
    whole = detail["trigger_to_ack_ms"]["p50"]
    bare = sum(detail["bare_ms"][step]["p50"] for step in ("decode", "model"))
    detail["ratio_p50_to_bare_work"] = round(whole / bare, 2)
    detail["overhead_ms_p50"] = round(whole - bare, 2)
    detail["rate_parts_per_s"] = given.rate
    return detail


def wait_until_acknowledged(parts: int, wait: Callable[[float], None]) -> None:
    from inspection.models import Disposition, Part
    from plc.models import Delivery

    give_up_at = time.monotonic() + 600
    while time.monotonic() < give_up_at:
        wait(1.0)
        sent = Delivery.objects.filter(acked_at__isnull=False).count()
        if Part.objects.count() >= parts and sent >= Disposition.objects.count() >= parts:
            return
    raise SystemExit("The line did not acknowledge all parts within 10 minutes.")


def stages() -> dict[str, Any]:
    """p50/p90/p99 of each stage over the parts that the model decided alone."""
    from plc.models import Delivery

    rows = Delivery.objects.filter(
        disposition__is_final=True, disposition__part__held_at=None, acked_at__isnull=False
    ).select_related("disposition__part", "disposition__inspection")
    laps: dict[str, list[float]] = {stage: [] for stage in STAGES}
    whole: list[float] = []
    for row in rows:
        part, inspection = row.disposition.part, row.disposition.inspection
        if inspection is None:
            continue
        look = inspection.latency_ms
        looked = sum(look.values())
        laps["capture"].append(ms(part.triggered_at, part.captured_at))
        laps["queue"].append(max(0.0, ms(part.captured_at, inspection.finished_at) - looked))
        for lap in ("decode", "prepare", "wait", "forward", "finish"):
            laps[lap].append(look.get(lap, 0.0))
        laps["decide"].append(ms(inspection.finished_at, row.disposition.decided_at))
        laps["outbox"].append(ms(row.disposition.decided_at, row.sent_at))
        laps["plc"].append(ms(row.sent_at, row.acked_at))
        whole.append(ms(part.triggered_at, row.acked_at))
    if not whole:
        raise SystemExit("The model decided no part alone; nothing can be measured.")
    return {
        "automatic_parts": len(whole),
        "trigger_to_ack_ms": percentiles(whole),
        "stages_ms": {stage: percentiles(values) for stage, values in laps.items()},
    }


def bare_work() -> dict[str, Any]:
    """Decode and predict of the same images in this process, in the worker's own runtime, with the line stopped."""
    from django.conf import settings

    from inspection import storage
    from inspection.models import GoldenConfiguration, Image
    from vision import model_file
    from vision.images import decode
    from vision.readiness import make_ready

    golden = GoldenConfiguration.objects.get(state="active")
    found = model_file.open_model(
        storage.local_model(golden.model_sha256), expected_sha256=golden.model_sha256, device="cpu"
    )
    ready = make_ready(
        found.predictor,
        references=found.references,
        model_sha256=golden.model_sha256,
        cache=Path(settings.DATA_DIR) / "runtimes",  # where the worker has kept its choice
        say=lambda _: None,
    )
    decoding, predicting = [], []
    for image in list(Image.objects.order_by("id")[:60]):
        data = storage.read(image.file)
        began = time.perf_counter()
        picture = decode(data, max_pixels=60_000_000)
        decoded = time.perf_counter()
        found.predictor.predict([picture])
        decoding.append((decoded - began) * 1000)
        predicting.append((time.perf_counter() - decoded) * 1000)
    return {"runtime": str(ready), "decode": percentiles(decoding[5:]), "model": percentiles(predicting[5:])}


def ms(since: Any, until: Any) -> float:
    return (until - since).total_seconds() * 1000


def percentiles(values: list[float]) -> dict[str, float]:
    import numpy as np

    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 90, 99)}


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
