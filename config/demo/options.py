"""The options of script/demo, as the contract names them."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent
SOURCE_FILE = "image-source.json"


@dataclass(frozen=True)
class Options:
    """images is None where the demo renders its own parts; family is what --exit-when-done retrains with."""

    images: Path | None
    port: int
    rate: float
    parts: int | None
    opens_browser: bool
    exits_when_done: bool
    data_dir: Path
    seed: int
    family: str


class OptionError(ValueError):
    """An option makes no sense; the message says what to do."""


def read(arguments: list[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(
        prog="script/demo",
        description="Start a whole inspection line on this machine: model, people's pages, PLC.",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="real images in MVTec layout (default: rendered)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port of the pages on 127.0.0.1 (default 8000)"
    )
    parser.add_argument(
        "--rate", type=float, default=1.0, metavar="PARTS_PER_S", help="parts per second (default 1)"
    )
    parser.add_argument(
        "--parts", type=int, metavar="N", help="stop the line after N parts, leave the pages up"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--exit-when-done",
        action="store_true",
        help="with --parts: simulated inspectors finish all cases; print the summary as JSON and exit",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where everything is kept (default var/)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="order of the parts (default 1)")
    parser.add_argument(
        "--family",
        default="auto",
        metavar="F",
        help="with --exit-when-done: model family of the retraining (default auto: what the pictures allow)",
    )
    given = parser.parse_args(arguments)
    if given.exit_when_done and not given.parts:
        raise OptionError("--exit-when-done needs --parts N: without it the line never ends.")
    if given.rate <= 0 or (given.parts is not None and given.parts <= 0):
        raise OptionError("--rate and --parts must be above 0.")
    images = given.images.expanduser().resolve() if given.images else None
    if images and not images.is_dir():
        raise OptionError(f"There is no folder {given.images}. --images wants a folder in MVTec layout.")
    return Options(
        images=images,
        port=given.port,
        rate=given.rate,
        parts=given.parts,
        opens_browser=not (given.no_browser or given.exit_when_done),
        exits_when_done=given.exit_when_done,
        data_dir=given.data_dir.expanduser().resolve() if given.data_dir else _default_data_dir(images),
        seed=given.seed,
        family=given.family,
    )


def _default_data_dir(images: Path | None) -> Path:
    """var/, or a folder below it of its own for each further image source: parts of two kinds never mix."""
    var = BASE_DIR / "var"
    if _source_of(var) in {None, _name(images)}:
        return var
    return var / (images.name if images else "rendered")


def remember_source(data_dir: Path, images: Path | None) -> None:
    """Write down whose images this data folder holds; OptionError if it holds others."""
    known = _source_of(data_dir)
    if known not in {None, _name(images)}:
        raise OptionError(f"{data_dir} holds parts of {known}. Give another --data-dir for {_name(images)}.")
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / SOURCE_FILE).write_text(json.dumps({"images": _name(images)}) + "\n")


def _name(images: Path | None) -> str:
    return str(images) if images else "rendered parts"


def _source_of(data_dir: Path) -> str | None:
    path = data_dir / SOURCE_FILE
    return json.loads(path.read_text())["images"] if path.exists() else None
