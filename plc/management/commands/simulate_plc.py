import argparse
from typing import Any

from django.core.management.base import BaseCommand

from plc.simulator import add_arguments, run


class Command(BaseCommand):
    help = "Run the packaged controller until SIGTERM or Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        raise SystemExit(run(argparse.Namespace(**options)))
