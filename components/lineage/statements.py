"""What made an artifact, as an in-toto statement with SLSA's provenance; signed, if a key is given, in a DSSE envelope.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.1/provenance,
https://github.com/secure-systems-lab/dsse. The same artifact gives the same bytes; so does a key of Ed25519.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from components.contract import outside
from components.contract.artifact import MANIFEST, canonical_json
from components.contract.errors import BadInput
from components.lineage.places import Found

STATEMENT, PROVENANCE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
STEP = "urn:tapeline:step"  # a step is what builds here: component.py and the work of that name
PAYLOAD = "application/vnd.in-toto+json"
END = ".intoto.json"
PACKAGES = {"sklearn": "scikit-learn"}  # what PyPI has by another name than Python


def statement(found: Found) -> dict[str, Any]:
    """Return the statement about an artifact: its files, the step, its parameters, inputs and packages."""
    manifest = found.manifest
    files = [{"name": name, "digest": {"sha256": file.sha256}} for name, file in sorted(manifest.files.items())]
    inputs = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(manifest.inputs.items())]
    packages = [{"name": name, "uri": _package(name, version)} for name, version in sorted(manifest.versions.items())]
    return {
        "_type": STATEMENT,
        "subject": [{"name": MANIFEST, "digest": {"sha256": found.digest}}, *files],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{STEP}:v{manifest.schema_version}",
                "externalParameters": {
                    "component": manifest.component,
                    "output": manifest.output,
                    "parameters": manifest.parameters,
                },
                "resolvedDependencies": inputs + packages,
            },
            "runDetails": {"builder": {"id": f"{STEP}:{manifest.component}"}},
        },
    }


def _package(module: str, version: str) -> str:
    """Return the package URL (https://github.com/package-url/purl-spec) of a module, as which PyPI has it."""
    name = re.sub("[^a-z0-9.]+", "-", PACKAGES.get(module, module).lower())
    return f"pkg:pypi/{name}@{quote(version)}"


def file_name(found: Found) -> str:
    """Return what the file with the statement about an artifact is called."""
    return f"{re.sub('[^a-z0-9_]', '-', f'{found.manifest.component}-{found.manifest.output}')}-{found.digest:.12}{END}"


def write(folder: Path, found: Found, key: Path | None) -> Path:
    """Write the statement about an artifact into a folder, signed with a private key in PEM if one is given."""
    said = canonical_json(statement(found))
    text = canonical_json(enveloped(said, _private(key))) if key else said
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(found)
    path.write_bytes(text)
    return path


def check(folder: Path, found: Found, key: Path) -> str:
    """Return what is wrong with the signed statement about an artifact, by a public key in PEM; nothing where it holds.

    It holds if the key's owner signed it, and it says of this artifact what the manifest says.
    """
    path = folder / file_name(found)
    try:
        said = signed(outside.document(outside.content(path), str(path)), _public(key))
    except FileNotFoundError:
        return f"there is no statement {path}"
    if said is None:
        return f"{path} is not signed with the key in {key}"
    return "" if said == canonical_json(statement(found)) else f"{path} says something else than the artifact"


def enveloped(payload: bytes, key: Any) -> dict[str, Any]:
    """Return a payload in an envelope, signed with a private key."""
    return {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": _id(key.public_key()), "sig": base64.b64encode(_sign(key, _encoded(payload))).decode()}
        ],
    }


def signed(envelope: Any, key: Any) -> bytes | None:
    """Return what was signed with the key, None where nothing was."""
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
        kind = envelope["payloadType"]
    except (KeyError, TypeError, ValueError):
        return None
    good = kind == PAYLOAD and any(_holds(key, each, _encoded(payload)) for each in signatures)
    return payload if good else None


def _encoded(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding, so that a type is signed, too."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _private(path: Path) -> Any:
    return _loaded(path, "load_pem_private_key", {"password": None})


def _public(path: Path) -> Any:
    return _loaded(path, "load_pem_public_key", {})


def _loaded(path: Path, how: str, options: Mapping[str, Any]) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only who signs needs it
    except ImportError:
        raise BadInput("to sign and to check signatures takes the package cryptography; install it") from None
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415

    known = (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)
    try:
        key = getattr(serialization, how)(outside.content(path), **options)
    except FileNotFoundError:
        raise BadInput(f"there is no key {path}") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path} is not the PEM of a key without a password: {str(error).partition('.')[0]}") from None
    if not isinstance(key, known):
        raise BadInput(f"{path} is a key of another kind, expected Ed25519 or an elliptic curve")
    return key


def _sign(key: Any, data: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    signature: bytes = key.sign(data)  # of Ed25519
    return signature


def _holds(key: Any, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    how = [ec.ECDSA(hashes.SHA256())] if isinstance(key, ec.EllipticCurvePublicKey) else []
    try:
        key.verify(signature, data, *how)
    except InvalidSignature:
        return False
    return True


def _id(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
