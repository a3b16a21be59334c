"""check_invariants and verify_audit: exit 0 only if nothing is broken."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone

from audit.actions import seal_events
from audit.models import Event, Seal
from inspection.models import Image, Inspection
from reports.queries import invariants
from tests import factories
from tests.audit.tampering import trail_unlocked
from tests.reports.rows import deliver, link_for

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(invariants, "SECOND_LOOK_S", 0)


def run(name: str, *arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


# --- check_invariants -------------------------------------------------------------------------------------
def test_clean_rows_end_with_a_json_summary_and_0():
    factories.decided_part(factories.station(), 0.1)
    status, out, err = run("check_invariants")
    assert (status, err) == (0, "")
    summary = json.loads(out.splitlines()[-1])
    assert (summary["triggered"], summary["final"], summary["unsafe_pass"]) == (1, 1, 0)


def test_a_broken_rule_ends_with_1_and_a_sentence():
    part = factories.decided_part(factories.station(), 0.1)
    Inspection.objects.update(score=0.5)
    status, out, err = run("check_invariants")
    assert status == 1
    assert json.loads(out.splitlines()[-1])["unsafe_pass"] == 1
    assert f"unsafe_pass: Part {part.plc_part_id}: PASS with score 0.5000, which is not below 0.3000." in err


def test_missing_acks_fail_only_if_they_are_asked_for():
    factories.decided_part(factories.station(), 0.1)
    assert run("check_invariants", "--ack-after", "0")[0] == 0
    status, out, err = run("check_invariants", "--ack-after", "0", "--strict-acks")
    assert (status, json.loads(out)["missing_ack"]) == (1, 1)
    assert "missing_ack: 1 final dispositions have no answer of the PLC." in err


def test_acked_parts_satisfy_strict_acks():
    at = factories.station()
    link_for(at)
    deliver(factories.decided_part(at, 0.1).dispositions.get())
    assert run("check_invariants", "--ack-after", "0", "--strict-acks")[0] == 0


def test_the_plcs_own_log_is_compared(tmp_path):
    part = factories.decided_part(factories.station(), 0.1)
    line = {
        "event": "disposition",
        "mailbox": "S01",
        "seq": 1,
        "part_id": part.plc_part_id,
        "result": 2,
        "final": 1,
        "code": 1,
    }
    log = tmp_path / "plc.jsonl"
    log.write_text(json.dumps(line) + "\n")
    status, out, err = run("check_invariants", "--plc-log", str(log))
    assert (status, json.loads(out)["plc_disagrees"]) == (1, 1)
    assert "plc: " in err


# --- verify_audit -----------------------------------------------------------------------------------------
@pytest.fixture
def sealed():
    part = factories.decided_part(factories.station(), 0.1)
    seal_events()
    return part


def test_a_whole_trail_ends_with_0_and_counts(sealed):
    status, out, err = run("verify_audit")
    assert (status, err) == (0, "")
    assert out.startswith(
        f"{Seal.objects.count()} links and 1 images checked, 0 events wait for their seal, 0 problems."
    )
    assert f"head {Seal.objects.order_by('-number').first().hash}" in out


def test_a_changed_event_is_found(sealed):
    with trail_unlocked():
        Event.objects.filter(subject_kind="part", after="disposed").update(actor_name="nobody")
    status, _, err = run("verify_audit")
    assert (status, "was changed" in err) == (1, True)


def test_a_changed_image_is_found(sealed):
    with default_storage.open(Image.objects.get().file, "r+b") as file:
        file.seek(40)
        file.write(b"\x00\x01")
    status, _, err = run("verify_audit")
    assert status == 1
    assert "does not match its sha256" in err


def test_a_lost_image_is_found(sealed):
    default_storage.delete(Image.objects.get().file)
    status, _, err = run("verify_audit")
    assert (status, "cannot be read" in err) == (1, True)


def test_an_old_event_without_a_seal_among_sealed_ones_is_found(sealed):
    first = Seal.objects.order_by("number").first()
    slipped_in = Event.objects.filter(pk=first.event_id)
    last = Seal.objects.order_by("-number").first()
    with trail_unlocked():
        Seal.objects.filter(pk=first.pk).delete()
        slipped_in.update(at=timezone.now() - timedelta(hours=1))
    assert last.number > 1
    status, _, err = run("verify_audit")
    assert status == 1
    assert "was never sealed" in err


def test_a_cut_off_end_is_found_by_a_head_that_was_written_down(sealed):
    head = Seal.objects.order_by("-number").first()
    assert run("verify_audit", "--head", head.hash)[0] == 0
    with trail_unlocked():
        Seal.objects.filter(pk=head.pk).delete()
    assert run("verify_audit")[0] == 0
    status, _, err = run("verify_audit", "--head", head.hash)
    assert (status, "no longer in the chain" in err) == (1, True)
