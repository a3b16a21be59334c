"""Owns one station's camera: trigger, capture, commit, ring."""

from typing import Any

from django.core.management.base import CommandParser

from config.management.station_command import StationCommand


class Command(StationCommand):
    help = "Run the camera of one station (its folder source) until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("station", help="code of the station, for example S01")
        parser.add_argument("--images", help="folder in MVTec layout; default: the station's camera set-up")
        self.add_common_arguments(parser)

    def handle(self, *, station: str, images: str | None, **options: Any) -> None:
        self.run(self.station(station), images, **options)
