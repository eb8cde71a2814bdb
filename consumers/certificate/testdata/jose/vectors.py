#!/usr/bin/env python3
"""Writes vectors.json: certificates as other JOSE libraries sign them, and what is none.

    pip install jwcrypto==1.6.1 joserfc==1.6.5 cryptography
    python3 vectors.py [CERTIFICATE.jws JWKS.json] > vectors.json

With a certificate and its keys, such as `aval certificate export` writes, both libraries also verify that one.
The keys are the demonstration keys of the namespaces "paga" and "eve": whoever knows a name has the key.
"""
import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws as joserfc_jws
from joserfc.jwk import KeySet, OKPKey
from jwcrypto import jwk, jws

TYPE = "payment-certificate+jws"
KID = "demonstration-paga"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def seed(namespace: str) -> bytes:
    return hashlib.sha256(b"aval demonstration key\0" + namespace.encode()).digest()


def private(namespace: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed(namespace))


def public(namespace: str) -> bytes:
    return private(namespace).public_key().public_bytes_raw()


def key(namespace: str, kid: str) -> dict:
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "d": b64(seed(namespace)), "x": b64(public(namespace))}


with open("claims.json", "rb") as file:
    PAYLOAD = file.read().rstrip(b"\n")

HEADER = {"alg": "EdDSA", "kid": KID, "typ": TYPE}


