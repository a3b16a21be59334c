import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from plc.simulator import add_arguments, run


class Command(BaseCommand):
    help = "Run the packaged Logix-like controller until SIGTERM or Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)
        parser.add_argument(
            "--protocol", default="ethernet_ip", help="ethernet_ip; no other protocol is served yet"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["protocol"] != "ethernet_ip":
            raise CommandError(
                f"The simulator does not speak {options['protocol']!r} yet. Leave --protocol out, or use ethernet_ip."
            )
        raise SystemExit(run(argparse.Namespace(**options)))
