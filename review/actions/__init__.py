"""Every write of review. A case moves by compare-and-swap, so a verdict is never lost and never applied twice."""

from review.actions.book import retire_criterion, write_criterion
from review.actions.corrections import correct_verdict
from review.actions.errors import LeaseError, TooLateError, UnfitError
from review.actions.flags import flag_part
from review.actions.people import clear_watch, note_activity, remember_keys, take_break
from review.actions.policy import add_probe, retire_probe, set_policy
from review.actions.queue import lease, lease_in_hand, open_cases, release_soon, renew_lease, return_case
from review.actions.rulings import rule
from review.actions.sweep import sweep
from review.actions.unmarked import draw_audits
from review.actions.verdicts import commit_verdict, give_first_opinion, give_verdict, undo_verdict

__all__ = [
    "LeaseError",
    "TooLateError",
    "UnfitError",
    "add_probe",
    "clear_watch",
    "commit_verdict",
    "correct_verdict",
    "draw_audits",
    "flag_part",
    "give_first_opinion",
    "give_verdict",
    "lease",
    "lease_in_hand",
    "note_activity",
    "open_cases",
    "release_soon",
    "remember_keys",
    "renew_lease",
    "retire_criterion",
    "retire_probe",
    "return_case",
    "rule",
    "set_policy",
    "sweep",
    "take_break",
    "undo_verdict",
    "write_criterion",
]