def compact(header, payload: bytes = PAYLOAD, namespace: str = "paga") -> str:
    """Signs by hand, whatever the header says."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    signed = b64(text) + "." + b64(payload)
    return signed + "." + b64(private(namespace).sign(signed.encode()))


def by_jwcrypto(header: dict) -> str:
    token = jws.JWS(PAYLOAD)
    token.add_signature(jwk.JWK(**key("paga", KID)), None, json.dumps(header, separators=(",", ":")), None)
    return token.serialize(compact=True)


def by_joserfc(header: dict) -> str:
    registry = joserfc_jws.JWSRegistry(algorithms=["EdDSA"])
    return joserfc_jws.serialize_compact(header, PAYLOAD, OKPKey.import_key(key("paga", KID)), registry=registry)


def hs256(secret: bytes) -> str:
    signed = b64(json.dumps(HEADER | {"alg": "HS256"}, separators=(",", ":")).encode()) + "." + b64(PAYLOAD)
    return signed + "." + b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def detached_b64() -> str:
    """RFC 7797: the payload is signed as it is."""
    head = b64(json.dumps(HEADER | {"b64": False, "crit": ["b64"]}, separators=(",", ":")).encode())
    return head + "." + b64(PAYLOAD) + "." + b64(private("paga").sign(head.encode() + b"." + PAYLOAD))


def changed(old: bytes, new: bytes) -> bytes:
    assert old in PAYLOAD, old
    return PAYLOAD.replace(old, new)


def agree(token: str, keys: dict) -> None:
    """Both libraries verify the certificate with the public keys."""
    kid = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]
    mine = next(k for k in keys["keys"] if k["kid"] == kid)
    other = jws.JWS()
    other.deserialize(token, jwk.JWK(**mine), alg="EdDSA")
    registry = joserfc_jws.JWSRegistry(algorithms=["EdDSA"])
    third = joserfc_jws.deserialize_compact(token, KeySet.import_key_set(keys), registry=registry)
    assert other.payload == third.payload
    print("jwcrypto and joserfc verify", json.loads(other.payload)["certificate_id"], file=sys.stderr)


def main() -> None:
    if len(sys.argv) == 3:
        with open(sys.argv[1], encoding="ascii") as a, open(sys.argv[2], encoding="utf-8") as b:
            agree(a.read().strip(), json.load(b))
    good = compact(HEADER)
    head, body, signature = good.split(".")
    vectors = [
        ("signed by jwcrypto", True, by_jwcrypto(HEADER)),
        ("signed by joserfc", True, by_joserfc(HEADER)),
        ("signed by cryptography", True, good),
        ("members of the header in another order", True, by_joserfc({"typ": TYPE, "kid": KID, "alg": "EdDSA"})),
        ("a claim of a later version", True, compact(HEADER, changed(b'"certificate_id"', b'"later":[1],"certificate_id"'))),
        ("alg none", False, compact(HEADER | {"alg": "none"})),
        ("alg none without signature", False, ".".join(compact(HEADER | {"alg": "none"}).split(".")[:2]) + "."),
        ("alg HS256 with the public key", False, hs256(public("paga"))),
        ("alg HS256 with the public key's text", False, hs256(b64(public("paga")).encode())),
        ("alg Ed25519, which is not what was agreed", False, compact(HEADER | {"alg": "Ed25519"})),
        ("alg eddsa", False, compact(HEADER | {"alg": "eddsa"})),
        ("no alg", False, compact({"kid": KID, "typ": TYPE})),
        ("alg is no text", False, compact(HEADER | {"alg": ["EdDSA"]})),
        ("another's kid", False, compact(HEADER | {"kid": "demonstration-eve"})),
        ("another's key", False, compact(HEADER, namespace="eve")),
        ("unknown kid", False, compact(HEADER | {"kid": "unknown"})),
        ("no kid", False, compact({"alg": "EdDSA", "typ": TYPE})),
        ("key in the header", False, compact(HEADER | {"jwk": {k: v for k, v in key("eve", KID).items() if k != "d"}}, namespace="eve")),
        ("key's address in the header", False, compact(HEADER | {"jku": "https://eve.example/keys"})),
        ("typ JWT", False, compact(HEADER | {"typ": "JWT"})),
        ("no typ", False, compact({"alg": "EdDSA", "kid": KID})),
        ("crit of what is unknown", False, compact(HEADER | {"crit": ["exp"], "exp": 1})),
        ("crit of nothing", False, compact(HEADER | {"crit": []})),
        ("b64 false", False, detached_b64()),
        ("b64 false, signed as if it were true", False, compact(HEADER | {"b64": False, "crit": ["b64"]})),
        ("alg twice", False, compact(b'{"alg":"none","alg":"EdDSA","kid":"demonstration-paga","typ":"payment-certificate+jws"}')),
        ("header is no object", False, compact(b'["EdDSA"]')),
        ("something behind the header", False, compact(json.dumps(HEADER).encode() + b"{}")),
        ("amount changed", False, head + "." + b64(changed(b"177.20", b"977.20")) + "." + signature),
        ("header changed", False, b64(json.dumps(HEADER).encode()) + "." + body + "." + signature),
        ("signature cut", False, head + "." + body + "." + signature[:-2]),
        ("signature of zeros", False, head + "." + body + "." + b64(bytes(64))),
        ("no signature", False, head + "." + body + "."),
        ("two parts", False, head + "." + body),
        ("four parts", False, good + ".x"),
        ("bytes behind", False, good + "\n"),
        ("space before", False, " " + good),
        ("padding", False, head + "=." + body + "." + signature),
        ("line end within", False, head + "." + body[:40] + "\n" + body[40:] + "." + signature),
        ("standard base64 of the signature", False, head + "." + body + "." + base64.b64encode(base64.urlsafe_b64decode(signature + "==")).decode()),
        ("another spelling of the signature's end", False, head + "." + body + "." + signature[:-1] + chr(ord(signature[-1]) + 1)),
        ("no claims", False, compact(HEADER, b"[]")),
        ("claims are empty", False, compact(HEADER, b"{}")),
        ("claims alone, no certificate", False, compact(HEADER, b'{"certificate_id":"c1"}')),
        ("a claim twice", False, compact(HEADER, changed(b'"amount"', b'"amount":"1.00","amount"'))),
        ("a claim in capitals", False, compact(HEADER, changed(b'"amount"', b'"Amount"'))),
        ("a claim is no text", False, compact(HEADER, changed(b'"17720"', b"17720"))),
        ("amount that contradicts its minor units", False, compact(HEADER, changed(b"177.20", b"977.20"))),
        ("amount with another number of digits", False, compact(HEADER, changed(b"177.20", b"177.2"))),
        ("minor units with a sign", False, compact(HEADER, changed(b'"17720"', b'"+17720"'))),
        ("unknown currency", False, compact(HEADER, changed(b"BRL", b"XXX"))),
        ("account of another bank", False, compact(HEADER, changed(b"PAGABRRJ/0002", b"AVALBRSP/0002"))),
        ("another buyer than the digest says", False, compact(HEADER, changed(b"maria", b"marta"))),
        ("another hold", False, compact(HEADER, PAYLOAD.replace(b'"hold_id":"', b'"hold_id":"0'))),
        ("no deadline that is a time", False, compact(HEADER, PAYLOAD[:-1] + b',"accept_by":"tomorrow"}')),
        ("payload is no UTF-8", False, compact(HEADER, changed(b"maria", b"mar\xffa"))),
        ("something behind the claims", False, compact(HEADER, PAYLOAD + b"{}")),
        ("too long", False, compact(HEADER, PAYLOAD[:-1] + b',"later":"' + b"x" * 300_000 + b'"}')[:400_000]),
    ]
    keys = [{k: v for k, v in key(n, "demonstration-" + n).items() if k != "d"} for n in ("paga", "eve")]
    for _, valid, token in vectors[:4]:
        assert valid
        agree(token, {"keys": keys})
    out = [{"name": n, "valid": v, "token": t} for n, v, t in vectors if len(t) < 100_000]
    json.dump({"keys": keys, "vectors": out}, sys.stdout, indent=1)
    print()


main()
