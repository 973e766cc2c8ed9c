from pathlib import Path

import pytest
import yaml

from knowledge_core.config import Config, load_config
from knowledge_core.errors import ConfigurationError
from knowledge_core.paths import CONFIG_VARIABLE

REPOSITORY = Path(__file__).parents[2]


def test_the_documented_file_says_the_defaults_of_the_code():
    documented = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    assert documented == Config().model_dump(mode="json")


def test_without_a_file_the_defaults_hold(tmp_path):
    assert load_config(tmp_path) == Config()


def test_what_a_file_leaves_out_keeps_its_default(tmp_path):
    (tmp_path / "config.yaml").write_text("indexing:\n  chunk_size: 256\n")
    config = load_config(tmp_path)
    assert config.indexing.chunk_size == 256
    assert config.embedding == Config().embedding


def test_a_named_file_comes_before_the_variable_and_the_data_directory(tmp_path, monkeypatch):
    for name, size in (("named", 100), ("variable", 200), ("config", 300)):
        (tmp_path / f"{name}.yaml").write_text(f"indexing: {{chunk_size: {size}}}\n")
    assert load_config(tmp_path).indexing.chunk_size == 300
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "variable.yaml"))
    assert load_config(tmp_path).indexing.chunk_size == 200
    assert load_config(tmp_path, str(tmp_path / "named.yaml")).indexing.chunk_size == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("roots: ['']\n", ["roots.0", "full path"]),
        ("roots: [notes]\n", ["roots.0", "full path", "'notes'"]),
        ("indexing:\n  chunk_sise: 3\n", ["chunk_sise", "Did you mean 'chunk_size'"]),
        ("embeding: {}\n", ["embeding", "Did you mean 'embedding'"]),
        ("indexing:\n  chunk_size: 3\n", ["indexing.chunk_size", "32"]),
        ("indexing:\n  chunk_size: big\n", ["indexing.chunk_size", "'big'"]),
        ("- a\n- b\n", ["keys and values"]),
        ("a: [\n", ["not YAML"]),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_key(tmp_path, text, words):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_config(tmp_path)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path, str(tmp_path / "nowhere.yaml"))
