"""How runs, candidates and golden configurations are told to a program: plain dictionaries."""

from typing import Any

from inspection.models import GoldenConfiguration
from training.models import Candidate, Run


def run_record(run: Run) -> dict[str, Any]:
    candidate = getattr(run, "candidate", None)
    return {
        "id": run.pk,
        "dataset_version": run.dataset_version_id,
        "dataset": str(run.dataset_version),
        "line": run.dataset_version.dataset.line.code,
        "family": run.family,
        "why_family": run.why_family,
        "seed": run.seed,
        "options": run.options,
        "augment": run.augment,
        "preprocess": run.preprocess,
        "state": run.state,
        "progress": run.progress,
        "message": run.message,
        "error": run.error,
        "attempts": run.attempts,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "metrics": run.metrics,
        "candidate": candidate_record(candidate) if candidate else None,
    }


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.pk,
        "run": candidate.run_id,
        "line": candidate.run.dataset_version.dataset.line.code,
        "family": candidate.run.family,
        "model_name": candidate.model_name,
        "model_sha256": candidate.model_sha256,
        "grey_from": candidate.grey_from,
        "grey_to": candidate.grey_to,
        "metrics": candidate.metrics,
        "state": candidate.state,
        "made_at": candidate.made_at,
        "golden": golden_record(candidate.golden) if candidate.golden else None,
    }


def golden_record(golden: GoldenConfiguration) -> dict[str, Any]:
    return {
        "id": golden.pk,
        "line": golden.line.code,
        "number": golden.number,
        "state": golden.state,
        "family": golden.family,
        "model_name": golden.model_name,
        "model_sha256": golden.model_sha256,
        "content_sha256": golden.content_sha256,
        "grey_from": golden.grey_from,
        "grey_to": golden.grey_to,
        "locked_at": golden.locked_at,
        "activated_at": golden.activated_at,
    }
