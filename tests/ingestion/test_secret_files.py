"""Which files hold secrets: by name, by whole format, and never by a string that a document quotes."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingestion_material import Write

from knowledge_core.ingestion.access.secret_files import secret_by_content, secret_by_name, secret_file
from knowledge_core.ingestion.readers import Unreadable, clean_text, read_file
from linear import grows_linearly

SECRET_NAMES = re.findall(r"\S+", """
.env .ENV .env.local .env.production .env.local.bak .env-staging .envrc prod.env .env. .env::$DATA .e\u200cnv \uff0eenv
id_rsa ID_RSA id_ed25519 id_ecdsa_sk id_rsa.bak id_rsa~ #id_rsa# etc/ssh/ssh_host_ed25519_key putty.ppk config/master.key
.ssh/config .SSH/known_hosts home/ann/.gnupg/trustdb .aws/config .azure/profile .config/gcloud/anything .password-store/bank.gpg
Library/Keychains/login share/keyrings/user Vault.agilekeychain/data .ssh:stream/x
.netrc _netrc .pgpass .my.cnf .npmrc .pypirc .git-credentials .cargo/credentials .cargo/credentials.toml .gem/credentials
.terraformrc credentials.tfrc.json .htpasswd .vault-token .m2/settings.xml .gradle/gradle.properties gh/hosts.yml rclone.conf
.docker/config.json .kube/config .kube/config.old kaggle.json auth.json filezilla/recentservers.xml etc/shadow
secrets.yml secrets.yaml secrets.json .streamlit/secrets.toml credentials.json client_secret_12-ab.apps.json
terraform.tfstate terraform.tfstate.backup prod.tfstate.1699999999.backup passwords.kdbx old.KDB safe.psafe3 export.1pux
debug.keystore server.jks cert.p12 cert.pfx krb5.keytab Login_Data logins.json key4.db
.bash_history .zsh_history .psql_history .mysql_history .python_history ConsoleHost_history.txt
""")  # fmt: skip

NAMES_OF_DOCUMENTS = re.findall(r"\S+", """
.env.example .env.sample .env.template .env.local.example example.env environment.md env.md .environment
id_mapping.md id_rsa.pub .ssh/id_ed25519.pub id_rsa_explained.md keys.md server.pem tls/fullchain.pem server.key
secrets.md Secrets.pdf the-secrets-of-soil.txt credentials.md credentials-policy.md secretsmanager.py secret_sharing.py
config config.json settings.xml hosts.yml ansible/hosts.yml gradle.properties prod.tfvars main.tf database.yml settings.py
history.md browser_history.md known_hosts ssh/config aws/credentials.md netrc.txt passwords.md shadow.css keychains/guide.md
npmrc.md token.md tokenizer.json tokens.py kubeconfig.md a:b.md notes~ readme.md.bak
""")  # fmt: skip


def test_names_that_say_secret_and_names_that_do_not() -> None:
    said = {name: secret_by_name(("notes", *name.split("/"))) for name in (*SECRET_NAMES, *NAMES_OF_DOCUMENTS)}
    said["Login_Data"] = secret_by_name(["Login Data"])
    assert [name for name in SECRET_NAMES if not said[name]] == []
    assert [name for name in NAMES_OF_DOCUMENTS if said[name]] == []
    assert len(SECRET_NAMES) + len(NAMES_OF_DOCUMENTS) > 120


def body(lines: int) -> str:
    """Lines of base64, as a key has them."""
    data = base64.b64encode(bytes((7 * n) % 256 for n in range(48 * lines))).decode()
    return "\n".join(data[at : at + 64] for at in range(0, len(data), 64))


def block(label: str, inner: str | None = None) -> str:
    return f"-----BEGIN {label}-----\n{body(3) if inner is None else inner}\n-----END {label}-----\n"


AGE = "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0" * 3 + "S3JN54KHCE"
KEYS = {
    "openssh": block("OPENSSH PRIVATE KEY"),
    "pkcs1": block("RSA PRIVATE KEY"),
    "encrypted": block("RSA PRIVATE KEY", f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,1F2E\n\n{body(2)}"),
    "pkcs8": "\ufeff\n\n" + block("ENCRYPTED PRIVATE KEY").replace("\n", "\r\n"),
    "with its parameters": block("EC PARAMETERS", body(1)) + block("EC PRIVATE KEY"),
    "after its certificate": block("CERTIFICATE") + "\n" + block("PRIVATE KEY"),
    "openssl's bag": "Bag Attributes\n    friendlyName: mail\n    localKeyID: 1F 2E\nKey Attributes: <No Attributes>\n"
    + block("PRIVATE KEY") + "Bag Attributes\nsubject=CN = x\nissuer=CN = x\n" + block("CERTIFICATE"),
    "cut off": block("PRIVATE KEY").partition("-----END")[0],
    "openpgp": block("PGP PRIVATE KEY BLOCK", f"Comment: mine\n\n{body(3)}\n=aB3d"),
    "ssh2": f"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"a long \\\ncomment\"\n{body(3)}\n"
    "---- END SSH2 ENCRYPTED PRIVATE KEY ----\n",
    "putty": f"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: mine\nPublic-Lines: 2\n{body(2)}\n"
    f"Private-Lines: 2\n{body(2)}\nPrivate-MAC: 1f2e\n",
    "age": f"# created: 2026-01-02T03:04:05Z\n# public key: age1xyz\n{AGE}\n",
    "minisign": "untrusted comment: minisign encrypted secret key\n" + base64.b64encode(b"EdScB2" + bytes(152)).decode(),
    "signify": "untrusted comment: signify secret key\n" + base64.b64encode(b"EdBK" + bytes(100)).decode(),
    "jwk": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "a", "d": "b"}),
    "jwks": json.dumps({"keys": [{"kty": "RSA", "n": "a"}, {"kty": "oct", "k": "b"}]}),
    "service account": json.dumps({"type": "service_account", "private_key": block("PRIVATE KEY")}, indent=1),
    "authorized user": json.dumps({"type": "authorized_user", "client_secret": "a", "refresh_token": "b"}),
    "application": json.dumps({"installed": {"client_id": "a", "client_secret": "b"}}),
    "wallet": json.dumps({"address": "1f", "crypto": {"cipher": "aes-128-ctr", "kdf": "scrypt"}, "version": 3}),
    "aws": "# mine\n[default]\naws_access_key_id = AKIA\naws_secret_access_key = abc\nregion=eu-west-1\n",
    "aws table": "User name,Access key ID,Secret access key\nann,AKIA,abc\n",
    "wireguard": f"[Interface]\nPrivateKey = {'a' * 43}=\nAddress = 10.0.0.1/24\n\n[Peer]\nAllowedIPs = 0.0.0.0/0\n",
}  # fmt: skip
PUBLIC = {
    "certificates": block("CERTIFICATE") * 2,
    "public key": block("PUBLIC KEY"),
    "openpgp": block("PGP PUBLIC KEY BLOCK"),
    "ssh": f"ssh-ed25519 {body(1)} ann@host",
    "minisign": "untrusted comment: minisign public key\n" + base64.b64encode(b"Ed" + bytes(40)).decode(),
    "age": "age1qpzry9x8gf2tvdw0",
    "jwks": json.dumps({"keys": [{"kty": "RSA", "n": "a", "e": "AQAB"}]}),
    "aws settings": "[default]\nregion = eu-west-1\noutput = json\n",
    "placeholder": block("PRIVATE KEY", "MIIEvQIBADANBgkqhkiG9w0B..."),
    "no body": block("PRIVATE KEY", ""),
    "wireguard's peer": "[Peer]\nPublicKey = abc\n",
    "request": block("CERTIFICATE REQUEST"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_file_that_is_a_key_or_credentials_is_told_by_its_format_whatever_its_name(kind: str, write: Write) -> None:
    path = write("holiday notes.txt", KEYS[kind])
    assert secret_file(path)
    with pytest.raises(Unreadable, match="kcore index FILE") as refused:
        read_file(path, document_id="notes/holiday notes.txt", limit=10**6)
    assert refused.value.reason == "secret"
    assert read_file(path, document_id="x", limit=10**6, secrets=True).text == clean_text(KEYS[kind])


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_may_be_public_is_read(kind: str, write: Write) -> None:
    path = write("server.pem", PUBLIC[kind])
    assert secret_file(path) is None
    assert read_file(path, document_id="x", limit=10**6).text.strip()


PROSE = st.lists(st.sampled_from(["# Keys", "Then restart the server:", "| a | b |", "See below."]), max_size=3).map(
    lambda more: "\n\n".join(["Never commit a key like this one.", *more])
)


@given(st.sampled_from(sorted(KEYS)), PROSE, st.sampled_from(["", "```\n", "    ", "> "]), st.booleans())
def test_prose_that_quotes_a_key_is_kept(kind: str, prose: str, fence: str, before: bool) -> None:
    quoted = "".join(f"{fence.strip(chr(10))}{line}\n" for line in clean_text(KEYS[kind]).split("\n"))
    quoted = f"```\n{clean_text(KEYS[kind])}\n```" if fence == "```\n" else quoted
    assert secret_by_content(f"{prose}\n\n{quoted}" if before else f"{quoted}\n\n{prose}") is None


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_in_a_field_of_other_data_or_in_code_is_kept(kind: str) -> None:
    text = clean_text(KEYS[kind])
    assert secret_by_content(json.dumps({"question": "What is this?", "answer": text})) is None
    assert secret_by_content(f'EXAMPLE = """\\\n{text}"""\n') is None


HOSTILE_KEYS = [
    "-----BEGIN PRIVATE KEY-----\n", "aws_secret_access_key=a\n", "PrivateKey = a\n", "AGE-SECRET-KEY-1", "# AGE-\n",
    "untrusted comment:", "PuTTY-User-Key-File-: a\n", "    1.2.3.4.5:PRIVATE KEY\n", '"kty"', '{"kty":[', "ecret access key,",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_KEYS)
def test_a_text_is_judged_in_time_that_grows_with_it(text: str) -> None:
    grows_linearly(lambda size: secret_by_content(text * (size // len(text))), 4_000)
