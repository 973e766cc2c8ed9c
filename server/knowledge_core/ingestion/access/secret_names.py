"""Which files hold secrets by their name and place: tables, and the function that reads them. Opens no file.

Names are compared without case, in Unicode's compatibility form, and as the strangest file system would open them:
Windows drops dots and spaces at a name's end and takes what follows a colon for the name of a stream, HFS+ passes over
invisible characters, and editors leave copies whose names have an end of their own.

The tables are our own. What belongs in them was compared with the names in gitrob's signatures, in the collection
Plazmaz/leaky-repo and in GitHub's templates of .gitignore, with gitleaks' rules on files, and with the manuals of the
programs named.

Left in on purpose, because most files of these names hold no secret: `*.tfvars`, `database.yml`, `wp-config.php`,
`settings.py`, `hosts.yml` outside of `gh/`, `auth.json` outside of the folders of programs, `gradle.properties` outside of
`.gradle/`, `*.pub`, certificates. `secrets.*` and `credentials.*` are left out in formats of settings alone: `secrets.md`
is a document, while a table of translations that is called `secrets.json` is rare enough for a person to name it. The
names of files say nothing about folders: `credentials/` may hold a guide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from knowledge_core.ingestion import formats
from knowledge_core.ingestion.content import BY_SUFFIX
from knowledge_core.ingestion.formats import word_set

_VARIABLES = "a file of environment variables"
_KEY = "a private key"
_CREDENTIALS = "a file of credentials"
_PASSWORDS = "a store of passwords"
_KEY_STORE = "a key store"
_EXPORT = "an export of passwords"
_HISTORY = "the history of a shell"
_STATE = "a state of Terraform, which holds secrets in plain text"

# Folders all of whose files are secret. Of two names, the first is the folder above.
_FOLDERS = {
    ".ssh": "part of a folder of SSH keys",
    ".gnupg": "part of a folder of GnuPG keys",
    "private-keys-v1.d": "part of a folder of GnuPG keys",
    ".aws": "part of a folder of AWS credentials",
    ".azure": "part of a folder of Azure credentials",
    ".config/gcloud": "part of a folder of Google Cloud credentials",
    "roaming/gcloud": "part of a folder of Google Cloud credentials",
    ".config/op": "part of a folder of 1Password",
    ".password-store": "part of a store of passwords",
    "library/keychains": "part of a folder of key chains",
    "share/keyrings": "part of a folder of key rings",
}
_FOLDER_ENDS = {".agilekeychain": "part of a store of passwords", ".opvault": "part of a store of passwords"}

# Names of files; where a name says too little by itself, with the folder above.
_FILES = {
    _VARIABLES: ".env .envrc .flaskenv",
    _KEY: "id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk id_xmss ssh_host_rsa_key ssh_host_dsa_key "
    "ssh_host_ecdsa_key ssh_host_ed25519_key secring.gpg master.key otr.private_key wallet.dat",
    _PASSWORDS: "etc/shadow etc/shadow- etc/gshadow etc/gshadow- .htpasswd htpasswd proftpdpasswd .authinfo .authinfo.gpg "
    "logins.json key3.db key4.db signons.sqlite cookies.sqlite",
    _CREDENTIALS: "credentials .credentials rootkey.csv "
    # logins of network and database clients
    ".netrc _netrc .pgpass pgpass.conf .my.cnf .mylogin.cnf .msmtprc .fetchmailrc .esmtprc .smbcredentials .ftpconfig "
    "sftp-config.json .remote-sync.json .vscode/sftp.json filezilla/recentservers.xml filezilla/sitemanager.xml "
    ".filezilla/recentservers.xml .filezilla/sitemanager.xml .git-credentials .gitcookies gh/hosts.yml .config/hub "
    # package managers
    ".npmrc .pypirc .cargo/credentials.toml .gem/credentials .m2/settings.xml .m2/settings-security.xml "
    ".gradle/gradle.properties .composer/auth.json composer/auth.json .codex/auth.json containers/auth.json "
    "opencode/auth.json .dockercfg .docker/config.json huggingface/token .huggingface/token kaggle.json "
    # clouds and their tools
    ".kube/config kubeconfig .terraformrc terraform.rc credentials.tfrc.json .vault-token .vault_pass .vault_pass.txt "
    "rclone.conf .s3cfg .boto .passwd-s3fs application_default_credentials.json credentials.db access_tokens.db "
    ".databrickscfg .snowsql/config .dbt/profiles.yml .aliyun/config.json .oci/config .fly/config.yml doctl/config.yaml "
    ".tugboat .erlang.cookie .xauthority .iceauthority",
    _HISTORY: "consolehost_history.txt fish_history .history .histfile .sh_history .bash_history .zsh_history .zhistory "
    ".ksh_history .ash_history .csh_history .tcsh_history .psql_history .mysql_history .mariadb_history .sqlite_history "
    ".rediscli_history .cqlsh_history cqlsh_history .python_history .ipython_history .node_repl_history .irb_history "
    ".irb-history .pry_history .php_history .rhistory .julia_history .scala_history .octave_hist .dbshell .usql_history "
    ".duckdb_history .influx_history .gdb_history .lesshst",
}
_BY_NAME = {name: what for what, names in _FILES.items() for name in names.split()}
_BY_NAME |= dict.fromkeys(("login data", "login data for account", "web data"), _PASSWORDS)  # of Chromium's browsers
_BY_END = {
    ".ppk": _KEY, ".p12": _KEY_STORE, ".pfx": _KEY_STORE, ".pkcs12": _KEY_STORE, ".jks": _KEY_STORE, ".jceks": _KEY_STORE,
    ".keystore": _KEY_STORE, ".bks": _KEY_STORE, ".keytab": _KEY_STORE, ".kdbx": _PASSWORDS, ".kdb": _PASSWORDS,
    ".psafe3": _PASSWORDS, ".1pux": _PASSWORDS, ".1pif": _PASSWORDS, ".keychain": _PASSWORDS, ".keychain-db": _PASSWORDS,
    ".kwallet": _PASSWORDS, ".kwl": _PASSWORDS, ".tfstate": _STATE, ".env": _VARIABLES,
}  # fmt: skip
_SETTINGS = r"\.(?:ya?ml|json[c5]?|toml|ini|cfg|conf|config|properties|xml|csv|tfvars)"
_STAGES = (
    "(?:prod|production|dev|development|devel|stage|staging|test|testing|qa|uat|int|integration|preprod|live|local|ci|"
    "sandbox|demo|shared|common|user|enc)"
)
_BY_PATTERN = (
    (re.compile(r"\.env[._-].+"), _VARIABLES),
    (re.compile(rf"\.?(?:{_STAGES}[._-])?(?:secrets|credentials)(?:[._-]\w+)?{_SETTINGS}"), _CREDENTIALS),
    (re.compile(rf"\.?secret(?:[._-]{_STAGES})?{_SETTINGS}"), _CREDENTIALS),  # `secret_garden.xml` is a book
    (re.compile(r"client_secret[\w.-]*\.json"), _CREDENTIALS),
    (re.compile(r"(?:[\w.-]*[._-])?kubeconfig(?:(?:[._-]\w+)?\.(?:ya?ml|json|conf|config))?"), _CREDENTIALS),
    (
        re.compile(
            r"(?:(?:chrome|google|firefox|(?:microsoft )?edge|safari|brave|opera|vivaldi)[ _-])?passwords\.csv|"
            r"(?:1password|bitwarden|lastpass|dashlane|keepass|enpass|proton ?pass)[\w .-]*export[\w .-]*\.(?:csv|json|xml)"
        ),
        _EXPORT,
    ),
    (re.compile(r"[\w-]+\.tfstate\.\d+"), _STATE),
)
_ANY_PATTERN = re.compile("|".join(pattern.pattern for pattern, _ in _BY_PATTERN))
_TEMPLATES = word_set(
    "example examples sample template tmpl dist default defaults schema"
)  # they show names, not values
_ABOUT = word_set(
    "policy policies guide guides docs doc readme help faq notes explained reference"
)  # words on the subject
_COPIES = ("~", ".bak", ".backup", ".old", ".orig", ".save", ".copy")
_COPY = re.compile(
    r"(?: - cop(?:y|ie)| - kopie| cop(?:y|ie)| kopie| \((?:\d{1,3}|(?:\w{1,20} )?copy)\))(?: \d{1,3})?(?=\.[^.]*$|$)"
)
# A file of variables has none of these; scripts of a shell set variables.
_DOCUMENTS = frozenset(
    {suffix for suffix in formats.READ if BY_SUFFIX[suffix].name not in ("csv", "json", "xml")}
    | {*formats.PROSE}
    | {end for end, language in formats.LANGUAGE_OF_SUFFIX.items() if language not in ("bash", "powershell", "batch")}
)
_WORDS = re.compile(r"[ ._-]+")


def secret_by_name(parts: Sequence[str], *, folder: bool = False) -> str | None:
    """Return what a file or folder of this path looks like, as the end of "it looks like ..."; None where it may be read.

    parts: the names in the path, outermost first. Of the folders that were judged already, the nearest is enough.
    folder: it is a folder, to which the names of files do not apply.

    >>> secret_by_name(["notes", ".ENV.local"])
    'a file of environment variables'
    >>> secret_by_name([".env.example"]), secret_by_name(["id_mapping.md"])
    (None, None)
    """
    names = [_plain(part) for part in parts]
    if not names or (names[-1].endswith(".pub") and not folder):  # a public key may be shown, wherever it lies
        return None
    above = ""
    for name in names:
        bare = _before_stream(name) if ":" in name else name
        if what := _FOLDERS.get(bare) or _FOLDERS.get(f"{above}/{bare}") or _FOLDER_ENDS.get(_end(bare)):
            return what
        above, between = bare, above
    return None if folder else _file(names[-1], between)


def _file(name: str, above: str) -> str | None:
    forms = [name, _before_stream(name)] if ":" in name else [name]
    forms += [original for form in forms if (original := _original(form)) != form]
    for form in forms:
        if what := _BY_NAME.get(form) or _BY_NAME.get(f"{above}/{form}") or _by_form(form):
            return what
    return None


def _by_form(name: str) -> str | None:
    what = _BY_END.get(_end(name))
    if what is None and _ANY_PATTERN.fullmatch(name):
        what = next((what for pattern, what in _BY_PATTERN if pattern.fullmatch(name)), None)
    if what is _VARIABLES:
        original = _original(name)
        last = _WORDS.split(original.removesuffix(".env"))[-1]
        return None if last in _TEMPLATES or _end(original) in _DOCUMENTS else what
    if what in (_CREDENTIALS, _EXPORT) and not _TEMPLATES.union(_ABOUT).isdisjoint(_WORDS.split(name)):
        return None
    return what


def _end(name: str) -> str:
    place = name.rfind(".")
    return "" if place < 0 else name[place:]


def _before_stream(name: str) -> str:
    """Return the name of the file that NTFS opens: `.env` for `.env::$DATA`."""
    return name.partition(":")[0].rstrip(" .") or name


def _original(name: str) -> str:
    """Return the name of the file that this one is a copy of: `id_rsa` for `id_rsa.bak`, `id_rsa~` and `#id_rsa#`.

    >>> _original("secrets copy 2.yml"), _original("credentials (1).csv"), _original(".env - copy")
    ('secrets.yml', 'credentials.csv', '.env')
    """
    before = ""
    while name != before:
        before = name
        while name.endswith(_COPIES):
            name = name[: -max(len(end) for end in _COPIES if name.endswith(end))]
        if " " in name:
            name = _COPY.sub("", name.removeprefix("copy of ")) or name
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] == "#" else name


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return a name as it is compared: composed, without case, invisible characters, and dots and spaces at its end."""
    if not name.isascii():
        composed = unicodedata.normalize("NFKC", name)
        name = "".join(each for each in composed if unicodedata.category(each) != "Cf")
    return name.casefold().rstrip(" .")
