"""Values of OPC UA: what is asked for, what a good reading is, and which type a value is written as."""

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from plc.drivers.driver import DriverError

# In the order of reading: the program writes AckSeq last, so it is read first.
STATUS_NAMES: dict[str, tuple[str, type]] = {
    "ack_seq": ("AckSeq", int),
    "ack_code": ("AckCode", int),
    "ack_part_id": ("AckPartId", str),
    "disp_seq": ("DispSeq", int),
    "plc_boot": ("PlcBoot", int),
    "plc_hb": ("PlcHb", int),
    "trig_seq": ("TrigSeq", int),
    "trig_part_id": ("TrigPartId", str),
    "hold_free": ("HoldFree", int),
    "mode": ("Mode", int),
}
_T = ua.VariantType
# What may be written as what; the server's own type decides where there are two.
WRITTEN: dict[str, tuple[ua.VariantType, ...]] = {
    "Disp.SeqA": (_T.Int32,),
    "Disp.PartId": (_T.String,),
    "Disp.TrigSeq": (_T.Int32,),
    "Disp.Result": (_T.Int32,),
    "Disp.Reason": (_T.Int32,),
    "Disp.Confidence": (_T.Float,),
    "Disp.Source": (_T.Int32,),
    "Disp.Final": (_T.Boolean, _T.Int32),
    "Disp.ModelVer": (_T.Int32,),
    "Disp.SeqB": (_T.Int32,),
    "DispSeq": (_T.Int32,),
    "AppHb": (_T.Int32,),
}


def node_id(identifier: Any, index: Any = 0) -> ua.NodeId:
    return ua.NodeId(identifier, index)


def reading(nodes: Sequence[ua.NodeId]) -> ua.ReadParameters:
    return ua.ReadParameters(
        MaxAge=0.0,  # from the device, not from a cache
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes],
    )


def is_unknown(value: ua.DataValue) -> bool:
    return value.StatusCode is not None and value.StatusCode.value == ua.StatusCodes.BadNodeIdUnknown


def checked(shown: str, value: ua.DataValue, kind: type) -> Any:
    """The value of a good reading. Raises DriverError, for uncertain values too."""
    if value.StatusCode is not None and value.StatusCode.value != ua.StatusCodes.Good:
        raise DriverError(f"{shown}: {value.StatusCode.name}")
    plain = value.Value.Value if value.Value is not None else None
    if plain is None and kind is str:
        return ""
    if not isinstance(plain, kind) or isinstance(plain, bool):
        raise DriverError(f"{shown} is no {kind.__name__}: {plain!r}.")
    return plain


def type_to_write(shown: str, value: ua.DataValue, allowed: Sequence[ua.VariantType]) -> ua.VariantType:
    """The server's type if we can write it; a variable that was never written is given our first choice."""
    has = value.Value.VariantType if value.Value is not None else ua.VariantType.Null
    if has == ua.VariantType.Null:
        return allowed[0]
    if has not in allowed:
        names = " or ".join(kind.name for kind in allowed)
        raise DriverError(f"{shown} is {getattr(has, 'name', has)} in the PLC; it must be {names}.")
    return has


def variant(value: float | str, kind: ua.VariantType) -> ua.Variant:
    return ua.Variant(bool(value) if kind == ua.VariantType.Boolean else value, kind)
