"""The REST of the expert's desk and of the shift, as a program meets it."""

import pytest
from django.utils import timezone

from accounts.models import Role
from audit.models import Event
from review.models import KeyMap, Probe, ReviewPolicy, Watch
from review.states import CaseKind, Grade
from tests.factories import decided_part, expert, held_part, inspector, person, station
from tests.review.helpers import sweep
from tests.review.kinds import a_floor, case_of_kind
from tests.review.test_api import client_of, lease, send

pytestmark = pytest.mark.django_db


def put(client, address: str, body: dict):
    return client.put(f"/api/v1/{address}", body, format="json")


def post(client, address: str, body: dict | None = None):
    return client.post(f"/api/v1/{address}", body or {}, format="json")


# --- policy -----------------------------------------------------------------------------------------------
def test_a_line_without_a_policy_is_reviewed_plainly():
    at = station()

    answer = client_of(expert()).get(f"/api/v1/lines/{at.line.code}/review-policy/").json()

    assert answer["number"] == 0
    assert [answer[name] for name in ("double_share", "probe_share", "audit_share", "newcomer_days")] == [
        0
    ] * 4
    assert answer["is_blind_first"] is False


def test_each_change_is_a_new_revision_that_keeps_the_rest_and_leaves_its_event():
    at, by = station(), expert()
    where = f"lines/{at.line.code}/review-policy/"

    first = put(client_of(by), where, {"audit_share": 0.02, "defect_types": ["scratch", "dent"]})
    second = put(client_of(by), where, {"probe_share": 0.05})

    assert (first.status_code, first.json()["number"]) == (200, 1)
    assert (second.json()["number"], second.json()["audit_share"]) == (2, 0.02)
    assert second.json()["defect_types"] == ["scratch", "dent"]
    assert second.json()["set_by"] == by.get_username()
    assert ReviewPolicy.objects.filter(line=at.line).count() == 2
    assert Event.objects.filter(subject_kind="reviewpolicy", verb="set").count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {"audit_share": 1.5},
        {"audit_share": -0.1},
        {"probe_share": "often"},
        {"break_after_min": 1},
        {"defect_types": [str(number) for number in range(10)]},
        {"reference_part": 0},
        {"overkill_cost": -1},
    ],
)
def test_what_is_no_policy_is_400_and_changes_nothing(body):
    at = station()

    answer = put(client_of(expert()), f"lines/{at.line.code}/review-policy/", body)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "detail"}
    assert not ReviewPolicy.objects.exists()


def test_an_inspector_neither_reads_nor_sets_how_the_line_is_reviewed():
    """The shares of probes and audits are for those who set them."""
    at = station()
    client, where = client_of(inspector()), f"/api/v1/lines/{at.line.code}/review-policy/"

    assert client.get(where).status_code == 403
    assert client.put(where, {"probe_share": 0.0}, format="json").status_code == 403


def test_an_expert_of_another_line_sets_nothing_here():
    at, other = station(), station()
    by = expert(line_code=other.line.code)

    assert put(client_of(by), f"lines/{at.line.code}/review-policy/", {"audit_share": 0.5}).status_code == 403


# --- probes -----------------------------------------------------------------------------------------------
def test_the_expert_adds_and_retires_a_probe():
    part, client = decided_part(station(), 0.9), client_of(expert())

    added = post(client, "probes/", {"part": part.pk, "grade": "bad", "defect_type": "crack"})
    again = post(client, "probes/", {"part": part.pk, "grade": "good"})
    listed = client.get("/api/v1/probes/").json()["results"]
    retired = client.delete(f"/api/v1/probes/{added.json()['probe']}/")

    assert (added.status_code, added.json()["grade"]) == (201, "bad")
    assert (again.status_code, again.json()["error"]) == (409, "unfit")
    assert [each["part"] for each in listed] == [part.pk]
    assert retired.status_code == 204
    assert client.get("/api/v1/probes/").json()["results"] == []
    assert Probe.objects.get().retired_at is not None


def test_a_part_on_its_way_cannot_be_a_probe():
    answer = post(client_of(expert()), "probes/", {"part": held_part().pk, "grade": "good"})

    assert (answer.status_code, answer.json()["error"]) == (409, "unfit")


@pytest.mark.parametrize("address", ["probes/", "watches/", "escapes/", "review/load/"])
def test_what_would_tell_probes_is_closed_to_who_only_judges(address):
    assert client_of(inspector()).get(f"/api/v1/{address}").status_code == 403


# --- the acceptance book ----------------------------------------------------------------------------------
def test_inspectors_read_the_acceptance_book_and_experts_write_it():
    at = station()
    line = {"line": at.line.code, "text": "Scratches up to 2 mm are good.", "defect_type": "scratch"}

    refused = post(client_of(inspector()), "acceptance-book/", line)
    written = post(client_of(expert()), "acceptance-book/", line)
    read = client_of(inspector()).get(f"/api/v1/acceptance-book/?line={at.line.code}").json()

    assert (refused.status_code, written.status_code) == (403, 201)
    assert [each["text"] for each in read["criteria"]] == [line["text"]]


def test_a_retired_line_of_the_book_counts_no_more():
    at, client = station(), client_of(expert())
    number = post(client, "acceptance-book/", {"line": at.line.code, "text": "Once."}).json()["id"]

    assert client.delete(f"/api/v1/acceptance-book/{number}/").status_code == 204
    assert client.get(f"/api/v1/acceptance-book/?line={at.line.code}").json()["criteria"] == []


