"""GET parts/, parts/{id}/, its evidence, and the reports, as the contract says."""

import csv
import io
import json

import pytest
from rest_framework.test import APIClient

from accounts.models import Role, RoleOnLine
from audit.actions import seal_events
from audit.queries import GENESIS
from inspection.models import Image, Part
from reports.queries import parts as parts_queries
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import deliver, know, link_for, say

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    api = APIClient()
    api.force_login(factories.person(Role.MANAGER))
    return api


@pytest.fixture
def at():
    station = factories.station()
    factories.golden(station)
    link_for(station)
    return station


def ids(answer) -> list[int]:
    return [row["id"] for row in answer.json()["results"]]


# --- one part ---------------------------------------------------------------------------------------------
def test_a_part_answers_with_all_that_the_contract_names(client, at):
    part = factories.held_part(at, serial="SN-7")
    person = factories.inspector(name="ines")
    say(part, VerdictWord.PASS, person=person)
    hold, final = part.dispositions.order_by("id")
    deliver(hold, seq=1)
    deliver(final, seq=2)
    answer = client.get(f"/api/v1/parts/{part.pk}/").json()
    assert answer["state"] == "disposed"
    assert answer["serial"] == "SN-7"
    disposition = answer["disposition"]
    assert (disposition["outcome"], disposition["source"], disposition["person"]) == ("PASS", "human", "ines")
    assert disposition["decided_at"]
    [look] = answer["inspections"]
    assert (look["score"], look["decision"], look["decided_by"], look["model"]) == (
        0.5,
        "GREY",
        "test",
        "0" * 64,
    )
    assert look["golden_configuration"]["number"] == 1
    assert look["latency_ms"] == {}
    assert (answer["case"]["state"], answer["case"]["closed_by"]) == ("closed", "verdict")
    assert [(verdict["verdict"], verdict["person"]) for verdict in answer["verdicts"]] == [("PASS", "ines")]
    assert answer["ruling"] is None
    assert [(row["mailbox"], row["seq"], row["ack_code"]) for row in answer["deliveries"]] == [
        (at.code, 1, 1),
        (at.code, 2, 1),
    ]
    assert all(row["sent_at"] and row["acked_at"] for row in answer["deliveries"])


def test_a_part_on_its_way_has_no_disposition_yet(client, at):
    answer = client.get(f"/api/v1/parts/{factories.captured_part(at).pk}/").json()
    assert (answer["state"], answer["disposition"], answer["inspections"]) == ("captured", None, [])


def test_a_held_part_answers_with_its_hold(client, at):
    answer = client.get(f"/api/v1/parts/{factories.held_part(at).pk}/").json()
    assert (answer["disposition"]["outcome"], answer["disposition"]["is_final"]) == ("HOLD", False)


def test_an_unknown_part_is_404_with_a_sentence(client):
    answer = client.get("/api/v1/parts/999999/")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_part_of_a_line_without_a_role_is_not_there(at):
    api = APIClient()
    api.force_login(factories.person(Role.LINE_OPERATOR, line_code="ELSE"))
    part = factories.captured_part(at)
    assert api.get(f"/api/v1/parts/{part.pk}/").status_code == 404
    assert ids(api.get("/api/v1/parts/")) == []


# --- evidence ---------------------------------------------------------------------------------------------
def test_evidence_is_the_whole_hash_chained_record(client, at):
    part = factories.decided_part(at, 0.1)
    seal_events()
    answer = client.get(f"/api/v1/parts/{part.pk}/evidence/").json()
    assert [event["verb"] for event in answer["events"]] == ["triggered", "captured", "inspected", "pass"]
    hashes = [event["chain"] for event in answer["events"]]
    assert all(len(link["hash"]) == 64 for link in hashes)
    assert [late["previous_hash"] for late in hashes[1:]] == [early["hash"] for early in hashes[:-1]]
    assert hashes[0]["previous_hash"] != GENESIS
    [image] = answer["images"]
    assert (image["sha256"], image["stored_bytes_match"]) == (Image.objects.get().sha256, True)
    assert [row["outcome"] for row in answer["dispositions"]] == ["PASS"]


def test_evidence_tells_of_an_image_that_was_changed(client, at):
    part = factories.decided_part(at, 0.1)
    Image.objects.update(sha256="0" * 64)
    answer = client.get(f"/api/v1/parts/{part.pk}/evidence/").json()
    assert [image["stored_bytes_match"] for image in answer["images"]] == [False]


def test_an_event_that_is_not_sealed_yet_says_so(client, at):
    answer = client.get(f"/api/v1/parts/{factories.captured_part(at).pk}/evidence/").json()
    assert [event["chain"] for event in answer["events"]] == [None, None]


# --- many parts -------------------------------------------------------------------------------------------
def test_parts_are_found_by_every_filter(client, at):
    passed = factories.decided_part(at, 0.1, serial="A")
    rejected = factories.decided_part(at, 0.9, serial="B")
    held = factories.held_part(at)
    other = factories.captured_part()
    for query, found in {
        "": [other, held, rejected, passed],
        "serial=A": [passed],
        f"serial={held.plc_part_id}": [held],
        f"line={at.line.code}": [held, rejected, passed],
        "state=captured": [other],
        "disposition=PASS": [passed],
        "disposition=REJECT": [rejected],
        "disposition=HOLD": [held],
        "from=2000-01-01T00:00": [other, held, rejected, passed],
        "to=2000-01-01T00:00": [],
        f"from={passed.triggered_at.isoformat().replace('+00:00', 'Z')}&serial=A": [passed],
    }.items():
        assert ids(client.get(f"/api/v1/parts/?{query}")) == [part.pk for part in found], query


