"""Which files hold secrets: by name, by whole format, and never by a string that a document quotes."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingestion_material import Write

from knowledge_core.ingestion.access.secret_files import LARGEST_KEY, secret_by_content, secret_by_name, secret_file
from knowledge_core.ingestion.readers import Unreadable, clean_text, read_file
from linear import grows_linearly

SECRET_NAMES = re.findall(
    r"\S+",
    """
.env .ENV .env.local .env.production .env.local.bak .env-staging .envrc prod.env .env. .env::$DATA .e\u200cnv \uff0eenv
id_rsa ID_RSA id_ed25519 id_ecdsa_sk id_rsa.bak id_rsa~ #id_rsa# etc/ssh/ssh_host_ed25519_key putty.ppk config/master.key
.ssh/config .SSH/known_hosts home/ann/.gnupg/trustdb .aws/config .azure/profile .config/gcloud/anything .password-store/bank.gpg
Library/Keychains/login share/keyrings/user Vault.agilekeychain/data .ssh:stream/x
.netrc _netrc .pgpass .my.cnf .npmrc .pypirc .git-credentials .cargo/credentials .cargo/credentials.toml .gem/credentials
.terraformrc credentials.tfrc.json .htpasswd .vault-token .m2/settings.xml .gradle/gradle.properties gh/hosts.yml rclone.conf
.docker/config.json .kube/config .kube/config.old kaggle.json
.composer/auth.json composer/auth.json .codex/auth.json containers/auth.json
filezilla/recentservers.xml etc/shadow
secrets.yml secrets.yaml secrets.json .streamlit/secrets.toml credentials.json client_secret_12-ab.apps.json
terraform.tfstate terraform.tfstate.backup prod.tfstate.1699999999.backup passwords.kdbx old.KDB safe.psafe3 export.1pux
debug.keystore server.jks cert.p12 cert.pfx krb5.keytab logins.json key4.db
.bash_history .zsh_history .psql_history .mysql_history .python_history ConsoleHost_history.txt
.history .histfile .irb_history .node_repl_history .mariadb_history .sqlite_history fish/fish_history
kubeconfig kubeconfig.yaml kubeconfig.yml prod-kubeconfig admin.kubeconfig .kubeconfig
kubeconfig-prod.yaml eu_west.kubeconfig.json
secrets.properties secrets.xml secrets.cfg secrets.ini secrets.conf secrets.prod.yml secrets-prod.yml secrets_eu.json
secrets.tfvars secrets.local.toml prod.secrets.yaml secret.yml secret-prod.json .secrets.toml secrets.yml.bak
credentials.properties credentials.conf credentials-dev.xml credentials.toml .credentials.json prod-credentials.csv
passwords.csv Chrome_Passwords.csv firefox-passwords.csv bitwarden_export_20260102.json lastpass_export.csv 1PasswordExport-1.csv
.env.sh .env.ps1 .env.prod~ .env-local.bak
""",
)
SECRET_NAMES += [
    "Login Data", ".env copy", ".env copy 2", ".env (1)", ".env - Copy", "secrets copy.yml", "secrets (copy).yml",
    "credentials (1).csv", "credentials - Copy (2).json", "Copy of credentials.json", "id_rsa copy", "secrets - Kopie.yml",
    "Microsoft Edge Passwords.csv", "id_rsa (another copy).bak", "kubeconfig (3).yaml",
]  # fmt: skip

NAMES_OF_DOCUMENTS = re.findall(
    r"\S+",
    """
