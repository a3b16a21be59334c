"""Nobody can tell a probe or an audit from a part that waits on the line: not by any field, number, time or message."""

import io
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image as PillowImage
from rest_framework.test import APIClient

from accounts.models import Person, Role
from inspection.models import Part
from inspection.states import Reason
from review import records
from review.models import Case
from review.states import CaseKind
from tests.factories import expert, inspector, person
from tests.review.helpers import sweep
from tests.review.kinds import GREY_FROM, GREY_TO, UNMARKED, Floor, a_floor, case_of_kind
from tests.review.live import cases_heard, page_of

pytestmark = pytest.mark.django_db

HIDDEN = (CaseKind.AUDIT, CaseKind.PROBE)


class Screen:
    """An inspector at the API: keeps every answer with its status, its headers and the questions it took."""

    def __init__(self, who: Person, kind: str) -> None:
        self.client = APIClient()
        self.client.force_login(who)
        self.kind = kind
        self.answers: dict[str, Any] = {}
        self.questions: dict[str, int] = {}

    def send(self, step: str, method: str, address: str, body: Any = None, **headers: str) -> Any:
        with CaptureQueriesContext(connection) as asked:
            answer = getattr(self.client, method)(f"/api/v1/{address}", body, format="json", headers=headers)
        return self._keep(step, answer, len(asked))

    def look(self, step: str, address: str | None) -> None:
        """A picture, if the record gives its address."""
        if address is None:
            self.answers[step] = None
            return
        with CaptureQueriesContext(connection) as asked:
            answer = self.client.get(address)
        self._keep(step, answer, len(asked))
        self.answers[step] |= {"picture": described(answer.content), "address": masked(address)}

    def _keep(self, step: str, answer: Any, asked: int) -> Any:
        is_json = answer.headers.get("Content-Type") == "application/json"
        self.answers[step] = {
            "status": answer.status_code,
            "headers": {name: None if name == "Content-Length" else value for name, value in answer.items()},
            "body": answer.json() if is_json else None,
        }
        self.questions[step] = asked
        return self.answers[step]["body"]


def described(data: bytes) -> tuple[str, tuple[int, int], str]:
    if not data.startswith(b"\x89PNG"):
        return "", (0, 0), ""
    picture = PillowImage.open(io.BytesIO(data))
    return str(picture.format), picture.size, picture.mode


def masked(address: str) -> str:
    return re.sub(r"\d+", "N", address)


def whole_life(kind: str, *, by: Person, at: Floor) -> Screen:
    """Everything that an inspector can ask of one case and be answered, in order."""
    case = case_of_kind(kind, at)
    screen = Screen(by, kind)
    screen.send("queue", "get", "cases/")
    leased = screen.send("lease", "post", "cases/lease/", {})
    assert leased["case"] == case.pk
    token, where = leased["lease"]["token"], f"cases/{case.pk}"
    screen.look("image before the opinion", leased["image_url"])
    screen.look("map before the opinion", f"/api/v1/{where}/map/")
    screen.look("reference before the opinion", leased["reference_url"])
    screen.send("own case in the queue", "get", "cases/?state=leased")
    screen.send("renewal", "post", f"{where}/lease/", {"token": token})
    screen.send("renewal of another lease", "post", f"{where}/lease/", {"token": "another"})
    screen.send(
        "opinion under another lease", "post", f"{where}/first-opinion/", {"lease": "x", "verdict": "PASS"}
    )
    shown = screen.send(
        "first opinion", "post", f"{where}/first-opinion/", {"lease": token, "verdict": "PASS"}
    )
    screen.send(
        "another first opinion", "post", f"{where}/first-opinion/", {"lease": token, "verdict": "REJECT"}
    )
    screen.look("image", shown["image_url"])
    screen.look("map", shown["map_url"])
    screen.look("reference", shown["reference_url"])
    screen.look("image of a view that is not there", f"/api/v1/{where}/image/?view=back")
    screen.send("the same case again", "post", "cases/lease/", {})
    verdict = {"lease": token, "verdict": "REJECT", "defect_type": "dent", "note": "here", "seen_ms": 900}
    screen.send("verdict without a key", "post", f"{where}/verdict/", verdict)
    screen.send(
        "verdict under another lease",
        "post",
        f"{where}/verdict/",
        {**verdict, "lease": "x"},
        Idempotency_Key="a",
    )
    screen.send("verdict", "post", f"{where}/verdict/", verdict, Idempotency_Key="b")
    screen.send("verdict again", "post", f"{where}/verdict/", verdict, Idempotency_Key="b")
    screen.send(
        "another word", "post", f"{where}/verdict/", {**verdict, "verdict": "PASS"}, Idempotency_Key="c"
    )
    undone = screen.send("undo", "delete", f"{where}/verdict/")
    token = undone["lease"]["token"]
    screen.send("given back", "delete", f"{where}/lease/", {"token": token})
    token = screen.send("leased again", "post", "cases/lease/", {})["lease"]["token"]
    final = {"lease": token, "verdict": "PASS", "handling": "tilt", "marks": [[1, 2, 3, 4]], "active_ms": 1}
    screen.send("last verdict", "post", f"{where}/verdict/", final, Idempotency_Key="d")
    screen.send("queue while it can be undone", "get", "cases/")
    sweep(after_s=4)
    screen.send("undo too late", "delete", f"{where}/verdict/")
    screen.send("verdict repeated too late", "post", f"{where}/verdict/", final, Idempotency_Key="d")
    screen.send("verdict too late", "post", f"{where}/verdict/", final, Idempotency_Key="e")
    screen.send("escalation too late", "post", f"{where}/escalate/", {"lease": token}, Idempotency_Key="f")
    screen.send("lease kept too late", "post", f"{where}/lease/", {"token": token})
    screen.send("queue afterwards", "get", "cases/")
    screen.look("image afterwards", shown["image_url"])
    screen.look("map afterwards", f"/api/v1/{where}/map/")
    screen.send("part while nobody judges it", "get", f"parts/{leased['part']}/")
    screen.send("nothing else waits", "post", "cases/lease/", {})
    return screen


