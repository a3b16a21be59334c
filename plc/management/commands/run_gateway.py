import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from plc.gateway import Gateway
from plc.models import PlcLink


class Command(BaseCommand):
    help = (
        "Own one PLC: heartbeat, dispositions out, acks in. A second gateway waits until the first is gone."
    )
    # They load every page and model library, and the line waits while a gateway starts again.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plc", help="code of the PLC link, such as PLC1")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            Gateway(options["plc"]).run(stop)
        except PlcLink.DoesNotExist as missing:
            raise CommandError(str(missing)) from missing
