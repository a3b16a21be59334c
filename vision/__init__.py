"""Pixels only: images, maps, predictors and rendered parts. No Django, no database."""

import os

# Torch's threads spin while they wait for each other. Beside other busy processes, as on every station, that
# took one image from 12 ms to 147 ms (p99 1.8 s); sleeping instead takes 23 ms. OpenMP reads it when torch is
# first imported, so it stands here, before any of our modules does that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
