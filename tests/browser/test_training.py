"""The training page: which family it will be is said before the start, and what is refused is not lost."""

import pytest
from playwright.sync_api import expect

import labeling.actions
from accounts.models import Role
from labeling.models import DatasetVersion
from tests.browser.test_accessible import serious
from tests.factories import TESTER, person, station
from tests.labeling import steps
from training.models import Run

pytestmark = pytest.mark.browser


@pytest.fixture
def screen(open_screen, tmp_path):
    dataset = labeling.actions.make_dataset(line=station().line, name="discs", actor=TESTER)
    labeling.actions.import_folder(
        dataset=dataset, folder=steps.folder_of(tmp_path / "folder", good=14), actor=TESTER
    )
    return open_screen(person(Role.VISION_DEVELOPER), "/training/")


def test_the_choice_is_explained_and_a_refused_recipe_stays_typed(screen):
    page = screen.page
    expect(page.locator("#recipe")).to_contain_text("Auto takes PatchCore")
    assert serious(page) == []

    page.get_by_text("More: options").click()
    page.select_option("#family", "unet")
    expect(page.locator("#recipe")).to_contain_text(
        "None of the 0 bad pictures to learn from is painted yet."
    )
    expect(page.locator("#recipe-options")).to_contain_text("tile_px")
    page.fill("#options", '{"tile_px": 100}')
    page.get_by_role("button", name="Freeze and train").click()

    expect(page.get_by_text("tile_px is a multiple of 32 from 64 on, not 100.")).to_be_visible()
    expect(page.locator("#options")).to_have_value('{"tile_px": 100}')
    expect(page.locator("#family")).to_have_value("unet")
    assert serious(page) == []
    assert not DatasetVersion.objects.exists()
    [told] = screen.problems  # the browser's own note of the 400
    assert "400" in told
    screen.problems.clear()

    page.select_option("#family", "auto")
    page.fill("#options", '{"bank_size": 100}')
    page.get_by_role("button", name="Freeze and train").click()

    expect(page.get_by_text("With bank_size 100")).to_be_visible()
    assert Run.objects.get().family == "patchcore"
