"""What a link says about an OPC UA server: where its variables are, and how it is to be approached."""

from collections.abc import Mapping
from dataclasses import dataclass

NAMESPACE_URI = "urn:secondlook:vis"
POLICIES = ("Basic256Sha256", "Aes256Sha256RsaPss")
NO_SECURITY = "None"


@dataclass(frozen=True, slots=True)
class Access:
    """The options of a link with driver opcua; each has a default.

    namespace  URI of the namespace of our variables; its index is asked at every connection, for it may move
    node       identifier of a variable, with {mailbox} and {name}: "VIS_{mailbox}_{name}" gives VIS_S01_AckSeq
    path       instead of node: names from the Objects folder on, such as "Line/VIS_{mailbox}/{name}"; a name of
               another namespace than ours carries its index, as in "3:ServerInterfaces/Line/VIS_{mailbox}/{name}"
    names      other names for single variables, {"AckSeq": "Quittung", "Disp.SeqA": "Ergebnis.Folge"}
    security   a policy, always with SignAndEncrypt; "None" only where a plant insists on it
    user       whose password lies in the key folder; "" is anonymous
    timeout_s  for each single exchange
    """

    namespace: str = NAMESPACE_URI
    node: str = "VIS_{mailbox}_{name}"
    path: str = ""
    names: Mapping[str, str] | None = None
    security: str = POLICIES[0]
    user: str = "secondlook"
    timeout_s: float = 0.75

    def __post_init__(self) -> None:
        if self.security not in (*POLICIES, NO_SECURITY):
            raise ValueError(f"security is {', '.join(POLICIES)} or {NO_SECURITY}, not {self.security!r}.")
        if self.security == NO_SECURITY and self.user:
            raise ValueError("A password is not sent over an open connection; say user '' for anonymous.")
        if not 0.05 <= self.timeout_s <= 5:
            raise ValueError(f"timeout_s lies between 0.05 and 5, not {self.timeout_s}.")
        pattern = self.path or self.node
        if "{mailbox}" not in pattern or "{name}" not in pattern:
            raise ValueError(f"{pattern!r} must hold {{mailbox}} and {{name}}, or all variables are one.")
        try:
            pattern.format(mailbox="S01", name="AckSeq")
        except (KeyError, IndexError) as unknown:
            raise ValueError(f"{pattern!r} holds more than {{mailbox}} and {{name}}.") from unknown

    def identifier(self, mailbox: str, name: str) -> str:
        """What stands behind `s=`, or the browse path."""
        shown = (self.names or {}).get(name, name)
        return (self.path or self.node).format(mailbox=mailbox, name=shown)
