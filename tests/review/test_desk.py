"""The review desk and the containment page: who sees them, and what they say."""

import pytest

from accounts.models import Role
from inspection import actions as floor
from review import actions
from review.states import Grade
from tests.factories import TESTER, decided_part, expert, golden, inspector, person, station
from tests.review.test_api import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def line():
    at = station()
    golden(at)
    return at.line


def test_the_expert_sees_load_rules_book_probes_and_missed_defects(line):
    page = client_of(expert()).get("/review/desk/").content.decode()
    for words in (
        "Can people keep up?",
        "Rules of the queue",
        "Acceptance book",
        "Probes",
        "Confirmed underkill",
    ):
        assert words in page


def test_an_inspector_has_no_desk():
    assert client_of(inspector()).get("/review/desk/").status_code == 403


def test_the_manager_reads_the_rules_and_does_not_learn_the_probes(line):
    part = decided_part(line.stations.get(), 0.1)
    actions.add_probe(part=part, grade=Grade.GOOD, person=None, actor=TESTER)
    page = client_of(person(Role.MANAGER)).get("/review/desk/").content.decode()
    assert "Set as next revision" not in page
    assert part.plc_part_id not in page


@pytest.mark.parametrize("fragment", ["load", "policy", "book", "probes", "escapes"])
def test_each_card_comes_alone(line, fragment):
    page = client_of(expert()).get(f"/review/desk/?line={line.code}&fragment={fragment}")
    assert page.status_code == 200
    assert f'id="{fragment}-{line.code}"' in page.content.decode()
    assert "<html" not in page.content.decode()


def test_a_card_of_a_line_that_is_not_there_is_404():
    assert client_of(expert()).get("/review/desk/?line=NONE&fragment=load").status_code == 404


def test_the_form_of_the_page_sets_the_next_revision(line):
    sent = "is_blind_first=true&double_share=0.2&defect_types=scratch%2C+dent&reference_part="
    answer = client_of(expert()).put(
        f"/api/v1/lines/{line.code}/review-policy/", sent, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 200
    body = answer.json()
    assert (body["number"], body["is_blind_first"], body["double_share"]) == (1, True, 0.2)
    assert body["defect_types"] == ["scratch", "dent"]


def test_a_degraded_line_says_so_on_the_desk(line):
    floor.degrade_line(line=line, why="test", actor=TESTER)
    page = client_of(expert()).get("/review/desk/").content.decode()
    assert "No: grey parts are rejected since" in page


def test_a_missed_defect_lists_the_parts_that_may_share_it(line):
    at = line.stations.get()
    missed, near, far = decided_part(at, 0.25), decided_part(at, 0.26), decided_part(at, 0.01)
    operator, judge = client_of(person(Role.LINE_OPERATOR)), client_of(expert())

    flagged = operator.post(
        "/api/v1/parts/flags/", {"serial": missed.plc_part_id, "note": "crack at the rim"}
    )
    case = flagged.json()["case"]
    assert "crack at the rim" in judge.get("/ties/").content.decode()
    judge.post(f"/api/v1/ties/{case}/ruling/", {"grade": "bad", "note": "seen", "defect_type": "crack"})

    (escape,) = operator.get("/api/v1/escapes/").json()["results"]
    listed = {
        row["plc_part_id"]: row["why"]
        for row in operator.get(f"/api/v1/escapes/{case}/containment/").json()["parts"]
    }
    page = operator.get(f"/escapes/{case}/").content.decode()
    csv = operator.get(f"/api/v1/escapes/{case}/containment/?format=csv").content.decode()

    assert flagged.status_code == 201
    assert (escape["plc_part_id"], escape["grade"], escape["found_by"]) == (
        missed.plc_part_id,
        "bad",
        "flagged",
    )
    assert "score" in listed[near.plc_part_id]
    assert "score" not in listed.get(far.plc_part_id, "")
    assert missed.plc_part_id not in listed
    assert near.plc_part_id in page
    assert csv.splitlines()[0] == "part,plc_part_id,serial,passed_at,score,similarity,why"
    assert near.plc_part_id in csv


def test_a_part_that_was_not_passed_is_no_missed_defect(line):
    rejected = decided_part(line.stations.get(), 0.9)
    answer = client_of(person(Role.LINE_OPERATOR)).post("/api/v1/parts/flags/", {"part": rejected.pk})
    assert answer.status_code == 409
    assert "was not passed" in answer.json()["detail"]


def test_a_ruling_can_write_the_book(line):
    part = decided_part(line.stations.get(), 0.1)
    case = actions.flag_part(part=part, person=person(Role.LINE_OPERATOR), note="")
    judge = client_of(expert())
    judge.post(
        f"/api/v1/ties/{case.pk}/ruling/",
        {
            "grade": "good",
            "note": "within limits",
            "is_precedent": "true",
            "criterion": "Marks below 0.3 mm are fine.",
        },
    )
    (criterion,) = judge.get(f"/api/v1/acceptance-book/?line={line.code}").json()["criteria"]
    case.refresh_from_db()
    assert case.ruling.is_precedent
    assert (criterion["number"], criterion["text"]) == (1, "Marks below 0.3 mm are fine.")
    assert "Marks below 0.3 mm are fine." in judge.get("/review/desk/").content.decode()
