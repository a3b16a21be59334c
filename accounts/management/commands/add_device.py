"""Makes a machine account, or gives it a new token; the token is shown this once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.actions import add_device
from accounts.models import DeviceKind


class Command(BaseCommand):
    help = "Make the account of a camera or a PLC and print its token (only its hash is kept)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="a name of its own, for example camera-S01")
        parser.add_argument("--kind", choices=DeviceKind.values, default=DeviceKind.CAMERA)
        parser.add_argument("--station", default="", help="code of the only station it may send for")

    def handle(self, *, name: str, kind: str, station: str, **options: Any) -> None:
        self.stdout.write(add_device(name=name, kind=DeviceKind(kind), station_code=station))
