"""What an inspector can see at the workstation: candidates, golden reference, contrast, marks, screens of every size."""

import pytest
from playwright.sync_api import expect

from inspection import actions
from inspection.models import GoldenConfiguration, Part
from review.actions import set_policy
from review.models import Verdict
from tests.browser.floor import held_parts
from tests.browser.test_accessible import serious
from tests.factories import TESTER, decided_part, inspector, station
from tests.factories import png as small_png

pytestmark = pytest.mark.browser


@pytest.fixture
def line():
    """A line with a named good part and defect types."""
    at = station()
    good = decided_part(at, 0.05)
    set_policy(line=at.line, actor=TESTER, reference_part=good, defect_types=["scratch", "dent", "stain"])
    return at


def settled(screen) -> bytes:
    screen.page.wait_for_timeout(150)
    return screen.pixels()


def announced(screen):
    return screen.page.locator('[data-text="announcement"]')


def test_tab_goes_from_candidate_to_candidate_and_then_on(open_screen, sweeper, line):
    held_parts(line, 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()
    whole = screen.page.locator('[data-text="zoom"]').inner_text()

    screen.press("Tab")
    expect(announced(screen)).to_have_text("Candidate 1 of 1")
    expect(screen.page.locator("#stage")).to_be_focused()
    assert screen.page.locator('[data-text="zoom"]').inner_text() != whole
    screen.press("Tab")
    expect(screen.page.locator("#stage")).not_to_be_focused()

    screen.press("Shift+Tab")
    screen.press("Shift+Tab")
    expect(announced(screen)).to_have_text("Candidate 1 of 1")
    screen.press("0")
    expect(screen.page.locator('[data-text="zoom"]')).to_have_text(whole)
    assert Verdict.objects.count() == 0


def test_g_goes_through_the_golden_reference_and_every_look_is_another(open_screen, sweeper, line):
    held_parts(line, 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()
    bar = screen.page.locator("[data-compare-words]")
    alone = settled(screen)

    screen.press("g")
    expect(bar).to_have_text("Left the part, right the golden reference")
    beside = settled(screen)
    assert serious(screen.page) == []
    screen.press("g")
    expect(bar).to_have_text("Part and golden reference in turn")
    looks = {screen.pixels() for _ in range(6)}
    assert len(looks) == 2
    screen.press("Space")
    expect(bar).to_contain_text("Now the")
    assert settled(screen) == settled(screen)
    screen.press("g")
    expect(bar).to_contain_text("Difference")
    difference = settled(screen)
    screen.press("g")
    expect(bar).to_be_hidden()

    assert settled(screen) == alone
    assert len({alone, beside, difference}) == 3


def test_who_wants_no_motion_changes_the_pictures_by_hand(open_screen, sweeper, line):
    held_parts(line, 1)
    screen = open_screen(inspector(), "/")
    screen.page.emulate_media(reduced_motion="reduce")
    screen.page.goto("/review/")
    screen.sees_a_part()

    screen.press("g")
    screen.press("g")
    expect(screen.page.locator("[data-compare-words]")).to_have_text("Now the part")
    part = settled(screen)
    screen.page.wait_for_timeout(600)
    assert screen.pixels() == part
    screen.press("Space")
    expect(screen.page.locator("[data-compare-words]")).to_have_text("Now the golden reference")
    assert settled(screen) != part


def test_b_has_three_looks_and_the_brackets_change_the_map(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    looks = [settled(screen)]
    for words in ("Stretched", "Inverted", "Normal"):
        screen.press("b")
        expect(screen.page.locator('[data-text="contrast"]')).to_have_text(words)
        looks.append(settled(screen))
    assert looks[0] == looks[3]
    assert len(set(looks)) == 3
    screen.press("[")
    weaker = settled(screen)
    screen.press("]")
    assert weaker != looks[0] == settled(screen)


def test_regions_types_handling_and_note_go_with_the_verdict_by_keyboard_alone(open_screen, sweeper, line):
    held_parts(line, 2)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    screen.press("m")
    for key in ("ArrowRight", "Shift+ArrowUp", "Enter", "Enter"):
        screen.press(key)
    regions = screen.page.get_by_role("list", name="Marked regions").get_by_role("listitem")
    expect(regions).to_have_count(2)
    screen.page.get_by_role("button", name="Remove region 2").press("Enter")
    expect(regions).to_have_count(1)
    screen.page.locator("#stage").focus()
    screen.press("Escape")
    for key in ("2", "w"):
        screen.press(key)
    expect(screen.page.get_by_role("button", name="dent")).to_have_attribute("aria-pressed", "true")
    expect(screen.page.get_by_role("button", name="Wipe")).to_have_attribute("aria-pressed", "true")
    assert serious(screen.page) == []
    screen.judges("f")

    given = Verdict.objects.get()
    assert (given.verdict, given.defect_type, given.handling) == ("REJECT", "dent", "wipe")
    [[x, y, width, height]] = given.marks
    assert min(x, y) >= 0
    assert min(width, height) > 1
    expect(screen.page.get_by_role("button", name="dent")).to_have_attribute("aria-pressed", "false")
    expect(regions).to_have_count(0)


def test_a_region_is_drawn_with_the_mouse_where_it_lies_in_the_image(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()
    place = screen.page.locator("#stage").bounding_box()
    middle = (place["x"] + place["width"] / 2, place["y"] + place["height"] / 2 + 28)

    screen.page.get_by_role("button", name="Mark").click()
    screen.page.mouse.move(*middle)
    screen.page.mouse.down()
    screen.page.mouse.move(middle[0] + 60, middle[1] + 30, steps=3)
    screen.page.mouse.up()
    expect(screen.page.get_by_role("button", name="Remove region 1")).to_be_visible()
    screen.page.get_by_role("button", name="Mark").focus()
    screen.press("ArrowLeft")  # moves a box; outside of marking it would reject
    expect(screen.page.locator("#workstation")).to_have_attribute("data-state", "looking")
    screen.press("m")
    screen.judges("f")

    [[x, y, width, height]] = Verdict.objects.get().marks
    image = Part.objects.get().images.get()
    assert abs(x - image.width / 2) <= 0.05 * image.width
    assert abs(y - image.height / 2) <= 0.15 * image.height
    assert abs(width - 2 * height) <= 3


def test_v_goes_through_the_cameras(open_screen, sweeper):
    at = station()
    at.views = ["top", "side"]
    at.save(update_fields=["views"])
    for view in at.views:
        part = actions.capture(
            station=at, data=small_png(size=64), view=view, trigger_seq=1, actor=TESTER
        ).part
    held = held_parts_like(at, part)
    screen = open_screen(inspector(), "/review/")
    assert screen.sees_a_part() == held.plc_part_id
    cameras = screen.page.get_by_role("group", name="Cameras").get_by_role("button")
    expect(cameras).to_have_count(2)
    screen.press("m")
    screen.press("Enter")
    screen.press("Escape")
    first = settled(screen)

    screen.press("v")

    expect(announced(screen)).to_contain_text("Camera")
    expect(cameras.nth(1)).to_have_attribute("aria-pressed", "true")
    assert settled(screen) != first
    screen.press("v")
    expect(cameras.nth(0)).to_have_attribute("aria-pressed", "true")
    assert settled(screen) == first  # with the region that was marked on it


def held_parts_like(at, part) -> Part:
    from inspection.look import Look
    from inspection.states import Reason
    from tests.factories import golden

    configuration = GoldenConfiguration.objects.filter(line=at.line).first() or golden(at)
    actions.decide(part=part, look=Look(Reason.CLEAR, golden=configuration, score=0.5), actor=TESTER)
    return part


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1366, 768), (1024, 768)])
def test_nothing_scrolls_and_the_deck_fits_a_glove(open_screen, sweeper, line, width, height):
    held_parts(line, 2)
    screen = open_screen(inspector(), "/review/", width=width, height=height)
    screen.judges("f")
    screen.sees_a_part()

    overflows = screen.page.evaluate(
        """() => ["html", ".panel", ".rail", ".deck", ".stage"].filter((name) => {
          const box = document.querySelector(name);
          return box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;
        })"""
    )
    assert overflows == []
    targets = screen.page.locator(".deck button:visible, .rail button:visible")
    for place in range(targets.count()):
        box = targets.nth(place).bounding_box()
        assert min(box["width"], box["height"]) >= 56, targets.nth(place).inner_text()
