"""One station's camera, played from a folder."""

import threading

import pytest

from inspection.models import Part, Station
from inspection.station import FolderSource, play
from tests import factories
from vision.folder import FolderImage

pytestmark = pytest.mark.django_db


def test_a_running_station_follows_its_epoch(tmp_path):
    path = tmp_path / "part.png"
    path.write_bytes(factories.png())
    shown = FolderImage(path=path, split="test", truth="good", defect="good", group="a", mask=None)

    captured = play(
        station=factories.station(),
        source=FolderSource([shown], seed=1),
        rate_per_s=1000,
        until_seq=2,
        at_trigger=lambda *_: Station.objects.update(epoch=2),
        stop=threading.Event(),
        actor=factories.TESTER,
    )

    assert captured == 2
    assert list(Part.objects.order_by("id").values_list("epoch", "trigger_seq", "state")) == [
        (1, 1, "captured"),
        (2, 2, "captured"),
    ]