# --- flags and parts in the hand --------------------------------------------------------------------------
def test_an_operator_flags_a_passed_part_by_its_serial_and_the_expert_finds_it():
    at = station()
    part = decided_part(at, 0.1, serial="CHIPPED-1")
    operator = person(Role.LINE_OPERATOR)

    flagged = post(client_of(operator), "parts/flags/", {"serial": "CHIPPED-1", "note": "chipped"})
    again = post(client_of(operator), "parts/flags/", {"part": part.pk})

    assert (flagged.status_code, flagged.json()["part"]) == (201, part.pk)
    assert again.json()["case"] == flagged.json()["case"]
    ties = client_of(expert()).get("/api/v1/ties/").json()["results"]
    assert [tie["flag"]["note"] for tie in ties] == ["chipped"]


@pytest.mark.parametrize(("body", "status"), [({}, 400), ({"serial": "NOBODY-KNOWS"}, 404)])
def test_a_flag_that_names_no_part_is_refused(body, status):
    station()

    assert post(client_of(person(Role.LINE_OPERATOR)), "parts/flags/", body).status_code == status


def test_a_scanned_code_brings_the_case_of_that_part():
    at = station()
    held_part(at)
    part = held_part(at, serial="IN-HAND")
    client = client_of(inspector())

    found = post(client, "cases/in-hand/", {"code": " IN-HAND "})
    taken = post(client_of(inspector()), "cases/in-hand/", {"code": "IN-HAND"})
    unknown = post(client, "cases/in-hand/", {"code": "NOBODY-KNOWS"})

    assert (found.status_code, found.json()["part"]) == (200, part.pk)
    assert taken.status_code == 409
    assert (unknown.status_code, unknown.json()["error"]) == (404, "no_case")


# --- the shift --------------------------------------------------------------------------------------------
def test_moved_keys_are_kept_for_the_person():
    by = inspector()

    saved = put(client_of(by), "review/keys/", {"keys": {"pass": "k", "reject": "d"}})

    assert saved.json() == {"keys": {"pass": "k", "reject": "d"}}
    assert client_of(by).get("/api/v1/review/keys/").json() == saved.json()
    assert client_of(inspector()).get("/api/v1/review/keys/").json() == {"keys": {}}


@pytest.mark.parametrize("keys", [{"pass": "k", "reject": "K"}, {"x" * 33: "a"}, "k", {"pass": "x" * 21}])
def test_keys_that_cannot_be_told_apart_are_refused(keys):
    assert put(client_of(inspector()), "review/keys/", {"keys": keys}).status_code == 400
    assert not KeyMap.objects.exists()


def test_a_break_is_due_after_the_time_that_the_line_says():
    at = a_floor(break_after_min=5)
    client = client_of(inspector(line_code=at.station.line.code))

    answer = post(client, "review/activity/", {"active_ms": 1_000}).json()

    assert answer == {"active_ms": 0, "break_due": False, "break_after_ms": 300_000}


def test_a_break_tells_how_the_probes_of_the_block_went_and_not_before():
    at = a_floor()
    by = inspector(line_code=at.station.line.code)
    client = client_of(by)
    post(client, "review/activity/", {"active_ms": 0})
    case_of_kind(CaseKind.PROBE, at, grade=Grade.BAD)
    send(client, lease(client).json(), "PASS")
    sweep(after_s=4)

    told = post(client, "review/break/").json()

    assert (told["verdicts"], told["probes"]["seen"], told["probes"]["missed_bad"]) == (1, 1, 1)
    assert post(client, "review/break/").json() == {"verdicts": 0, "active_ms": 0, "probes": None}


def test_the_expert_sees_who_is_on_watch_and_lifts_it():
    by, lead = inspector(), client_of(expert())
    watch = Watch.objects.create(person=by, since=timezone.now(), why="3 of the last 4 probes were misjudged")

    listed = lead.get("/api/v1/watches/").json()["results"]
    lifted = lead.delete(f"/api/v1/watches/{watch.pk}/", {"note": "trained"}, format="json")

    assert [each["person"] for each in listed] == [by.get_username()]
    assert (lifted.status_code, lifted.json()["note"]) == (200, "trained")
    assert lead.get("/api/v1/watches/").json()["results"] == []


# --- handling, marks, first opinions ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        {"handling": "lick"},
        {"marks": [[1, 2, 3]]},
        {"marks": [[1, 2, 0, 4]]},
        {"marks": [[-1, 2, 3, 4]]},
        {"marks": [[0, 0, 1, 1]] * 51},
        {"active_ms": -1},
    ],
)
def test_what_no_hand_and_no_mark_can_be_is_400(body):
    held_part()
    client = client_of(inspector())

    assert send(client, lease(client).json(), **body).status_code == 400


def test_the_record_of_a_blind_case_tells_nothing_of_the_model_until_the_first_opinion():
    at = a_floor(is_blind_first=True)
    case_of_kind(CaseKind.HELD, at)
    client = client_of(inspector())

    blind = lease(client).json()
    hidden = client.get(f"/api/v1/cases/{blind['case']}/map/")
    opinion = {"lease": blind["lease"]["token"], "verdict": "REJECT"}
    shown = post(client, f"cases/{blind['case']}/first-opinion/", opinion).json()

    assert [blind[name] for name in ("score", "grey_from", "grey_to", "map_url", "first_opinion")] == [
        None
    ] * 5
    assert blind["precedents"] == []
    assert (hidden.status_code, hidden.json()["error"]) == (409, "blind_first")
    assert (shown["first_opinion"], shown["score"]) == ("REJECT", 0.5)
    assert shown["map_url"] is not None
