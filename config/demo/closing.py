"""The end of an unattended run: wait for everything to be final, retrain, activate, count, check."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management import call_command

import labeling.actions
import labeling.queries
from config.demo.options import Options
from config.demo.people import Session, TruthLog
from config.demo.prepare import DATASET, DEMO, Prepared
from inspection.models import Disposition, Inspection, Part
from inspection.states import Decision, Outcome, PartState
from labeling.states import GradeWord
from plc.models import Delivery
from plc.states import OPEN_DELIVERY_STATES
from review.models import Case
from review.states import CaseState

STALL_S = 90.0
TRAINING_S = 600.0


class Closing:
    def __init__(
        self,
        *,
        options: Options,
        prepared: Prepared,
        first_seq: int,
        truth: TruthLog,
        plc_log: Path,
        developer: Session,
        say: Callable[[str], None],
        tick: Callable[[], None],
    ) -> None:
        self._prepared, self._truth, self._plc_log = prepared, truth, plc_log
        self._developer, self._say, self._tick = developer, say, tick
        self._family = options.family
        assert options.parts is not None
        self._wanted = options.parts
        self._parts = Part.objects.filter(
            station=prepared.station, trigger_seq__gte=first_seq, trigger_seq__lt=first_seq + options.parts
        )

    def run(self) -> tuple[dict[str, Any], bool]:
        """The summary, and whether no invariant broke and everything came to its end."""
        is_complete = self._wait_until_final()
        self._record_known_truth()
        retrained = self._retrain()
        invariants, is_clean = self._check_invariants()
        summary = {
            "triggered": self._parts.count(),
            "final": self._parts.filter(dispositions__is_final=True).count(),
            "lost": invariants["lost"],
            "doubled": invariants["doubled"],
            "unsafe_pass": invariants["unsafe_pass"],
            "review_rate": self._review_rate(),
            **self._against_truth(),
            "auroc_before": retrained.get("auroc_before"),
            "auroc_after": retrained.get("auroc_after"),
            **self._ack_times(),
            "retraining": retrained,
            "invariants": invariants,
        }
        return summary, is_clean and is_complete and summary["final"] == summary["triggered"] == self._wanted

    def _wait_until_final(self) -> bool:
        """True when every wanted part is disposed, acknowledged and its case closed; False if it stopped moving."""
        before, moved_at = None, time.monotonic()
        while True:
            now = self._progress()
            if now == (self._wanted, self._wanted, 0, 0):
                self._tick()
                return True
            if now != before:
                before, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > STALL_S:
                self._say(
                    f"Nothing has moved for {STALL_S:.0f} s: triggered {now[0]}, disposed {now[1]}, "
                    f"open cases {now[2]}, unacknowledged {now[3]} of {self._wanted} parts."
                )
                return False
            self._tick()

    def _progress(self) -> tuple[int, int, int, int]:
        acknowledged = (
            Delivery.objects.filter(disposition__part__in=self._parts)
            .exclude(state__in=OPEN_DELIVERY_STATES)
            .count()
        )
        return (
            self._parts.count(),
            self._parts.filter(state=PartState.DISPOSED).count(),
            Case.objects.filter(part__in=self._parts).exclude(state=CaseState.CLOSED).count(),
            Disposition.objects.filter(part__in=self._parts).count() - acknowledged,
        )

    def _record_known_truth(self) -> None:
        """Reports may compare with the folder's truth; datasets never contain it."""
        for part in self._parts:
            known = self._truth.of(part.plc_part_id)
            if known:
                labeling.actions.record_known_grade(part=part, grade=GradeWord(known["truth"]), actor=DEMO)

    # --- retraining, as the vision developer does it on the training page ---------------------------------
    def _retrain(self) -> dict[str, Any]:
        self._developer.log_in()
        self._say("Retraining on what the inspectors decided.")
        dataset = labeling.queries.datasets_of(self._prepared.station.line).get(name=DATASET)
        version = self._call("POST", f"datasets/{dataset.pk}/versions/", {})
        run = self._call("POST", "runs/", {"dataset_version": version["id"], "family": self._family})
        self._say(f"Run {run['id']} trains {run['family']}. {run['why_family']}".strip())
        give_up_at, last = time.monotonic() + TRAINING_S, ""
        while run["state"] not in {"finished", "failed"}:
            if time.monotonic() > give_up_at:
                return {"problem": f"The run did not end within {TRAINING_S:.0f} s."}
            self._tick()
            try:
                run = self._call("GET", f"runs/{run['id']}/")
            except OSError:  # the web process is busy or being restarted; the trainer goes on
                time.sleep(0.5)
                continue
            if run["message"] != last:
                last = run["message"]
                self._say(f"  {run['progress']:4.0%}  {last}")
        if run["state"] == "failed":
            return {"problem": run["error"]}
        candidate = run["candidate"]
        golden = self._call("POST", f"candidates/{candidate['id']}/acceptance/", {})["golden"]
        self._call("POST", f"golden/{golden['id']}/activate/", {})
        self._say(f"Candidate {candidate['id']} is active as golden configuration {golden['number']}.")
        # Plots are for the training page; the summary is one line.
        figures = {name: value for name, value in candidate["metrics"].items() if not isinstance(value, list)}
        return {
            "family": run["family"],
            **figures,
            "grey_from": candidate["grey_from"],
            "grey_to": candidate["grey_to"],
        }

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        status, answer = self._developer.ask(method, path, body)
        if status >= 400:
            raise RuntimeError(f"{method} {path} was answered {status}: {answer.get('detail', answer)}")
        return answer

    # --- figures ------------------------------------------------------------------------------------------
    def _check_invariants(self) -> tuple[dict[str, Any], bool]:
        printed, is_clean = io.StringIO(), True
        try:
            call_command("check_invariants", plc_log=self._plc_log, stdout=printed)
        except SystemExit as ended:
            is_clean = not ended.code
        return json.loads(printed.getvalue().strip().splitlines()[-1]), is_clean

    def _review_rate(self) -> float | None:
        inspected = Inspection.objects.filter(part__in=self._parts)
        grey = inspected.exclude(decision__in=[Decision.GOOD, Decision.BAD]).count()
        return round(grey / inspected.count(), 4) if inspected.exists() else None

    def _against_truth(self) -> dict[str, dict[str, int]]:
        """Underkill = bad parts passed / all bad parts; overkill = good parts rejected / all good parts."""
        counts = {"underkill": {"k": 0, "n": 0}, "overkill": {"k": 0, "n": 0}}
        finals = Disposition.objects.filter(part__in=self._parts, is_final=True).select_related("part")
        for final in finals:
            known = self._truth.of(final.part.plc_part_id)
            if known is None:
                continue
            name, wrong = (
                ("overkill", Outcome.REJECT) if known["truth"] == "good" else ("underkill", Outcome.PASS)
            )
            counts[name]["n"] += 1
            counts[name]["k"] += final.outcome == wrong
        return counts

    def _ack_times(self) -> dict[str, float | None]:
        """Trigger -> PLC acknowledgement of the parts that the model decided alone."""
        deliveries = Delivery.objects.filter(
            disposition__part__in=self._parts,
            disposition__is_final=True,
            disposition__part__held_at=None,
            acked_at__isnull=False,
        ).select_related("disposition__part")
        took_ms = [
            (each.acked_at - each.disposition.part.triggered_at).total_seconds() * 1000
            for each in deliveries
            if each.acked_at
        ]
        if not took_ms:
            return {"ack_ms_p50": None, "ack_ms_p99": None}
        p50, p99 = np.percentile(took_ms, [50, 99])
        return {"ack_ms_p50": round(float(p50), 1), "ack_ms_p99": round(float(p99), 1)}
