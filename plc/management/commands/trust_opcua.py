import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.actor import Actor
from audit.transitions import record
from plc.drivers.driver import DriverError
from plc.drivers.opcua_access import NO_SECURITY, Access
from plc.drivers.opcua_keys import KeyFolder, fingerprint
from plc.models import Driver
from plc.queries import link_by_code


class Command(BaseCommand):
    help = "Show our certificate and the server's, trust the server's once a person has compared it, store the password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plc", help="code of the PLC link, such as PLC1")
        parser.add_argument("--sha256", help="trust the server's certificate if this is its fingerprint")
        parser.add_argument(
            "--password",
            action="store_true",
            help="ask for the user's password, or read it from standard input",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from plc.drivers.opcua import (
            server_certificate,
        )  # a second of imports that a wrong code need not wait for

        link = link_by_code(options["plc"])
        if link is None or link.driver != Driver.OPCUA:
            raise CommandError(f"There is no OPC UA link {options['plc']}.")
        access = Access(**link.options)
        if access.security == NO_SECURITY:
            raise CommandError(f"{link.code} connects openly: there is nobody to trust.")
        keys = KeyFolder(settings.DATA_DIR / "opcua")
        self.stdout.write(
            f"Ours, for the PLC's trust list: {keys.folder / 'own.der'}\n  SHA-256 {keys.own().fingerprint}"
        )
        if options["password"]:
            ask = getpass.getpass if sys.stdin.isatty() else lambda _: sys.stdin.readline().rstrip("\n")
            keys.store_password(access.user, ask(f"Password of {access.user}: "))
            record(link, "password_stored", actor=Actor.system("trust_opcua"), details={"user": access.user})
        try:
            certificate = server_certificate(link.host, link.port, access)
        except DriverError as error:
            raise CommandError(str(error)) from error
        found = fingerprint(certificate)
        self.stdout.write(f"The server's at {link.host}:{link.port}\n  SHA-256 {found}")
        if options["sha256"] and options["sha256"].lower().replace(":", "") != found:
            raise CommandError("That is another certificate. Nothing was trusted.")
        if options["sha256"]:
            keys.trust(certificate)
            record(link, "certificate_trusted", actor=Actor.system("trust_opcua"), details={"sha256": found})
        self.stdout.write("It is trusted." if keys.trusts(certificate) else "It is not trusted.")
