"""Every failure of an endpoint: a retry where it makes sense, else a clear message. Real HTTP, real SDKs."""

from __future__ import annotations

import pytest

from knowledge_agent import Agent, Budget, ModelUnavailable, ServerUnavailable, WrongSetup, mcp_client
from scripted_endpoint import Call, Cut, Endpoint, Fail, Overloaded, Refuse, Say, Slow, scripted_endpoint

pytestmark = pytest.mark.anyio

QUESTION = "What does a solar panel do?"


async def asked(agent, api: str, endpoint: Endpoint, *script, **options):
    endpoint.script = list(script)
    async with agent(api, **options) as made:
        return await made.ask(QUESTION)


async def test_a_rate_limit_is_waited_out_as_the_endpoint_says(agent, endpoint, api):
    limited = Fail(429, headers={"retry-after": "1"})
    assert (await asked(agent, api, endpoint, limited, Say("Power."))).text == "Power."
    assert endpoint.times[1] - endpoint.times[0] >= 0.95


async def test_an_overload_is_tried_again(agent, endpoint, api):
    assert (await asked(agent, api, endpoint, Fail(529), Say("Power."))).text == "Power."


@pytest.mark.parametrize("status", [429, 529])
async def test_an_endpoint_that_stays_overloaded_is_named(agent, endpoint, api, status):
    endless = [Fail(status, "busy today", {"retry-after-ms": "1"})] * 9
    with pytest.raises(ModelUnavailable, match=rf"answered {status}.*busy today.*3 retries included"):
        await asked(agent, api, endpoint, *endless)
    assert len(endpoint.requests) == 4


async def test_an_overload_within_a_stream_is_tried_again_before_anything_was_shown(agent, endpoint, api):
    assert (await asked(agent, api, endpoint, Overloaded(), Say("Power."))).text == "Power."
    with pytest.raises(ModelUnavailable, match="Overloaded"):
        await asked(agent, api, endpoint, Overloaded(), Overloaded())


@pytest.mark.parametrize("clean", [True, False])
async def test_a_cut_stream_is_tried_again_only_before_anything_was_shown(agent, endpoint, api, clean):
    assert (await asked(agent, api, endpoint, Cut(clean=clean), Say("Power."))).text == "Power."
    with pytest.raises(ModelUnavailable, match="cut after 5 characters"):
        await asked(agent, api, endpoint, Cut("Solar", clean=clean), Say("never asked"))
    assert len(endpoint.script) == 1


async def test_malformed_arguments_go_back_to_the_model(agent, endpoint, api):
    wrong = Call("search", written='{"query": "su')
    answer = await asked(agent, api, endpoint, wrong, Call("search", {"query": "sun"}), Say("Power."))
    assert answer.text == "Power."
    assert "no valid JSON" in str(endpoint.requests[1])


async def test_a_model_that_only_writes_malformed_arguments_is_given_up(agent, endpoint, api):
    with pytest.raises(ModelUnavailable, match=r"3 times in a row.*--pipeline"):
        await asked(agent, api, endpoint, *[Call("search", written="[1]")] * 3)


async def test_a_redirect_is_not_followed(agent, endpoint, api):
    with scripted_endpoint() as other:
        moved = Fail(307, headers={"location": f"{other.origin}/v1/messages"})
        with pytest.raises(ModelUnavailable, match="307, a redirect, which is not followed"):
            await asked(agent, api, endpoint, moved)
        assert other.requests == []


async def test_an_empty_answer_is_said_to_be_one(agent, endpoint, api):
    assert "empty answer" in (await asked(agent, api, endpoint, Say(""))).stopped


async def test_a_refusal_is_told_with_its_reason(agent, endpoint, api):
    with pytest.raises(ModelUnavailable, match=r"refused to answer.*harmful"):
        await asked(agent, api, endpoint, Refuse("It is harmful."))


async def test_an_answer_cut_at_the_most_tokens_is_shown_and_said_to_be_cut(agent, endpoint, api):
    answer = await asked(agent, api, endpoint, Say("Power is", ended="max_tokens"), pipeline=True)
    assert (answer.text, "cut at 4096 tokens" in answer.stopped) == ("Power is", True)


@pytest.mark.slow
async def test_when_the_time_is_over_what_has_come_is_the_answer(agent, endpoint, api):
    answer = await asked(agent, api, endpoint, Slow("Power, and", 5), pipeline=True, budget=Budget(seconds=1.5))
    assert (answer.text, "1.5 seconds" in answer.stopped) == ("Power, and", True)
    assert answer.seconds < 3


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "_API_KEY"), (404, "no model 'scripted'"), (413, "--context-tokens")]
)
async def test_an_error_says_what_to_do(agent, endpoint, api, status, advice):
    with pytest.raises((ModelUnavailable, WrongSetup), match=advice):
        await asked(agent, api, endpoint, Fail(status))
    assert len(endpoint.requests) == 1


@pytest.mark.slow  # the SDKs wait between retries
async def test_an_endpoint_that_does_not_answer_is_named(agent, monkeypatch, api):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9.* cannot be reached"):
        async with agent(api, base_url="http://127.0.0.1:9/v1", pipeline=True) as made:
            await made.ask(QUESTION)


@pytest.mark.parametrize(("api", "variable"), [("anthropic", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY")])
async def test_a_missing_key_says_what_to_set_and_how_to_go_local(monkeypatch, tmp_path, api, variable):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # the SDK would look for a profile there
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    with pytest.raises(WrongSetup, match=rf"(?s){variable}.*ollama pull.*--base-url"):
        async with Agent.connect(api=api):
            pass


async def test_a_local_endpoint_needs_no_key_but_a_models_name(agent, endpoint, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await asked(agent, "openai", endpoint, Say("Power."))).text == "Power."
    with pytest.raises(WrongSetup, match="--model"):
        async with Agent.connect(api="openai"):
            pass


async def test_a_server_that_cannot_be_started_or_reached_is_named(endpoint, monkeypatch):
    monkeypatch.setattr(mcp_client, "FIRST_PATIENCE", 0.5)
    with pytest.raises(WrongSetup, match="no-such-command"):
        async with Agent.connect(api="openai", model="m", server_command=["no-such-command"]):
            pass
    for where in ({"server": "http://127.0.0.1:9/mcp"}, {"server_command": ["false"]}):
        async with Agent.connect(api="openai", model="m", pipeline=True, **where) as made:
            with pytest.raises(ServerUnavailable, match="cannot be reached"):
                await made.ask(QUESTION)
