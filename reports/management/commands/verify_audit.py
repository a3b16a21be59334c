"""`manage.py verify_audit`: walk the hash chain and every image hash; exit 0 only if whole."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reports.queries.wholeness import wholeness


class Command(BaseCommand):
    help = "Walk the hash chain of the audit trail and the sha256 of every stored image; exit 0 only if all is whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head", default="", help="Hash of a link written down earlier; it must still be there."
        )

    def handle(self, *, head: str, **options: Any) -> None:
        found = wholeness(known_head=head)
        for problem in found.problems:
            self.stderr.write(problem)
        self.stdout.write(
            f"{found.seals} links and {found.images} images checked, {found.unsealed} events wait for their seal, "
            f"{len(found.problems)} problems."
        )
        self.stdout.write(f"head {found.head or 'none yet'}")
        if not found.is_whole:
            raise SystemExit(1)
