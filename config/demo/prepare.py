"""Everything the demo needs before its line can run: tables, people, a line, images, a first model. Idempotent."""

import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

import inspection.actions
import inspection.queries
import labeling.actions
import plc.actions
import review.actions
import review.queries
import training.actions
from accounts.actions import add_device, add_person
from accounts.models import DeviceAccount, DeviceKind, Person, Role
from audit.actor import Actor
from config.demo.options import Options
from inspection.models import Station
from training.models import Run
from vision.synthetic.folder import write_mvtec_folder

DEMO = Actor.system("demo")
DATASET = "Line pictures"
PEOPLE: tuple[tuple[str, str, tuple[Role, ...]], ...] = (
    ("inspector1", "Ines Spector", (Role.MANUAL_INSPECTOR,)),
    ("inspector2", "Tom Look", (Role.MANUAL_INSPECTOR,)),
    ("expert", "Quinn Expert", (Role.QUALITY_EXPERT,)),
    ("labeler", "Lena Painter", (Role.IMAGE_LABELER,)),
    ("developer", "Dev Vision", (Role.VISION_DEVELOPER,)),
    ("collector", "Cole Lector", (Role.DATA_COLLECTOR,)),
    ("operator", "Olga Line", (Role.LINE_OPERATOR,)),
    ("manager", "Max Yield", (Role.MANAGER,)),
    ("integrator", "Ingo Connect", (Role.INTEGRATOR,)),
)


@dataclass(frozen=True)
class Prepared:
    station: Station
    images: Path
    password: str
    camera_token: str


def prepare(options: Options, plc_port: int, say: Callable[[str], None]) -> Prepared:
    """Make whatever is missing; a second start finds it all there and takes a second."""
    say("Preparing the database and the pages.")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    password = _password(settings.DATA_DIR)
    _people(password)
    images = options.images or _rendered_images(settings.DATA_DIR, say)
    station = inspection.actions.set_up_line(
        code="L01",
        name="Line 1",
        part_type=images.name.replace("-", "_"),
        station="S01",
        hold_mailbox="H01",
        actor=DEMO,
    )
    _review_policy(station, images)
    plc.actions.set_up_link(code="PLC1", host="127.0.0.1", port=plc_port, station=station, actor=DEMO)
    if inspection.queries.active_golden(station.line) is None:
        _first_model(station, images, options.seed, say)
    return Prepared(station, images, password, _camera_token(settings.DATA_DIR))


def _review_policy(station: Station, images: Path) -> None:
    """What a plant would begin with, but one person is enough: the demo has no second one at the screens."""
    if review.queries.policy_of(station.line_id).number:
        return
    defects = sorted(
        folder.name for folder in (images / "test").glob("*") if folder.is_dir() and folder.name != "good"
    )
    review.actions.set_policy(
        line=station.line,
        actor=DEMO,
        double_share=0.0,
        newcomer_days=0,
        probe_share=0.05,
        audit_share=0.015,
        late_grading_h=8,
        degrades_on_overflow=True,
        defect_types=defects[:9],
    )


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A secret of this data folder, readable by its owner alone."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make())
    return path.read_text().strip()


def _password(data_dir: Path) -> str:
    return os.environ.get("DEMO_PASSWORD") or _kept(
        data_dir / "demo_password", lambda: secrets.token_urlsafe(9)
    )


def _people(password: str) -> None:
    known = set(Person.objects.values_list("username", flat=True))
    # Hashing nine passwords takes seconds, so only a new or a changed one is hashed.
    if known and not Person.objects.get(username=PEOPLE[0][0]).check_password(password):
        known = set()
    for username, name, roles in PEOPLE:
        if username not in known:
            is_integrator = Role.INTEGRATOR in roles
            person = add_person(
                username=username, password=password, name=name, roles=list(roles), is_staff=is_integrator
            )
            if is_integrator and not person.is_superuser:
                person.is_superuser = True
                person.save(update_fields=["is_superuser"])


def _camera_token(data_dir: Path) -> str:
    token = _kept(data_dir / "camera_token", lambda: secrets.token_urlsafe(24))
    if not DeviceAccount.objects.filter(name="camera-S01").exists():
        add_device(name="camera-S01", kind=DeviceKind.CAMERA, station_code="S01", token=token)
    return token


def _rendered_images(data_dir: Path, say: Callable[[str], None]) -> Path:
    folder = data_dir / "rendered" / "machined_disc"
    if not (folder / "complete").exists():
        say("Rendering machined parts under light, good and defective (once).")
        write_mvtec_folder(
            folder, good=150, test_good=280, test_bad_per_defect=24, seed=7, progress=progress_line(say)
        )
        (folder / "complete").touch()
    return folder


def _first_model(station: Station, images: Path, seed: int, say: Callable[[str], None]) -> None:
    """Import the good pictures, freeze them, fit and activate: the same steps as on the training page."""
    say(f"Learning what a good part looks like from {images}/train/good (once).")
    dataset = labeling.actions.make_dataset(line=station.line, name=DATASET, actor=DEMO)
    show = progress_line(say)
    labeling.actions.import_folder(dataset=dataset, folder=images, actor=DEMO, progress=show)
    version = labeling.actions.freeze_version(dataset=dataset, actor=DEMO)
    run = training.actions.start_run(dataset_version=version, seed=seed, actor=DEMO)
    candidate = training.actions.run_training(run=run, actor=DEMO, progress=show)
    if candidate is None:
        raise RuntimeError(f"The first model was not fitted: {Run.objects.get(pk=run.pk).error}")
    golden = training.actions.activate(candidate=candidate, actor=DEMO)
    say(
        f"Golden configuration {golden.number} is active: grey from {golden.grey_from:.3f} to {golden.grey_to:.3f}."
    )


def progress_line(say: Callable[[str], None]) -> Callable[[float, str], None]:
    """Progress in place on a terminal, a line every few seconds elsewhere."""
    last = {"at": 0.0}

    def show(fraction: float, doing: str) -> None:
        now = time.monotonic()
        if sys.stdout.isatty():
            print(f"\r  {fraction:4.0%}  {doing:<60.60}", end="\n" if fraction >= 1 else "", flush=True)
        elif fraction >= 1 or now - last["at"] > 3:
            last["at"] = now
            say(f"  {fraction:4.0%}  {doing}")

    return show
