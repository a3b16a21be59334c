"""Lay a picture onto the golden reference, so that every part is judged in the same place."""


class AlignmentError(ValueError):
    """The picture does not lie on the reference well enough to be judged; the message says why. The part is held."""
