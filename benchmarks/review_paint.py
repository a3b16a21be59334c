"""How long an inspector waits for the next part: verdict key to the first frame with its pixels, 20 Mpx JPEGs, Chromium.

The product's own web server (uvicorn, SQLite, embedded Valkey) with held parts of 20 megapixels, a defect map and a golden
reference each; one Chromium window of 1920x1080; F and J in turn, some seconds apart, as an inspector looks. Every picture
carries a patch of its own colour in the middle. The page is watched from outside: from the time stamp of the key press
until the start of the frame after the first one in which the canvas shows another colour there, so the frame with the new
part has been handed to the screen. Whose part it is, is checked against the colour.

The page draws the next case's picture while the verdict is on its way; it may be judged when its lease has come, which is
given beside it with the browser's own clock of both requests.
"""

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

GOAL_MS = 100.0
WIDTH, HEIGHT = 5472, 3648
PATCH_PX = 600
# Neighbours in the queue differ clearly in at least one channel, also after JPEG.
COLOURS = [
    (220, 40, 40),
    (40, 200, 40),
    (40, 60, 220),
    (220, 200, 40),
    (40, 200, 210),
    (210, 50, 200),
    (90, 90, 90),
]
WATCH = """(() => {
  const canvas = document.getElementById("stage");
  const read = () => {
    const context = canvas.getContext("2d");
    return [...context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
  };
  const differs = (a, b) => b[3] === 255 && a.some((value, at) => Math.abs(value - b[at]) > 40);
  const root = document.getElementById("workstation");
  [window.paints, window.ready] = [[], []];
  document.addEventListener("keydown", (event) => {
    if (event.key !== "f" && event.key !== "j") return;
    const [pressed, before] = [event.timeStamp, read()];
    const look = () => {
      const now = read();
      if (!differs(before, now)) return void requestAnimationFrame(look);
      requestAnimationFrame(() => window.paints.push({pressed, painted: performance.now(), colour: now}));
    };
    requestAnimationFrame(look);
    new MutationObserver((_, observer) => {
      if (root.dataset.state !== "looking") return;
      observer.disconnect();
      window.ready.push(performance.now() - pressed);
    }).observe(root, {attributeFilter: ["data-state"]});
  }, {capture: true});
})()"""
CALLS = """(since) => performance.getEntriesByType("resource")
  .filter((e) => e.startTime >= since && /\\/(verdict|lease)\\/$/.test(e.name))
  .map((e) => ({name: e.name.includes("verdict") ? "verdict" : "lease", ms: e.responseEnd - e.startTime}))"""