@pytest.fixture
def lives(_own_storage, monkeypatch) -> dict[str, Screen]:
    """One case of each kind, each with a line and an inspector of its own, on lines that ask for a blind opinion."""
    monkeypatch.setattr(
        records, "COMPARED_AFTER", timedelta(0)
    )  # a slow machine must not pass it in the middle
    return {
        kind: whole_life(kind, by=inspector(line_code=at.station.line.code), at=at)
        for kind, at in ((kind, a_floor(is_blind_first=True)) for kind in UNMARKED)
    }


NUMBER_KEYS = {"case", "part"}
FREE_TEXT = {"detail"}


def shape_of(value: Any, key: str = "") -> Any:
    """What stays of an answer when its numbers, times and codes are taken away: keys, types and patterns."""
    if isinstance(value, dict):
        return {name: shape_of(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shape_of(each, key) for each in value]
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value):
            return "a time to the microsecond"
        if re.fullmatch(r"[\w-]{32}", value):
            return "a token"
        return re.sub(r"\d+", "N", value)
    if isinstance(value, bool) or value is None:
        return value
    return type(value).__name__


def test_every_answer_of_a_cases_life_has_the_same_shape_and_takes_as_many_questions(lives):
    held = lives[CaseKind.HELD]

    for hidden in (lives[kind] for kind in HIDDEN):
        assert list(hidden.answers) == list(held.answers)
        for step, answer in held.answers.items():
            assert shape_of(hidden.answers[step]) == shape_of(answer), (hidden.kind, step)
        assert hidden.questions == held.questions


def test_the_record_is_that_of_a_grey_part_of_the_line(lives):
    for screen in lives.values():
        looks_grey(screen.answers["first opinion"]["body"])


def looks_grey(shown: dict[str, Any]) -> None:
    case = Case.objects.get(pk=shown["case"])
    line = case.shown_part.line
    part = Part.objects.get(pk=shown["part"])

    assert (shown["reason"], shown["reason_text"]) == (Reason.GREY_BAND, "Score in the grey band")
    assert (shown["grey_from"], shown["grey_to"]) == (GREY_FROM, GREY_TO)
    assert GREY_FROM <= shown["score"] < GREY_TO
    assert (part.line, part.plc_part_id, part.serial) == (line, shown["plc_part_id"], shown["serial"])
    assert shown["serial"].startswith(part.station.code)
    assert (shown["line"], shown["station"]) == (line.code, part.station.code)
    assert seconds(shown, "opened_at", "deadline_at") == line.review_deadline_ms / 1000
    assert shown["is_late"] is False


def seconds(record: dict, earlier: str, later: str) -> float:
    begin, end = (datetime.fromisoformat(record[name]) for name in (earlier, later))
    return (end - begin).total_seconds()


def test_it_joined_the_queue_as_long_after_its_trigger_as_grey_parts_do(lives):
    usual = [
        (part.held_at - part.triggered_at).total_seconds()
        for part in Part.objects.filter(held_at__isnull=False)
    ]

    for screen in lives.values():
        shown = screen.answers["first opinion"]["body"]
        assert 0 < seconds(shown, "triggered_at", "opened_at") <= max(usual)


def test_scores_have_no_digits_that_tell_where_they_come_from(lives):
    scores = [lives[kind].answers["first opinion"]["body"]["score"] for kind in UNMARKED]

    assert [round(score, 4) for score in scores] == scores


