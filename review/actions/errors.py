"""What can go wrong between people who work on the same queue, each with a sentence that says what to do."""


class LeaseError(Exception):
    """The lease is not yours, has ended, or was replaced."""


class TooLateError(Exception):
    """The case is decided; what you ask came after."""


class UnfitError(Exception):
    """What was asked does not fit the part or the line."""


LEASE_OVER = "Your lease on this case has ended. It is back in the queue; take the next one."