FRAMES = """() => new Promise((resolve) => {
  const canvas = document.getElementById("stage");
  const [x, y] = [canvas.clientWidth * 0.4, canvas.clientHeight * 0.6];
  const gaps = [];
  let last = performance.now();
  let step = 0;
  const turn = (now) => {
    gaps.push(now - last);
    last = now;
    step += 1;
    if (step > 120) return resolve(gaps.slice(2));
    const place = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: step % 80 < 40 ? -60 : 60, bubbles: true,
      clientX: place.x + x, clientY: place.y + y, cancelable: true}));
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
})"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", type=int, default=40)
    parser.add_argument("--look-s", type=float, default=3.0, help="seconds between a picture and its verdict")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secondlook-bench-") as folder:
        os.environ |= {
            "DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "OMP_NUM_THREADS": "1",
        }
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs in this thread
        for name in ("REDIS_URL", "DATABASE_URL", "STORAGE_URL"):
            os.environ.pop(name, None)
        detail = measure(given, Path(folder))
    figure = detail["key_to_frame_ms"]["p95"]
    print(
        json.dumps(
            {
                "benchmark": "review_paint",
                "figure": figure,
                "unit": "ms from the verdict key to the first frame with the next part, p95",
                "goal": GOAL_MS,
                "holds": figure <= GOAL_MS,
                "detail": detail,
            }
        )
    )
    return 0


def measure(given: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    from config.demo.supervisor import Supervisor
    from config.demo.valkey import embedded_valkey

    valkey = embedded_valkey(data_dir)
    assert valkey is not None
    with Supervisor(data_dir=data_dir, processes=[valkey.process()], say=say) as supervisor:
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        say(f"Making {given.verdicts + 5} parts of {WIDTH}x{HEIGHT}.")
        sizes = make_parts(given.verdicts + 5)
        web = web_server()
        supervisor.add(web)
        stop = threading.Event()
        sweeper = threading.Thread(target=sweep, args=(stop,))
        sweeper.start()
        try:
            seen = inspect(given, f"http://127.0.0.1:{web.argv[-1]}")
        finally:
            stop.set()
            sweeper.join()
    return {
        **seen,
        "verdicts": given.verdicts,
        "look_s": given.look_s,
        "image": f"{WIDTH}x{HEIGHT} JPEG, {sum(sizes) / len(sizes) / 1e6:.1f} MB on average",
        "measured": "key press to the start of the frame after the first one with the next part's pixels",
        "screen": "Chromium 1920x1080, headless, drawn by the processor",
        "cpu_cores": os.cpu_count(),
    }


def make_parts(count: int) -> list[int]:
    """Held parts of one line; returns the sizes of their files."""
    import numpy as np
    from PIL import Image

    from accounts.actions import add_person
    from accounts.models import Role
    from audit.actor import Actor
    from inspection import actions, storage
    from inspection.look import Look
    from inspection.states import Mode, Reason
    from review.actions import open_cases, set_policy
    from vision.maps import to_png

    actor = Actor.system("benchmark")
    station = actions.set_up_line(
        code="L1",
        name="Line 1",
        part_type="plate",
        station="S1",
        hold_mailbox="H1",
        mode=Mode.TWO_TIER,
        commit_window_ms=1_000,
        review_deadline_ms=3_600_000,
        actor=actor,
    )
    golden = actions.draft_golden(
        line=station.line, model_name="test", model_sha256="0" * 64, family="patchcore",
        grey_from=0.3, grey_to=0.7, preprocessing={}, actor=actor,
    )  # fmt: skip
    actions.lock_golden(golden=golden, actor=actor)
    actions.activate_golden(golden=golden, actor=actor)
    add_person(
        username="inspector",
        password="for this run only",
        name="",
        roles=[Role.MANUAL_INSPECTOR],
        line_code="",
    )
    sizes = []
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 9, (HEIGHT // 4, WIDTH // 4)).astype(np.float32)
    brushed = np.kron(grain, np.ones((4, 4), np.float32)) + rng.normal(0, 4, (HEIGHT, WIDTH)).astype(
        np.float32
    )
    plate = np.repeat((140 + brushed).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    top, left = (HEIGHT - PATCH_PX) // 2, (WIDTH - PATCH_PX) // 2
    heat = np.zeros((456, 684), np.float32)
    heat[60:90, 80:130], heat[380:392, 560:600] = 0.6, 0.45
    for number in range(count):
        pixels = np.roll(plate, 37 * number, axis=1)
        pixels[top : top + PATCH_PX, left : left + PATCH_PX] = COLOURS[number % len(COLOURS)]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=88)
        sizes.append(len(file.getvalue()))
        part = actions.capture(
            station=station, data=file.getvalue(), serial=f"SN-{number:04}", actor=actor
        ).part
        name = storage.write(f"maps/{part.pk}.png", to_png(heat))
        is_reference = number == 0
        look = Look(Reason.CLEAR, golden=golden, score=0.05 if is_reference else 0.5, map_file=name)
        actions.decide(part=part, look=look, actor=actor)
        if is_reference:
            set_policy(line=station.line, actor=actor, reference_part=part, defect_types=["scratch", "dent"])
    open_cases(actor=actor)
    return sizes


def web_server() -> Any:
    """As the demo starts it."""
    import socket

    from config.demo.supervisor import ProcessSpec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ProcessSpec(
        name="web",
        argv=[sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port)],
        cwd=ROOT,
        ready=lambda: _answers(port),
    )


def _answers(port: int) -> bool:
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def sweep(stop: threading.Event) -> None:
    """Carries verdicts out, as the sweeper process does; without its embedding of waiting parts."""
    from django.db import connection
    from django.utils import timezone

    from audit.actor import Actor
    from review import actions

    while not stop.wait(1.0):
        actions.sweep(now=timezone.now(), actor=Actor.system("benchmark"))
    connection.close()


def inspect(given: argparse.Namespace, address: str) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    chromium = next(
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(base_url=address, viewport={"width": 1920, "height": 1080})
        context.add_cookies([{**session_cookie(), "url": address}])
        page = context.new_page()
        page.goto("/review/")
        page.wait_for_selector('#workstation[data-state="looking"]', timeout=60_000)
        page.evaluate("performance.setResourceTimingBufferSize(5000)")
        page.evaluate(WATCH)
        time.sleep(8)  # the pictures ahead arrive while the first part is looked at
        frames = page.evaluate(FRAMES)
        page.keyboard.press("0")
        shots, calls, wrong = [], {"verdict": [], "lease": []}, 0
        for number in range(given.verdicts):
            time.sleep(given.look_s)
            page.keyboard.press("fj"[number % 2])
            wait_for_paint(page, number + 1)
            page.wait_for_selector('#workstation[data-state="looking"]')
            paint = page.evaluate("window.paints.at(-1)")
            serial = page.locator('[data-text="serial"]').inner_text()
            colour = COLOURS[int(serial[3:]) % len(COLOURS)]
            wrong += any(abs(a - b) > 24 for a, b in zip(paint["colour"], colour, strict=False))
            shots.append(paint["painted"] - paint["pressed"])
            for call in page.evaluate(CALLS, paint["pressed"]):
                calls[call["name"]].append(call["ms"])
            say(f"{number + 1:3} {serial} {shots[-1]:6.0f} ms")
        ready = page.evaluate("window.ready")
        browser.close()
    return {
        "key_to_frame_ms": spread(shots),
        "key_to_lease_on_screen_ms": spread(ready),
        "server_verdict_ms": spread(calls["verdict"]),
        "server_lease_ms": spread(calls["lease"]),
        "wrong_pictures": wrong,
        "zoom_frame_ms": spread(frames),
    }


def wait_for_paint(page: Any, count: int) -> None:
    """Asked seldom, so that the asking does not slow the page down; its policy forbids Playwright's own wait."""
    give_up_at = time.monotonic() + 30
    while page.evaluate("window.paints.length") < count:
        if time.monotonic() > give_up_at:
            raise SystemExit("The next part did not appear within 30 s.")
        time.sleep(0.5)


def session_cookie() -> dict[str, str]:
    from django.conf import settings
    from django.test import Client

    from accounts.models import Person

    client = Client()
    client.force_login(Person.objects.get(username="inspector"))
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value}


def spread(values: list[float]) -> dict[str, float]:
    import numpy as np

    return {
        name: round(float(np.percentile(values, share)), 1)
        for name, share in (("p50", 50), ("p95", 95), ("max", 100))
    }


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
