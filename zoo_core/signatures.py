"""Signed registries: an SSH signature at the end of the file, and the keys that a user trusts.

A registry holds the digests of all weights, so whoever can change it changes those. Its signature
is part of the file, in comments of TOML: both are copied, mirrored and replaced as one, and a
reader without a policy sees a registry as any other. It is made and checked by OpenSSH's
`ssh-keygen -Y`, offline, with keys that people have.

    # zoo-serial: 1764320000
    # -----BEGIN SSH SIGNATURE-----
    # U1NIU0lHAAAAAQ…
    # -----END SSH SIGNATURE-----

All before the signature is signed. The serial grows with each signature: an older registry with a
signature that was once right is refused where a newer one was seen.
"""

import base64
import re
import time
from pathlib import Path
from typing import NamedTuple

from zoo_core.errors import InvalidInput, UntrustedRegistry
from zoo_core.text import printable

__all__ = ["Signature", "body_of", "check", "is_signed", "sign"]

NAMESPACE = "zoo-registry"
"""What the signatures are for: one that was made for an email is none of a registry."""

_BEGIN = b"# -----BEGIN SSH SIGNATURE-----\n"
_END = b"# -----END SSH SIGNATURE-----\n"
_SERIAL = re.compile(rb"(?:\A|\n)# zoo-serial: ([1-9][0-9]{0,14})\n\Z")
_SIGNED = re.compile(
    rb"(?:^# zoo-serial: [1-9][0-9]{0,14}\n)?^# -----BEGIN SSH SIGNATURE-----\n"
    rb"(?:(?:^# [A-Za-z0-9+/=]+\n)*^# -----END SSH SIGNATURE-----\n?)?",
    re.MULTILINE,
)
"""A signature with its serial; what was appended to a signed registry stands behind it."""
_COLUMNS = 70
_SIGNER = re.compile(
    r'(?:"[^"]+"|[^\s"]+)\s+(?:\S.*?\s)??((?:sk-)?(?:ssh|ecdsa)-\S+)\s+([A-Za-z0-9+/]+=*)(?:\s.*)?'
)
"""A line of a file of allowed signers: names, options, and the kind and bytes of a key."""


class Signature(NamedTuple):
    """Who signed a registry, and when."""

    signer: str
    serial: int


def is_signed(data: bytes) -> bool:
    """Whether a registry claims to be signed."""
    return _BEGIN in data


def body_of(data: bytes) -> bytes:
    """A registry without its signature and serial, with what stands after them."""
    body = _SIGNED.sub(b"", data)
    serial = _SERIAL.search(body)
    return body[: serial.start()] + b"\n" if serial else body


def sign(data: bytes, key: Path, *, follow: bytes = b"") -> bytes:
    """Return a registry with a signature by a private key, in the place of an older one.

    follow: the registry that it replaces, where that is another; its serial is exceeded.

    Raises InvalidInput where the key cannot be used.
    """
    body = body_of(data).rstrip(b"\n") + b"\n"
    before = _SERIAL.search((follow or data).partition(_BEGIN)[0])
    serial = max(int(time.time()), int(before[1]) + 1 if before else 1)
    body += b"# zoo-serial: %d\n" % serial
    code, armour, said = _ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], body)
    lines = armour.split()
    if code or not armour.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise InvalidInput(f"{printable(key)} cannot sign: {printable(said.strip() or code)}.")
    return body + _armour(base64.b64decode(b"".join(lines[3:-3])))


def check(data: bytes, signers: Path, where: str) -> Signature:
    """Who of the allowed signers signed a registry.

    Args:
        data: the file's bytes.
        signers: a file in OpenSSH's format of allowed signers.
        where: path or URL of the registry, for messages.

    Raises UntrustedRegistry where it is not signed, or not by one of them, and InvalidInput where
    the file of signers is not sound.
    """
    _check_signers(signers)
    body, begin, rest = data.partition(_BEGIN)
    serial = _SERIAL.search(body)
    if not begin or not serial:
        raise _refusal(where, "it is not signed", signers)
    try:
        blob = base64.b64decode(
            re.sub(rb"\n# |^# |\n\Z", b"", rest.removesuffix(_END)), validate=True
        )
    except ValueError:
        blob = b""
    # one way to write a signature: what is changed in it is changed, also where it means the same
    if _armour(blob) != begin + rest:
        raise _refusal(where, "its signature is not well formed", signers)
    signer, why = _verify(body, blob, signers)
    if not signer:
        raise _refusal(where, why, signers)
    return Signature(signer, int(serial[1]))


def _check_signers(path: Path) -> None:
    """Refuse a policy that names nobody, which would seem to be the registry's fault."""
    where = printable(path)
    lines = path.read_text("utf-8", "replace").splitlines()
    named = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]
    named = [(i, line) for i, line in named if not line.startswith("#")]
    if not named:
        raise InvalidInput(f"{where} names no signer: add a line of a name and a public SSH key.")
    for number, line in named:
        if not _is_signer(line):
            raise InvalidInput(
                f"{where}, line {number}: not an allowed signer; expected a name and a public SSH "
                "key, such as `me@example.org ssh-ed25519 AAAA...`."
            )


def _is_signer(line: str) -> bool:
    """Whether a line names a signer with a key whose bytes are of its kind."""
    found = _SIGNER.fullmatch(line)
    if not found:
        return False
    kind = found[1].encode()
    try:
        key = base64.b64decode(found[2], validate=True)
    except ValueError:
        return False
    return key.startswith(len(kind).to_bytes(4, "big") + kind) and len(key) > len(kind) + 4


def _verify(body: bytes, blob: bytes, signers: Path) -> tuple[str, str]:
    """The allowed signer whose signature this is, or else an empty text and why there is none."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder, "signature")
        file.write_bytes(re.sub(rb"(?m)^# ", b"", _armour(blob)))
        common = ["-f", str(signers), "-s", str(file)]
        code, names, _ = _ssh_keygen(["-Y", "find-principals", *common], b"")
        for name in [] if code else names.decode("utf-8", "replace").splitlines():
            asked = ["-Y", "verify", *common, "-I", name, "-n", NAMESPACE]
            if _ssh_keygen(asked, body)[0] == 0:
                return printable(name), ""
        asked = ["-Y", "check-novalidate", "-s", str(file), "-n", NAMESPACE]
        code, said, _ = _ssh_keygen(asked, body)
    if code:
        return "", "it was changed after it was signed, or its signature is for another purpose"
    key = said.decode("utf-8", "replace").split()[-1]
    return "", f"it is signed, but not by an allowed signer: by the key {printable(key)}"


def _armour(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[i : i + _COLUMNS] for i in range(0, len(text), _COLUMNS)]
    return _BEGIN + b"".join(b"# %s\n" % line for line in lines) + _END


def _ssh_keygen(arguments: list[str], given: bytes) -> tuple[int, bytes, str]:
    """Exit code, what it printed and what it said."""
    import subprocess

    try:
        run = subprocess.run(["ssh-keygen", *arguments], input=given, capture_output=True)
    except FileNotFoundError:
        raise UntrustedRegistry(
            "signatures are made and checked by `ssh-keygen`, which is not here: install OpenSSH "
            "(8.2 or later)."
        ) from None
    return run.returncode, run.stdout, run.stderr.decode("utf-8", "replace")


def _refusal(where: str, why: str, signers: Path) -> UntrustedRegistry:
    return UntrustedRegistry(
        f"the registry {where} is not used: {why}. {printable(signers)} names who may sign; "
        "`zoo registry sign` signs."
    )
