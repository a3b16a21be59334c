"""What is: the floor (lines, stations, part types), the parts and what became of them, the golden configuration."""

from inspection.models.floor import Line, PartType, Station
from inspection.models.golden import FrozenConfigurationError, GoldenConfiguration
from inspection.models.parts import Disposition, Image, Inspection, Part

__all__ = [
    "Disposition",
    "FrozenConfigurationError",
    "GoldenConfiguration",
    "Image",
    "Inspection",
    "Line",
    "Part",
    "PartType",
    "Station",
]
