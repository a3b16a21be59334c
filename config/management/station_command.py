"""What run_station and simulate_line share: their options and the loop around one station."""

import json
import logging
import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actor import Actor
from inspection import queries
from inspection.models import Station
from inspection.station import AtTrigger, FolderSource, play
from plc.simulator.sensor import SensorError, SensorWire
from vision.folder import FolderError, FolderImage, read_folder

_log = logging.getLogger(__name__)


class StationCommand(BaseCommand):
    def add_common_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rate", type=float, default=1.0, help="parts per second (default 1)")
        parser.add_argument("--parts", type=int, help="stop after this many parts")
        parser.add_argument(
            "--until-seq", type=int, help="stop after this trigger number (survives a restart)"
        )
        parser.add_argument("--seed", type=int, default=1, help="order of the images")
        parser.add_argument("--sensor", metavar="HOST:PORT", help="light barrier input of the simulated PLC")
        parser.add_argument(
            "--truth-log", type=Path, help="append each part's known truth here (demo and tests)"
        )

    def station(self, code: str) -> Station:
        found = queries.station_by_code(code)
        if found is None:
            raise CommandError(f"There is no station {code}. Set up a line first (script/demo, or /admin/).")
        return found

    def run(self, station: Station, images: str | None, **options: Any) -> None:
        folder = images or station.camera.get("folder")
        if not folder:
            raise CommandError(f"Station {station.code} has no image source: give --images DIR.")
        if options["rate"] <= 0:
            raise CommandError("--rate must be above 0.")
        try:
            shown = [image for image in read_folder(Path(folder)) if image.split == "test"]
        except FolderError as problem:
            raise CommandError(str(problem)) from problem
        if not shown:
            raise CommandError(f"{folder} has no images below test/.")
        until_seq = options["until_seq"]
        if options["parts"]:
            until_seq = queries.next_trigger_seq(station) - 1 + options["parts"]
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        captured = play(
            station=station,
            source=FolderSource(sorted(shown, key=lambda image: str(image.path)), options["seed"]),
            rate_per_s=options["rate"],
            until_seq=until_seq,
            at_trigger=self._at_trigger(station.code, options["sensor"], options["truth_log"]),
            stop=stop,
            actor=Actor.system(f"station {station.code}"),
        )
        self.stdout.write(f"Station {station.code} captured {captured} parts.")

    def _at_trigger(self, station: str, sensor: str | None, truth_log: Path | None) -> AtTrigger:
        wire = _wire(sensor) if sensor else None

        def pulse(trigger_seq: int, part_id: str, image: FolderImage) -> None:
            if truth_log:
                known = {
                    "part": part_id,
                    "truth": image.truth,
                    "defect": image.defect,
                    "file": str(image.path),
                }
                with truth_log.open("a") as file:
                    file.write(json.dumps(known) + "\n")
            if wire:
                try:
                    wire.pulse(station, trigger_seq, part_id)
                except SensorError as problem:
                    # As on the floor: the PLC does not know this part and will answer "unknown part".
                    _log.warning("the PLC did not see part %s pass the light barrier: %s", part_id, problem)

        return pulse


def _wire(address: str) -> SensorWire:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise CommandError(f"--sensor {address!r} must read HOST:PORT.")
    return SensorWire(host, int(port))
