"""A disposition row in the words of the PLC's UDT VIS_Disp."""

import math

from inspection.models import Disposition as DispositionRow
from inspection.states import Outcome
from plc.handshake import Disposition, Result, Source


def words_of(row: DispositionRow, *, seq: int, former_seqs: tuple[int, ...] = ()) -> Disposition:
    """Put the row into words under its number.

    row  with part and inspection__golden selected

    Raises ValueError if the PLC could misread it (a part id that is not printable ASCII, a counter out of range).
    """
    look = row.inspection
    score = look.score if look and look.score is not None and math.isfinite(look.score) else 0.0
    return Disposition(
        seq=seq,
        part_id=row.part.plc_part_id,
        trig_seq=row.part.trigger_seq,
        result=Result[row.outcome],
        source=Source(row.source),
        # Also of one that was corrected while it was on its way: it is sent to its end as it began.
        final=row.outcome != Outcome.HOLD,
        reason=row.reason,
        confidence=score,
        model_version=look.golden.number if look and look.golden else 0,
        former_seqs=former_seqs,
    )
