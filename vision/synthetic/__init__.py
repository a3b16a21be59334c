"""Rendered machined parts with known defects: for demos and tests where no factory is at hand."""

from vision.synthetic.defects import DEFECTS, Defect, Mask
from vision.synthetic.geometry import SIZE_PX
from vision.synthetic.part import render_part

__all__ = ["DEFECTS", "SIZE_PX", "Defect", "Mask", "render_part"]
