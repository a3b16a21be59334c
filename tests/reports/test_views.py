"""The pages of reports: who may open them, and that they show what they promise."""

import pytest
from django.utils import timezone

from accounts.models import Role
from audit.actions import seal_events
from inspection.models import Image
from plc.models import PlcLink
from reports.figures import NO_BREAK
from reports.queries import parts as parts_queries
from review.states import VerdictWord
from tests import factories
from tests.reports.rows import deliver, know, link_for, say

pytestmark = pytest.mark.django_db


def person(client, *roles: Role, line_code: str = ""):
    client.force_login(factories.person(*roles, line_code=line_code))
    return client


@pytest.fixture
def at():
    station = factories.station()
    factories.golden(station)
    link_for(station)
    return station


# --- /line/ -----------------------------------------------------------------------------------------------
def test_the_line_page_shows_the_newest_parts_and_the_figures(client, at):
    part = factories.decided_part(at, 0.1)
    deliver(part.dispositions.get())
    factories.held_part(at)
    page = person(client, Role.LINE_OPERATOR).get("/line/").content.decode().replace(NO_BREAK, " ")
    assert part.plc_part_id in page
    assert "0 of 1 · 95 %: 0.0 % to 97.5 %" in page
    assert "1 of 2 · 95 %" in page


def test_the_board_alone_is_a_fragment(client, at):
    page = (
        person(client, Role.LINE_OPERATOR).get(f"/line/?line={at.line.code}&fragment=board").content.decode()
    )
    assert page.lstrip().startswith('<div class="board" id="board"')


def test_a_person_sees_first_the_line_of_their_own(client, at):
    mine = factories.station()
    page = person(client, Role.LINE_OPERATOR, line_code=mine.line.code).get("/line/")
    assert page.context["line"] == mine.line
    assert client.get(f"/line/?line={at.line.code}").status_code == 403


def test_without_a_line_the_page_says_so(client):
    assert "No line to show" in person(client, Role.LINE_OPERATOR).get("/line/").content.decode()


def test_the_line_page_takes_the_same_queries_for_1_and_3_parts(client, at, django_assert_num_queries):
    person(client, Role.LINE_OPERATOR)
    url = f"/line/?line={at.line.code}&fragment=board"
    factories.held_part(at)
    with django_assert_num_queries(QUERIES_OF_THE_BOARD):
        client.get(url)
    factories.held_part(at)
    factories.decided_part(at, 0.1)
    with django_assert_num_queries(QUERIES_OF_THE_BOARD):
        client.get(url)


QUERIES_OF_THE_BOARD = 32


# --- /parts/ ----------------------------------------------------------------------------------------------
def test_parts_are_searched_by_serial(client, at):
    factories.captured_part(at, serial="SN-1")
    other = factories.captured_part(at, serial="SN-2")
    page = person(client, Role.LINE_OPERATOR).get("/parts/?serial=SN-2")
    assert [record.part for record in page.context["parts"]] == [other]


def test_older_parts_are_a_page_away(client, at, monkeypatch):
    monkeypatch.setattr(parts_queries, "PAGE", 1)
    first, _ = factories.captured_part(at, serial="X"), factories.captured_part(at, serial="X")
    page = person(client, Role.LINE_OPERATOR).get("/parts/?serial=X")
    older = client.get(f"/parts/{page.context['next_url']}")
    assert [record.part for record in older.context["parts"]] == [first]
    assert older.context["next_url"] is None
    assert "data-live" not in older.content.decode().split('id="parts"')[1].split(">")[0]


def test_a_filter_that_cannot_be_read_shows_no_part_and_says_why(client, at):
    factories.captured_part(at)
    page = person(client, Role.LINE_OPERATOR).get("/parts/?from=yesterday")
    assert page.context["parts"] == []
    assert "Enter a valid date/time." in page.content.decode()


def test_a_record_tells_the_whole_story_in_order(client, at):
    part = factories.held_part(at)
    say(part, VerdictWord.PASS, person=factories.inspector(name="ines"))
    deliver(part.dispositions.get(is_final=True), after_ms=60_000)
    know(part, "good")
    seal_events()
    page = person(client, Role.QUALITY_EXPERT).get(f"/parts/{part.pk}/")
    titles = [step.title for step in page.context["timeline"]]
    assert titles == [
        "Triggered",
        "Image captured",
        "Inspected by the model",
        "Held for a person",
        "Case opened",
        "On an inspector's screen",
        "Verdict",
        "Case closed",
        "Passed",
        "Sent to the PLC",
        "Applied by the PLC",
    ]
    text = page.content.decode()
    assert Image.objects.get().sha256 in text
    assert "ines" in text
    assert "9 of 9 events sealed" in text


def test_a_part_without_a_readable_image_says_why(client, at):
    from inspection import actions

    part = actions.capture(station=at, data=b"no image", actor=factories.TESTER).part
    page = person(client, Role.LINE_OPERATOR).get(f"/parts/{part.pk}/").content.decode()
    assert "No image to show" in page
    assert "The model never passes such a part." in page


def test_a_part_of_a_foreign_line_is_not_found(client, at):
    part = factories.captured_part(at)
    assert person(client, Role.LINE_OPERATOR, line_code="ELSE").get(f"/parts/{part.pk}/").status_code == 404


# --- /stations/ and /reports/ -----------------------------------------------------------------------------
def test_stations_are_shown_and_not_changed(client, at):
    factories.captured_part(at)
    page = person(client, Role.INTEGRATOR).get("/stations/").content.decode()
    assert f"VIS_{at.code}_ and VIS_{at.hold_mailbox}_" in page
    assert client.post("/stations/").status_code == 405
    assert person(client, Role.LINE_OPERATOR).get("/stations/").status_code == 403


def test_the_report_shows_every_rate_with_its_bound(client, at):
    for score, truth in ((0.1, "good"), (0.1, "bad")):
        know(factories.decided_part(at, score), truth)
    page = person(client, Role.MANAGER).get("/reports/").content.decode().replace(NO_BREAK, " ")
    assert "1 of 1 bad parts passed; 95 % sure between 2.50 % and 100.0 %" in page
    assert "2 of 2 decided parts passed" in page
    assert person(client, Role.LINE_OPERATOR).get("/reports/").status_code == 403


def test_a_report_without_parts_says_so(client, at):
    assert (
        "No part in this period" in person(client, Role.MANAGER).get("/reports/?period=hour").content.decode()
    )


@pytest.mark.parametrize("url", ["/line/", "/parts/", "/parts/1/", "/stations/", "/reports/"])
def test_nothing_is_shown_without_login(client, url):
    answer = client.get(url)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/")


def test_only_those_who_attend_the_plc_may_note_its_alarms(client, at):
    PlcLink.objects.update(notice="the PLC was restarted", notice_at=timezone.now())
    button = f'hx-post="/api/v1/links/{PlcLink.objects.get().code}/reset/"'
    for role, may in ((Role.LINE_OPERATOR, True), (Role.INTEGRATOR, True), (Role.MANAGER, False)):
        assert (button in person(client, role).get("/line/").content.decode()) == may


def test_what_is_known_of_a_part_stays_hidden_while_somebody_may_still_judge_it(client, at):
    held, decided = factories.held_part(at), factories.decided_part(at, 0.1)
    for part in (held, decided):
        know(part, "bad")
    shown = [
        person(client, Role.MANUAL_INSPECTOR).get(f"/parts/{part.pk}/").context["truth"]
        for part in (held, decided)
    ]
    assert (shown[0], shown[1]["outcome"]) == (None, "BAD")
