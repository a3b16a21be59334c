"""One person's screen: a browser context of its own, and the words the tests speak about it."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect


class Screen:
    """problems collects page errors, console errors and failed policies; a test that wants some clears it."""

    def __init__(self, context: BrowserContext, path: str) -> None:
        self.context = context
        self.problems: list[str] = []
        self.page = self.new_tab(path)

    def new_tab(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"{error}"))
        page.on("console", lambda said: said.type == "error" and self._heard(said))
        page.goto(path)
        return page

    def _heard(self, said: ConsoleMessage) -> None:
        # The browser itself reports every 404; that there is no golden reference yet is told so.
        if not urlsplit(said.location.get("url", "")).path.endswith("/reference/"):
            self.problems.append(said.text)

    # --- the workstation -----------------------------------------------------------------------------------
    def sees_a_part(self) -> str:
        """Wait until a part is on the screen long enough to be judged; returns its name."""
        expect(self.page.locator("#workstation")).to_have_attribute("data-state", "looking")
        self.page.wait_for_timeout(320)  # keys that come sooner were meant for the part before
        return self.part

    def is_in_state(self, state: str) -> None:
        expect(self.page.locator("#workstation")).to_have_attribute("data-state", state)

    @property
    def part(self) -> str:
        return self.page.locator('[data-text="part"]').inner_text()

    @property
    def waiting(self):
        """The live count of the queue."""
        return self.page.locator("#queue .queue__value").first

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def judges(self, key: str) -> str:
        """See the part, press the key, and wait until another part (or none) is there; returns the part judged."""
        judged = self.sees_a_part()
        self.press(key)
        other = f':not(:has([data-text="part"]:text-is("{judged}")))'
        done = f'#workstation[data-state="empty"], #workstation[data-state="looking"]{other}'
        expect(self.page.locator(done)).to_have_count(1)
        return judged

    def pixels(self) -> bytes:
        """What the canvas shows."""
        return self.page.locator("#stage").screenshot()
