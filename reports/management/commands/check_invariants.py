"""`manage.py check_invariants`: recompute every safety rule from the rows; exit 0 only if clean."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reports.queries.invariants import checked_rows
from reports.queries.plc_log import Comparison, compared

MOST_SENTENCES = 50


class Command(BaseCommand):
    help = (
        "Recompute every safety rule from the rows, without trusting any constraint. Sentences go to stderr, the "
        "last line of stdout is a JSON summary; the exit status is 0 only if nothing is broken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--strict-acks", action="store_true", help="A missing ack of the PLC is a failure too."
        )
        parser.add_argument(
            "--ack-after",
            type=float,
            default=30.0,
            metavar="S",
            help="How old a disposition must be to miss its ack.",
        )
        parser.add_argument(
            "--plc-log", type=Path, metavar="FILE", help="The PLC simulator's log to compare with."
        )

    def handle(self, *, strict_acks: bool, ack_after: float, plc_log: Path | None, **options: Any) -> None:
        summary = checked_rows(ack_limit=timedelta(seconds=ack_after))
        comparison = _compared(plc_log) if plc_log else Comparison()
        sentences = [f"{finding.rule}: {finding.sentence}" for finding in summary.findings]
        sentences += [f"plc: {problem}" for problem in comparison.problems]
        if strict_acks and summary.missing_ack:
            sentences.append(
                f"missing_ack: {summary.missing_ack} final dispositions have no answer of the PLC."
            )
        for sentence in sentences[:MOST_SENTENCES]:
            self.stderr.write(sentence)
        if len(sentences) > MOST_SENTENCES:
            self.stderr.write(f"… and {len(sentences) - MOST_SENTENCES} more.")
        figures = summary.figures()
        if plc_log:
            figures |= {"plc_applied": comparison.applied, "plc_refused": comparison.refused}
            figures["plc_disagrees"] = len(comparison.problems)
        self.stdout.write(json.dumps(figures))
        if sentences:
            raise SystemExit(1)


def _compared(plc_log: Path) -> Comparison:
    try:
        return compared(plc_log.read_text().splitlines())
    except (OSError, ValueError) as problem:
        raise CommandError(f"The PLC log {plc_log} cannot be compared: {problem}") from problem
