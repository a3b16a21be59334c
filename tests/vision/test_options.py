import pytest

from vision.families import FAMILIES, options_of
from vision.options import options_help, read_options


def test_the_options_of_a_family_are_told_with_defaults_and_words():
    told = {each.name: each for each in options_help(options_of("unet"))}

    assert (told["tile_px"].default, told["tile_px"].kind) == (256, "int")
    assert told["tile_px"].words == "side of a tile and of a crop, a multiple of 32"
    assert (
        told["rate"].words == told["encoder_rate"].words == "learning rates of the decoder and of the encoder"
    )
    assert told["held_share"].words.endswith("flatters, until `calibrate` is called")


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.is_available])
def test_every_family_has_defaults_that_it_accepts(name):
    kind = options_of(name)

    assert read_options(kind, {each.name: each.default for each in options_help(kind)}) == kind()
