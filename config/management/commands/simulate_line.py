"""Plays a folder of images through a station, as if parts came along."""

from typing import Any

from django.core.management.base import CommandParser

from config.management.station_command import StationCommand


class Command(StationCommand):
    help = "Play the test images of a folder in MVTec layout through a station."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("images", metavar="DIR", help="folder in MVTec layout")
        parser.add_argument("--station", default="S01", help="code of the station (default S01)")
        self.add_common_arguments(parser)

    def handle(self, *, station: str, images: str, **options: Any) -> None:
        self.run(self.station(station), images, **options)
