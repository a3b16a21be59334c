"""Keys, certificates, passwords and trust of our OPC UA side: files in one folder, never rows and never options.

own.pem      private key and certificate, made at the first start, readable by this user alone
own.der      the certificate by itself, to be copied into the PLC's trust list
trusted/     certificates of servers that a person has compared and trusts
refused/     certificates that came and were not trusted, kept so that a person can look and trust them
passwords/   one file a user name, readable by this user alone
"""

import functools
import hashlib
import os
import socket
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

APPLICATION_URI = "urn:secondlook:plc-gateway"
# A controller whose clock is behind refuses a certificate that was made a minute ago.
BEGINS_BEFORE = timedelta(days=30)
LASTS = timedelta(days=10 * 365)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What one application shows (certificate) and what it keeps (key), both DER."""

    certificate: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)


class KeyFolder:
    """The folder as described above; made when it is first needed."""

    def __init__(
        self, folder: Path, *, application_uri: str = APPLICATION_URI, name: str = "Second Look"
    ) -> None:
        self.folder = folder
        self._application_uri = application_uri
        self._name = name

    def own(self) -> OwnKeys:
        """Our own keys, made now if there are none; two processes that start together end up with the same."""
        path = self.folder / "own.pem"
        if not path.exists():
            self._publish(path, new_pem(self._application_uri, self._name))
        keys = _read(path.read_bytes())
        public = self.folder / "own.der"
        if not public.exists():
            public.write_bytes(keys.certificate)
        return keys

    def trusts(self, certificate: bytes) -> bool:
        return (self.folder / "trusted" / f"{fingerprint(certificate)}.der").exists()

    def trust(self, certificate: bytes) -> Path:
        """From now on; whoever calls this has compared the fingerprint with the server's own display."""
        return self._keep("trusted", certificate)

    def refuse(self, certificate: bytes) -> Path:
        """Keep a copy for the person who may trust it."""
        return self._keep("refused", certificate)

    def password(self, user: str) -> str:
        """Raises OSError if none was stored."""
        return self._password_file(user).read_text().rstrip("\n")

    def store_password(self, user: str, password: str) -> Path:
        path = self._password_file(user)
        path.unlink(missing_ok=True)
        self._publish(path, password.encode())
        return path

    def _password_file(self, user: str) -> Path:
        if not user or "/" in user or user.startswith("."):
            raise ValueError(f"No file can hold the password of {user!r}.")
        return self.folder / "passwords" / user

    def _keep(self, place: str, certificate: bytes) -> Path:
        path = self.folder / place / f"{fingerprint(certificate)}.der"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(certificate)
        return path

    def _publish(self, path: Path, content: bytes) -> None:
        """Write with mode 0600 from the first byte on; whoever comes second leaves the first one's file."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, fresh = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(path).hardlink_to(fresh)
        except FileExistsError:
            return
        finally:
            Path(fresh).unlink()


def fingerprint(certificate: bytes) -> str:
    """SHA-256 in hex, as controllers and their tools show it."""
    return hashlib.sha256(certificate).hexdigest()


def first_certificate(chain: bytes) -> bytes:
    """A server may append its issuers; its own certificate comes first. Raises ValueError.

    Source: DER, ITU-T X.690 8.1.3; OPC 10000-6 6.2.6 for the order.
    """
    if len(chain) < 4 or chain[0] != 0x30 or chain[1] != 0x82:
        raise ValueError("That is no certificate.")
    length = 4 + int.from_bytes(chain[2:4], "big")
    if length > len(chain):
        raise ValueError("The certificate is cut off.")
    return chain[:length]


def time_problem(certificate: bytes, now: datetime | None = None) -> str:
    """Why it is not valid now, or nothing. Raises ValueError for what is no certificate."""
    read = x509.load_der_x509_certificate(certificate)
    now = now or datetime.now(UTC)
    if now < read.not_valid_before_utc:
        return f"is valid from {read.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only; is a clock wrong?"
    if now > read.not_valid_after_utc:
        return f"ended on {read.not_valid_after_utc:%Y-%m-%d}"
    return ""


def new_keys(application_uri: str, name: str) -> OwnKeys:
    """Keys that nobody stores."""
    return _read(new_pem(application_uri, name))


@functools.lru_cache(maxsize=4)
def _read(pem: bytes) -> OwnKeys:
    """Checking a private key takes 40 ms of processor time, too long for every new connection."""
    key = load_pem_private_key(pem, password=None)
    return OwnKeys(
        x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )


def new_pem(
    application_uri: str, name: str, *, begins_at: datetime | None = None, lasts: timedelta = LASTS
) -> bytes:
    """A fresh RSA 2048 key and its self-signed application certificate, one after the other.

    Source: OPC 10000-6 6.2.2 (application instance certificate), OPC 10000-7 for the key length of both policies.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    begins_at = begins_at or datetime.now(UTC) - BEGINS_BEFORE
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Second Look"),
        ]
    )
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + BEGINS_BEFORE + lasts)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(application_uri), x509.DNSName(socket.gethostname())]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
                key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(
        Encoding.PEM
    )
