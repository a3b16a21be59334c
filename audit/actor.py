"""Who did it: a person, a machine account, or one of our own processes."""

from dataclasses import dataclass

from accounts.models import DeviceAccount, Person


@dataclass(frozen=True, slots=True)
class Actor:
    kind: str
    name: str
    person_id: int | None = None

    @classmethod
    def person(cls, person: Person) -> "Actor":
        return cls("person", person.get_username(), person.pk)

    @classmethod
    def device(cls, device: DeviceAccount) -> "Actor":
        return cls("device", device.name)

    @classmethod
    def system(cls, name: str) -> "Actor":
        return cls("system", name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"