@pytest.mark.parametrize(
    "query", ["state=lost", "disposition=MAYBE", "from=yesterday", "before=-1", "before=x"]
)
def test_a_filter_that_cannot_be_read_is_400(client, query):
    answer = client.get(f"/api/v1/parts/?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


def test_pages_follow_each_other_without_gap_or_repeat(client, at, monkeypatch):
    monkeypatch.setattr(parts_queries, "PAGE", 2)
    made = [factories.captured_part(at).pk for _ in range(5)]
    seen, url = [], f"/api/v1/parts/?line={at.line.code}"
    while url:
        answer = client.get(url)
        seen += ids(answer)
        url = answer.json()["next"]
        factories.captured_part(at)  # the line runs on while we read
    assert seen == made[::-1]


def test_the_number_of_queries_is_the_same_for_1_and_3_parts(client, at, django_assert_num_queries):
    say(factories.held_part(at), VerdictWord.PASS)
    with django_assert_num_queries(11):
        client.get("/api/v1/parts/")
    say(factories.held_part(at), VerdictWord.REJECT)
    deliver(factories.decided_part(at, 0.1).dispositions.get())
    with django_assert_num_queries(11):
        assert len(ids(client.get("/api/v1/parts/"))) == 3


def test_nan_is_never_in_an_answer(client, at):
    part = factories.decided_part(at, float("nan"))
    text = client.get(f"/api/v1/parts/{part.pk}/").content.decode()
    assert json.loads(text)["inspections"][0]["score"] is None
    assert "NaN" not in text


# --- reports ----------------------------------------------------------------------------------------------
@pytest.fixture
def counted(at):
    for score, truth in ((0.1, "good"), (0.1, "bad"), (0.9, "bad")):
        know(factories.decided_part(at, score), truth)
    return at


def test_yield_answers_by_line_with_k_n_and_bounds(client, counted):
    answer = client.get("/api/v1/reports/yield/").json()
    [line] = answer["lines"]
    assert line["line"] == counted.line.code
    assert (line["final_yield"]["k"], line["final_yield"]["n"]) == (2, 3)
    # Clopper-Pearson 2 of 3
    assert line["final_yield"]["lower_95"] == pytest.approx(0.0943, abs=1e-4)
    assert line["final_yield"]["upper_95"] == pytest.approx(0.9916, abs=1e-4)


def test_underkill_keeps_the_model_and_the_whole_system_apart(client, counted):
    [line] = client.get("/api/v1/reports/underkill/?format=json").json()["lines"]
    assert (line["system"]["underkill"]["k"], line["system"]["underkill"]["n"]) == (1, 2)
    assert (line["model"]["overkill"]["k"], line["model"]["overkill"]["n"]) == (0, 1)
    assert line["truth"] == {"known": 3, "graded_by_people": 0, "parts": 3}


def test_a_report_as_csv_has_one_rate_a_row(client, counted):
    answer = client.get("/api/v1/reports/underkill/?format=csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="secondlook-underkill.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["figure"], row["k"], row["n"]) for row in rows] == [
        ("system_underkill", "1", "2"),
        ("system_overkill", "0", "1"),
        ("model_underkill", "1", "2"),
        ("model_overkill", "0", "1"),
        ("model_grey", "0", "3"),
    ]


def test_a_period_that_ends_before_it_begins_is_400(client, at):
    answer = client.get("/api/v1/reports/yield/?from=2026-02-01&to=2026-01-01")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


@pytest.mark.parametrize("name", ["roi", "validation", "drift"])
def test_a_report_that_is_not_built_yet_says_so(client, name):
    answer = client.get(f"/api/v1/reports/{name}/")
    assert (answer.status_code, answer.json()["error"]) == (501, "not_built")


def test_a_format_that_we_do_not_write_is_400(client, at):
    assert client.get("/api/v1/reports/yield/?format=xlsx").status_code == 400


def test_an_unknown_report_is_404(client):
    assert client.get("/api/v1/reports/luck/").status_code == 404


def test_reports_are_for_the_roles_that_read_them(at):
    api = APIClient()
    api.force_login(factories.inspector())
    assert api.get("/api/v1/reports/yield/").status_code == 403
    assert APIClient().get("/api/v1/reports/yield/").status_code in {401, 403}
    assert APIClient().get("/api/v1/parts/").status_code in {401, 403}


def test_a_report_of_a_foreign_line_is_403(at):
    api = APIClient()
    api.force_login(factories.person(Role.MANAGER, line_code="ELSE"))
    assert api.get(f"/api/v1/reports/yield/?line={at.line.code}").status_code == 403


def test_a_report_tells_only_of_lines_on_which_the_person_reads_reports(at):
    elsewhere = factories.station()
    reader = factories.person(Role.MANAGER, line_code=at.line.code)
    RoleOnLine.objects.create(person=reader, role=Role.LINE_OPERATOR, line_code=elsewhere.line.code)
    api = APIClient()
    api.force_login(reader)
    told = api.get("/api/v1/reports/yield/").json()["lines"]
    assert [line["line"] for line in told] == [at.line.code]
    assert api.get(f"/api/v1/reports/yield/?line={elsewhere.line.code}").status_code == 403
    assert api.get(f"/reports/?line={elsewhere.line.code}").status_code == 403


def test_no_part_is_written_by_reading(client, at):
    part = factories.held_part(at)
    before = Part.objects.get(pk=part.pk).version
    for url in ("", f"{part.pk}/", f"{part.pk}/evidence/"):
        client.get(f"/api/v1/parts/{url}")
    assert Part.objects.get(pk=part.pk).version == before
