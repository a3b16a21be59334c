"""axe finds nothing serious on the pages where people decide."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.floor import held_parts
from tests.factories import expert, inspector, station

pytestmark = pytest.mark.browser


def serious(page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {node['target']}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


def test_the_workstation_is_accessible(open_screen, sweeper):
    held_parts(station(), 2)
    screen = open_screen(inspector(), "/review/")

    screen.sees_a_part()
    assert serious(screen.page) == []
    screen.judges("j")
    assert serious(screen.page) == []
    screen.press("?")
    assert serious(screen.page) == []


def test_the_ties_are_accessible(open_screen, sweeper):
    held_parts(station(commit_window_ms=100), 1)
    screen = open_screen(inspector(), "/review/")
    screen.judges("c")
    screen.page.wait_for_timeout(600)

    assert serious(open_screen(expert(), "/ties/").page) == []