@pytest.mark.parametrize("kind", UNMARKED)
@pytest.mark.parametrize("step", ["map", "map afterwards"])
def test_the_map_is_as_strong_as_the_score_says_before_and_after(kind, step):
    at = a_floor()
    by = inspector(line_code=at.station.line.code)
    case = case_of_kind(kind, at)
    screen = Screen(by, kind)
    leased = screen.send("lease", "post", "cases/lease/", {})
    if step == "map afterwards":
        verdict = {"lease": leased["lease"]["token"], "verdict": "PASS"}
        screen.send("verdict", "post", f"cases/{case.pk}/verdict/", verdict, Idempotency_Key="key")
        sweep(after_s=4)

    peak = PillowImage.open(io.BytesIO(screen.client.get(leased["map_url"]).content)).getextrema()[1]

    assert abs(peak / 255 - leased["score"]) < 0.02  # a weak map has few grey levels


def test_what_the_expert_has_to_do_is_not_told_to_who_only_judges(lives):
    """After a CANNOT_TELL one more tie waits, unless it was a probe."""
    counts = {lives[kind].answers["leased again"]["body"]["queue"]["ties"] for kind in UNMARKED}

    assert counts == {None}


@pytest.mark.parametrize("kind", UNMARKED)
def test_its_part_is_not_found_by_who_judges_it_and_does_nothing_else(kind):
    at = a_floor()
    case = case_of_kind(kind, at)
    client, part = client_of(inspector()), case.shown_part

    listed = client.get(f"/api/v1/parts/?serial={part.serial}").json()["results"]
    answers = [client.get(f"/api/v1/parts/{part.pk}/{what}") for what in ("", "evidence/", "image/", "map/")]

    assert listed == []
    assert [answer.status_code for answer in answers] == [404, 404, 404, 403]


def test_its_part_stays_hidden_when_the_case_is_closed(lives):
    """Its record says who decided: of a held part a person, of a number that was lent the model."""
    client = client_of(inspector())

    for screen in lives.values():
        case = Case.objects.get(pk=screen.answers["lease"]["body"]["case"])
        assert case.state == "closed"
        assert client.get(f"/api/v1/parts/{case.shown_part_id}/").status_code == 404
        assert client.get(f"/api/v1/parts/{case.shown_part_id}/image/").status_code == 404


def test_an_expert_and_an_inspector_with_another_role_do_find_it():
    at = a_floor()
    case = case_of_kind(CaseKind.PROBE, at)

    for who in (expert(), person(Role.MANUAL_INSPECTOR, Role.LINE_OPERATOR)):
        assert client_of(who).get(f"/api/v1/parts/{case.shown_part_id}/").status_code == 200


def client_of(who: Person) -> APIClient:
    client = APIClient()
    client.force_login(who)
    return client


# --- live messages ----------------------------------------------------------------------------------------
async def heard_of(kind: str, *, verdict: str = "PASS") -> tuple[Case, list[dict[str, Any]]]:
    """What an inspector's page hears from the opening of a case to what becomes of its verdict."""
    at = await sync_to_async(a_floor)()
    by = await sync_to_async(inspector)(line_code=at.station.line.code)
    page = await page_of(by)
    case = await sync_to_async(case_of_kind)(kind, at)
    await sync_to_async(judged)(by, case, verdict)
    heard = await cases_heard(page, until_version=3)
    await page.ask_since(0)
    again = [message for message in await page.hear_until("heartbeat") if message["kind"] != "heartbeat"]
    await page.leave()
    assert [each for each in again if each["id"] == case.pk] == heard
    return case, heard


def judged(by: Person, case: Case, verdict: str) -> None:
    client = client_of(by)
    token = client.post("/api/v1/cases/lease/").json()["lease"]["token"]
    client.post(
        f"/api/v1/cases/{case.pk}/verdict/",
        {"lease": token, "verdict": verdict},
        format="json",
        headers={"Idempotency-Key": f"{case.pk}"},
    )
    sweep(after_s=4)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verdict", ["PASS", "CANNOT_TELL"])
@pytest.mark.parametrize("kind", UNMARKED)
async def test_every_case_rings_as_often_and_with_the_same_versions(kind, verdict):
    case, heard = await heard_of(kind, verdict=verdict)

    assert [(each["kind"], each["id"], each["version"]) for each in heard] == [
        ("case", case.pk, version) for version in (0, 1, 2, 3)
    ]
    assert [set(each) for each in heard] == [{"seq", "kind", "id", "version"}] * 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", UNMARKED)
async def test_the_numbers_of_live_messages_do_not_count_what_happens_to_parts(kind):
    """Closing a held case is followed by its part's disposition; a gap in the numbers would tell."""
    case, heard = await heard_of(kind)

    events = await sync_to_async(lambda: list(case_events(case)))()
    assert [each["seq"] for each in heard] == [int(event.at.timestamp() * 1_000_000) for event in events]


def case_events(case: Case) -> Any:
    from audit.queries import events_of

    return events_of("case", case.pk)


@pytest.mark.django_db(transaction=True)
async def test_an_expert_still_hears_of_parts():
    at = await sync_to_async(a_floor)()
    page = await page_of(await sync_to_async(expert)())

    await sync_to_async(case_of_kind)(CaseKind.HELD, at)

    assert "part" in {message["kind"] for message in await page.hear_until("case")}
    await page.leave()