.env.example .env.sample .env.template .env.local.example example.env environment.md env.md .environment
id_mapping.md id_rsa.pub .ssh/id_ed25519.pub id_rsa_explained.md keys.md server.pem tls/fullchain.pem server.key
secrets.md Secrets.pdf the-secrets-of-soil.txt credentials.md credentials-policy.md secretsmanager.py secret_sharing.py
config config.json settings.xml hosts.yml ansible/hosts.yml gradle.properties prod.tfvars main.tf database.yml settings.py
history.md browser_history.md known_hosts ssh/config aws/credentials.md netrc.txt passwords.md shadow.css keychains/guide.md
npmrc.md token.md tokenizer.json tokens.py kubeconfig.md a:b.md notes~ readme.md.bak
auth.json locales/en/auth.json src/auth.json .env.md .env.example.md .env.txt .env_explained.md .env.d.ts .env-setup.rst .env.py
.env.md.bak .env.example.bak .env.html .env.pdf .medical-history .natural_history family_history.md
secrets.example.yml secrets.sample.properties credentials.template.json credentials-policy.xml secrets_schema.json
secret_garden.xml secret-garden.json secrets.prod.md credentials-dev.pdf secrets-of-soil.md credentials.py secrets.ts
kubeconfig.example.yaml kubeconfig-guide.md kubeconfig_test.go mykubeconfigs.yaml create_kubeconfig.sh
passwords.txt forgotten-passwords.csv password.csv bitwarden-export-guide.xml bitwarden_export.md lastpass.csv export.csv
kube/config containers/config.json composer/composer.json
""",
)
NAMES_OF_DOCUMENTS += [
    "credentials copy.md",
    "the secrets (1).yml",
    "id_rsa explained.md",
    "Copy of notes.md",
    "copy",
    "(1)",
    ".env copy.md",
    "secrets of soil.xml",
    "a history.txt",
]
FOLDERS = re.findall(r"\S+", """
credentials .credentials kubeconfig etc/shadow book.kdb Project.env secrets.yml composer/auth.json
master.key id_rsa .env prod.keystore
secrets.json .netrc huggingface/token
""")  # fmt: skip


def test_names_that_say_secret_and_names_that_do_not() -> None:
    said = {name: secret_by_name(("notes", *name.split("/"))) for name in (*SECRET_NAMES, *NAMES_OF_DOCUMENTS)}
    assert [name for name in SECRET_NAMES if not said[name]] == []
    assert [name for name in NAMES_OF_DOCUMENTS if said[name]] == []
    assert len(SECRET_NAMES) + len(NAMES_OF_DOCUMENTS) > 245


@pytest.mark.parametrize("name", FOLDERS)
def test_the_name_of_a_secret_file_says_nothing_about_a_folder(name: str) -> None:
    parts = ("notes", *name.split("/"))
    assert secret_by_name(parts)
    assert secret_by_name(parts, folder=True) is None
    assert secret_by_name((*parts, "guide.md")) is None


@pytest.mark.parametrize("name", [".ssh", ".aws", ".gnupg", "Library/Keychains", "Vault.opvault", ".ssh/old.pub"])
def test_a_folder_all_of_whose_files_are_secret_is_told_by_its_name(name: str) -> None:
    assert secret_by_name(("notes", *name.split("/")), folder=True)


def body(lines: int) -> str:
    """Lines of base64, as a key has them."""
    data = base64.b64encode(bytes((7 * n) % 256 for n in range(48 * lines))).decode()
    return "\n".join(data[at : at + 64] for at in range(0, len(data), 64))


def block(label: str, inner: str | None = None) -> str:
    return f"-----BEGIN {label}-----\n{body(3) if inner is None else inner}\n-----END {label}-----\n"


TOKEN = "1//09aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
CIPHER = {"cipher": "aes-128-ctr", "ciphertext": "5f" * 32, "kdf": "scrypt", "kdfparams": {"n": 1}, "mac": "1f"}
EXPONENT = "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH"
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
    "jwk": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "a", "d": EXPONENT}),
    "jwks": json.dumps({"keys": [{"kty": "RSA", "n": "a"}, {"kty": "oct", "k": EXPONENT, "kid": "of 2026"}]}),
    "list of jwk": json.dumps([{"kty": "EC", "crv": "P-256", "d": EXPONENT}]),
    "service account": json.dumps({"type": "service_account", "private_key": block("PRIVATE KEY")}, indent=1),
    "authorized user": json.dumps({"type": "authorized_user", "client_secret": SECRET, "refresh_token": TOKEN}),
    "application": json.dumps({"installed": {"client_id": "a", "client_secret": "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"}}),
    "wallet": json.dumps({"address": "1f", "crypto": CIPHER, "version": 3}),
    "wallet of a validator": json.dumps({"crypto": {"kdf": {"function": "scrypt"}, "checksum": {}, "cipher":
    {"function": "aes-128-ctr", "message": "5f" * 32}}, "description": "", "pubkey": "9a", "path": "m/0", "version": 4}),
    "aws": "# mine\n[default]\naws_access_key_id = AKIA\naws_secret_access_key = "
    f"{SECRET}\nregion=eu-west-1\n",
    "aws in the environment": f"export AWS_ACCESS_KEY_ID=AKIA\nexport AWS_SECRET_ACCESS_KEY='{SECRET}'\nAWS_REGION=eu\n",
    "aws in powershell": f'$env:AWS_ACCESS_KEY_ID = "AKIA"\n$env:AWS_SECRET_ACCESS_KEY = "{SECRET}"\n',
    "aws with more settings": f"[default]\naws_secret_access_key={SECRET}\nendpoint_url = http://localhost:4566\n"
    "ca_bundle = /etc/ca.pem\ncredential_process = /opt/bin/login --user ann\ns3 =\n  max_concurrent_requests = 20\n"
    "services = mine\n\n[services mine]\ndynamodb =\n  endpoint_url = http://localhost:8000\n",
    "aws table": f"User name,Access key ID,Secret access key\nann,AKIA,{SECRET}\n",
    "wireguard": f"[Interface]\nPrivateKey = {'a' * 43}=\nAddress = 10.0.0.1/24\n\n[Peer]\nAllowedIPs = 0.0.0.0/0\n",
    "below a comment": "# my key\n" + block("OPENSSH PRIVATE KEY"),
    "below what gpg said": "gpg: writing key\n" + block("PGP PRIVATE KEY BLOCK", f"\n{body(3)}\n=aB3d"),
    "below what openssl said": "writing RSA key\n" + block("RSA PRIVATE KEY") + "# of the old server\n",
    "many, each with a comment": "".join(f"# of host {n}\n" + block("RSA PRIVATE KEY") for n in range(9)),
    "of Ed25519": block("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"),
    "in one line": block("PRIVATE KEY", body(3).replace("\n", "")),
    "with old line ends": block("RSA PRIVATE KEY").replace("\n", "\r"),
    "age with a comment": f"# the key of the backups\n{AGE}\n",
    "chrome": "name,url,username,password,note\nmail,https://a.example/,ann,marmalade,\n",
    "firefox": '"url","username","password","httpRealm"\n"https://a.example","ann","a,b ""c""",\n',
    "1password": 'Title,Url,Username,Password,OTPAuth,Notes\nmail,https://a.example,ann,x,,"two\nlines"\n',
    "lastpass": "url,username,password,totp,extra,name,grouping,fav\nhttps://a.example,ann,x,,,mail,,0\n",
    "bitwarden": "folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp\n"
    ",,login,mail,,,0,https://a.example,ann,x,\n",
    "bitwarden as JSON": json.dumps({"encrypted": False, "folders": [], "items": [{"type": 2}, {"login": {"password": "x"}}]}),
    "keepass": '<?xml version="1.0" encoding="utf-8"?>\n<KeePassFile>\n<Root/>\n</KeePassFile>\n',
    "docker": json.dumps({"auths": {"a.example": {"auth": "YW5uOm1hcm1hbGFkZQ=="}}, "credsStore": ""}),
    "composer": json.dumps({"http-basic": {"a.example": {"username": "ann", "password": "x"}}, "gitlab-domains": ["a"]}),
    "gh": "github.com:\n    user: ann\n    oauth_token: gho_16C7e42F292c6912E7710c8381\n    git_protocol: ssh\n",
    "hub": "github.com:\n- user: ann\n  oauth_token: 16C7e42F292c6912E7710c8381\n  protocol: https\n",
    "netrc": "machine a.example\n  login ann\n  password marmalade\ndefault login anonymous password x\n",
    "netrc in one line": "# mine\nmachine a.example login ann password marmalade\n",
    "terraform": json.dumps({"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "1f", "outputs": {},
    "resources": [{"mode": "managed"}], "check_results": None}),
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
    "docker without logins": json.dumps({"auths": {"a.example": {}}, "credsStore": "desktop"}),
    "terraform without resources": json.dumps(
        {"version": 4, "terraform_version": "1.9.0", "lineage": "1f", "resources": []}
    ),
    "bitwarden's encrypted": json.dumps({"encrypted": True, "data": "2.abc"}),
    "gh without tokens": "github.com:\n    user: ann\n    git_protocol: ssh\n",
}
LONG = "It is asked for at the first start, and whoever reads it can read every letter. " * 40
ABOUT = {"title": "On keys", "body": LONG}
DOCUMENTS = {
    "jwk beside prose": [ABOUT, {"kty": "RSA", "d": "the private exponent"}],
    "real jwk beside prose": [ABOUT, {"kty": "RSA", "d": EXPONENT}],
    "jwk with prose in it": {**ABOUT, "kty": "RSA", "d": EXPONENT},
    "jwk explained": {"kty": "RSA", "d": "the private exponent"},
    "jwks with more": {"keys": [{"kty": "RSA", "d": EXPONENT}], **ABOUT},
    "wallet explained": {**ABOUT, "crypto": {"kdf": "scrypt, because it costs memory", "cipher": "AES-GCM"}},
    "wallet in prose": {**ABOUT, "crypto": CIPHER},
    "wallet's fields": {"crypto": {"kdf": "scrypt", "cipher": "aes-128-ctr", "ciphertext": "what was encrypted"}},
    "tokens explained": {**ABOUT, "client_secret": "what only the server knows", "refresh_token": "what lasts"},
    "tokens explained without a title": {"client_secret": "what only the server knows", "refresh_token": "what lasts"},
    "tokens in prose": {**ABOUT, "client_secret": SECRET, "refresh_token": TOKEN},
    "service account of a manual": {"type": "service_account", "private_key": "..."},
    "service account in prose": {**ABOUT, "type": "service_account", "private_key": block("PRIVATE KEY")},
    "service account with a placeholder": {
        "type": "service_account",
        "private_key": block("PRIVATE KEY", "YOURKEYHERE"),
    },
    "application of a manual": {
        "installed": {"client_id": "YOUR_CLIENT_ID", "client_secret": "YOUR_CLIENT_SECRET_GOES_HERE"}
    },
    "application explained": {"web": {"client_id": "names the application", "client_secret": "proves it, and is kept"}},
    "application in prose": {"web": {**ABOUT, "client_id": "a", "client_secret": SECRET}},
    "docker explained": {"auths": {"a.example": {"auth": "name and password in base64"}}},
    "docker in prose": {**ABOUT, "auths": {"a.example": {"auth": "YW5uOm1hcm1hbGFkZQ=="}}},
    "composer's help": {"http-basic": {}, "github-oauth": {}},
    "composer in prose": {**ABOUT, "http-basic": {"a.example": {"username": "ann", "password": "x"}}},
    "terraform explained": {**ABOUT, "terraform_version": "1.9.0", "lineage": "1f", "resources": [LONG]},
    "bitwarden in prose": {**ABOUT, "encrypted": False, "items": [{"login": {"password": "x"}}]},
    "aws explained": f"aws_secret_access_key = explained: {LONG}",
    "aws placeholder": "[default]\naws_secret_access_key = <yours>\n",
    "aws with prose": f"aws_secret_access_key = {SECRET}\nregion = {LONG}",
    "aws beside other settings": f"aws_secret_access_key = {SECRET}\ntitle = On keys\n",
    "aws table explained": "Access key ID,Secret access key\nthe name,what only you know\n",
    "a word for a body": block("RSA PRIVATE KEY", "notmyrealkey"),
    "long word for a body": block("RSA PRIVATE KEY", "notmyrealkey" * 5),
    "capitals for a body": block("RSA PRIVATE KEY", "YOURPRIVATEKEYGOESHERE" * 3),
    "a poem for a body": block(
        "PRIVATE KEY", "Roses are red violets are blue Sugar is sweet and so are you 2".replace(" ", "\n")
    ),
    "a key below an explanation": "# One\n# Two\n# Three\n# Four\n" + block("PRIVATE KEY"),
    "a key below a long heading": f"# {LONG}\n{block('PRIVATE KEY')}",
    "age below an explanation": "# One\n# Two\n# Three\n# Four\n" + AGE,
    "table about logins": "url,username,password\n" + LONG,
    "empty table of logins": "url,username,password\n",
    "table without passwords": "name,url,username,password\nmail,https://a.example,ann,\n",
    "table of users": "username,password_changed,url\nann,2026-01-02,https://a.example\n",
    "keepass explained": f"<KeePassFile> is the outermost element. {LONG}",
    "keepass in a page": "<html><body><KeePassFile></KeePassFile></body></html>",
    "gh explained": f"github.com:\n    oauth_token: {LONG}\n",
    "workflow": f"name: build\noauth_token: {'a' * 40}\njobs:\n",
    "putty explained": "PuTTY-User-Key-File-3: the version\nEncryption: the cipher\nPrivate-Lines: how many follow\n",
    "putty with a word": "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: 1\nwords\n",
    "age's placeholder": "AGE-SECRET-KEY-1XXXXXXXXXXXXXXX\n",
    "wireguard explained": "[Interface]\nPrivateKey = the key that only this machine knows of us\n",
    "wireguard with prose": f"PrivateKey = {'a' * 43}=\nAddress = {LONG}\n",
    "aws below prose": "".join(f"# {LONG[:80]}\n" for _ in range(30)) + f"aws_secret_access_key = {SECRET}\n",
    "aws below a paragraph": f"# {LONG}\naws_secret_access_key = {SECRET}\n",
    "aws of a manual": "[default]\naws_secret_access_key = YOUR_SECRET_ACCESS_KEY\n",
    "aws with nested prose": f"aws_secret_access_key = {SECRET}\ns3 =\n  note = {LONG}\n",
    "netrc below a paragraph": f"# {LONG}\nmachine a.example login ann password x\n",
    "a header of prose": block("RSA PRIVATE KEY", f"Comment: {LONG}\n\n{body(3)}"),
    "a subject of prose": f"subject={LONG}\n{block('RSA PRIVATE KEY')}",
    "machines": "machine learning login page password reset account recovery",
    "netrc explained": f"machine a.example login ann password marmalade\n{LONG}",
    "netrc heading": f"# machine\n\n{LONG}",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_file_that_is_a_key_or_credentials_is_told_by_its_format_whatever_its_name(kind: str, write: Write) -> None:
    path = write("holiday notes.txt", KEYS[kind])
    assert secret_file(path, 10**6)
    with pytest.raises(Unreadable, match="kcore index FILE") as refused:
        read_file(path, document_id="notes/holiday notes.txt", limit=10**6)
    assert refused.value.reason == "secret"
    assert read_file(path, document_id="x", limit=10**6, secrets=True).text == clean_text(KEYS[kind])


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_may_be_public_is_read(kind: str, write: Write) -> None:
    path = write("server.pem", PUBLIC[kind])
    assert secret_file(path, 10**6) is None
    assert read_file(path, document_id="x", limit=10**6).text.strip()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_on_a_format_and_a_placeholder_in_it_are_read(kind: str, write: Write) -> None:
    found = DOCUMENTS[kind]
    path = write("about.txt", found if isinstance(found, str) else json.dumps(found))
    assert secret_file(path, 10**6) is None
    assert read_file(path, document_id="x", limit=10**6).text.strip()


@pytest.mark.parametrize("ends", [1, 2])
def test_a_key_that_is_padded_with_nuls_is_no_text_in_another_encoding(ends: int, write: Write) -> None:
    path = write("old.pem", block("PRIVATE KEY").encode() + bytes(ends))
    assert secret_file(path, 10**6)
    with pytest.raises(Unreadable):
        read_file(path, document_id="x", limit=10**6)


def test_a_file_is_judged_by_its_content_up_to_the_size_that_is_read(write: Write) -> None:
    path = write("keys.txt", block("OPENSSH PRIVATE KEY") * 300)
    size = path.stat().st_size
    assert size > LARGEST_KEY
    assert [secret_file(path, limit) for limit in (size, size - 1)] == ["a private key", None]


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
    "url,username,password\n", 'url,username,password\n"', "machine a.b password c ", "# machine\n", "a:\n", "oauth_token: a\n",
    "AWS_SECRET_ACCESS_KEY=\n a = b\n", "<KeePassFile ", '{"auths":{', '{"client_secret":"aaaaaaaaaaaaaaaaaaaa',
    "gpg: PRIVATE KEY\n",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_KEYS)
def test_a_text_is_judged_in_time_that_grows_with_it(text: str) -> None:
    grows_linearly(lambda size: secret_by_content(text * (size // len(text))), 4_000)
