"""The conformance suite's fixtures, mounted on the product's own server class, middleware and settings.

    python tests/conformance/fixtures.py PORT

Names, texts and shapes are what the suite's scenarios ask for (@modelcontextprotocol/conformance, "Server Implementation
Requirements" of each); the suite speaks to these tools, the product answers. Never part of the package.
"""

from __future__ import annotations

import base64
import json
import sys
import warnings
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    INVALID_PARAMS,
    AudioContent,
    ClientCapabilities,
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    RequestParams,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from knowledge_core.serving.http.doors import Doors  # noqa: F401  # the product's module must import as it does at the user's
from knowledge_core.serving.http.http_door import HttpDoor, http_app, loopback_socket
from knowledge_core.serving.surface.mcp_server import KnowledgeServer

warnings.simplefilter("ignore", MCPDeprecationWarning)  # the older revision's features are under test, too
Any_ = Context[dict[str, Any], Any]

# One red pixel, and an empty sound.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND = base64.b64encode(
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00"
    b"data\x00\x00\x00\x00"
).decode()


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def contents(server: KnowledgeServer) -> None:
    """Tools that return each kind of content."""

    @server.tool(description="Simple text.", structured_output=False)
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="An image.", structured_output=False)
    def test_image_content() -> list[ImageContent]:
        return [image()]

    @server.tool(description="A sound.", structured_output=False)
    def test_audio_content() -> list[AudioContent]:
        return [AudioContent(type="audio", data=SOUND, mime_type="audio/wav")]

    @server.tool(description="A resource inside.", structured_output=False)
    def test_embedded_resource() -> list[EmbeddedResource]:
        return [embedded("test://embedded-resource", "This is an embedded resource content.")]

    @server.tool(description="Several kinds.", structured_output=False)
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        data = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
        return [text("Multiple content types test:"), image(), data]

    @server.tool(description="Fails.", structured_output=False)
    def test_error_handling() -> str:
        from knowledge_core.errors import InvalidInput

        raise InvalidInput("This tool intentionally returns an error for testing")

    @server.tool(description="Reports progress.", structured_output=False)
    async def test_tool_with_progress(context: Any_) -> str:
        for done in (0, 50, 100):
            await context.report_progress(done, 100, f"Completed step {done} of 100")
            await anyio.sleep(0.05)
        return "done"

    @server.tool(description="Logs.", structured_output=False)
    async def test_tool_with_logging(context: Any_) -> str:
        for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.info(words)
            await anyio.sleep(0.05)
        return "logged"

    @server.tool(description="Logs, if asked to.", structured_output=False)
    async def test_logging_tool(context: Any_) -> str:
        await context.info("a log message")
        return "logged"


class Reply(BaseModel):
    response: str = Field(description="User's response")


class Defaults(BaseModel):
    name: str = Field(default="John Doe", description="User name")
    age: int = Field(default=30, description="User age")
    score: float = Field(default=95.5, description="User score")
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = Field(default=True, description="Verification status")


OPTIONS = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)]


class Enums(BaseModel):
    untitledSingle: str = Field(json_schema_extra={"enum": ["option1", "option2", "option3"]})  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": OPTIONS})  # noqa: N815
    legacyEnum: str = Field(  # noqa: N815
        json_schema_extra={"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    )
    untitledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"type": "string", "enum": ["option1", "option2", "option3"]}}
    )
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": OPTIONS}})  # noqa: N815


def asking(server: KnowledgeServer) -> None:
    """Tools that ask the client in the middle of a call (revisions up to 2025-11-25)."""

    @server.tool(description="Asks the client's model.", structured_output=False)
    async def test_sampling(context: Any_, prompt: str) -> str:
        made = await context.session.create_message(
            messages=[SamplingMessage(role="user", content=text(prompt))],
            max_tokens=100,
            related_request_id=context.request_id,  # on the stream of this call: the client's other one may not be open yet
        )
        return f"LLM response: {getattr(made.content, 'text', '')}"

    @server.tool(description="Asks the user.", structured_output=False)
    async def test_elicitation(context: Any_, message: str) -> str:
        said = await context.elicit(message=message, schema=Reply)
        return f"User response: {said.model_dump_json()}"

    @server.tool(description="Asks the user, with defaults.", structured_output=False)
    async def test_elicitation_sep1034_defaults(context: Any_) -> str:
        said = await context.elicit(message="Please provide user information", schema=Defaults)
        return f"Elicitation completed: {said.model_dump_json()}"

    @server.tool(description="Asks the user, with choices.", structured_output=False)
    async def test_elicitation_sep1330_enums(context: Any_) -> str:
        said = await context.elicit(message="Please choose", schema=Enums)
        return f"Elicitation completed: {said.model_dump_json()}"


def form(message: str, field: str, type: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": type}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(words: str, most: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=text(words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=most))


def needs(context: Any_, requests: dict[str, Any], state: str | None = None) -> InputRequiredResult | None:
    """Return what still has to be asked, or None once all of it is answered."""
    given = context.input_responses or {}
    if all(name in given for name in requests):
        return None
    return InputRequiredResult(input_requests=requests, request_state=state)


def input_required(server: KnowledgeServer) -> None:
    """Tools and the prompt that ask by their result (revision 2026-07-28)."""
    rounds: dict[str, tuple[dict[str, Any], str | None]] = {
        "elicitation": ({"user_name": form("What is your name?", "name")}, None),
        "sampling": ({"capital_question": sample("What is the capital of France?", 100)}, None),
        "list_roots": ({"client_roots": ListRootsRequest()}, None),
        "request_state": ({"confirm": form("Please confirm", "ok", "boolean")}, "asked"),
        "multiple_inputs": (
            {
                "user_name": form("What is your name?", "name"),
                "greeting": sample("Generate a greeting", 50),
                "client_roots": ListRootsRequest(),
            },
            "asked",
        ),
        "tampered_state": ({"confirm": form("Please confirm", "ok", "boolean")}, "asked"),
    }
    for name, (requests, state) in rounds.items():
        _add_round(server, f"test_input_required_result_{name}", requests, state)

    @server.tool(description="Asks twice.", structured_output=False)
    async def test_input_required_result_multi_round(context: Any_) -> str | InputRequiredResult:
        if context.request_state is None:
            return InputRequiredResult(
                input_requests={"step1": form("Step 1: What is your name?", "name")}, request_state="one"
            )
        if context.request_state == "one":
            return InputRequiredResult(
                input_requests={"step2": form("Step 2: What is your favorite color?", "color")}, request_state="two"
            )
        return "both steps are answered"

    @server.tool(description="Asks only what the client can answer.", structured_output=False)
    async def test_input_required_result_capabilities(context: Any_) -> str | InputRequiredResult:
        able = context.client_capabilities
        requests: dict[str, Any] = {}
        if able is not None and able.sampling is not None:
            requests["greeting"] = sample("Generate a greeting", 50)
        if able is not None and able.elicitation is not None:
            requests["user_name"] = form("What is your name?", "name")
        return (needs(context, requests) if requests else None) or "answered"

    @server.tool(description="Asks in a stream.", structured_output=False)
    async def test_streaming_elicitation(context: Any_) -> str | InputRequiredResult:
        return needs(context, {"user_name": form("What is your name?", "name")}) or "answered"

    @server.tool(description="Needs a client that samples.", structured_output=False)
    async def test_missing_capability(context: Any_) -> str:
        required = ClientCapabilities(sampling=SamplingCapability())
        if not context.session.check_client_capability(required):
            data = {"requiredCapabilities": required.model_dump(by_alias=True, exclude_none=True)}
            raise MCPError(-32021, "This tool needs the client capability sampling.", data)
        return "the client can sample"

    @server.prompt(description="Asks before it is made.")
    async def test_input_required_result_prompt(context: Any_) -> str | InputRequiredResult:
        return needs(context, {"user_context": form("What context should the prompt use?", "context")}) or "A prompt."


def _add_round(server: KnowledgeServer, name: str, requests: dict[str, Any], state: str | None) -> None:
    async def ask(context: Any_) -> str | InputRequiredResult:
        asked = needs(context, requests, state)
        if asked is not None:
            return asked
        if state is not None and context.request_state != state:
            raise MCPError(INVALID_PARAMS, "requestState is not what was given.")
        answers = {key: value.model_dump(mode="json") for key, value in (context.input_responses or {}).items()}
        return f"{'state-ok ' if state else 'Hello! '}{json.dumps(answers)}"

    server.tool(name=name, description="Asks by its result.", structured_output=False)(ask)


def changes(server: KnowledgeServer) -> None:
    """Tools that pretend that a list changed."""

    @server.tool(description="Tells that the tools changed.", structured_output=False)
    async def test_trigger_tool_change() -> str:
        await server.events.publish(ToolsListChanged())
        return "told"

    @server.tool(description="Tells that the prompts changed.", structured_output=False)
    async def test_trigger_prompt_change() -> str:
        await server.events.publish(PromptsListChanged())
        return "told"


def resources_and_prompts(server: KnowledgeServer) -> None:
    @server.resource("test://static-text", description="Text.", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="Bytes.", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", description="Watched.", mime_type="text/plain")
    def watched() -> str:
        return "Watched resource content"

    @server.resource("test://template/{id}/data", description="By id.", mime_type="application/json")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.prompt(description="Simple.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="With arguments.")
    def test_prompt_with_arguments(
        arg1: Annotated[str, Field(description="First.")], arg2: Annotated[str, Field(description="Second.")]
    ) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="With a resource.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[Any]:  # noqa: N803
        return [
            _said(embedded(resourceUri, "Embedded resource content for testing.")),
            _said(text("Please process the embedded resource above.")),
        ]

    @server.prompt(description="With an image.")
    def test_prompt_with_image() -> list[Any]:
        return [_said(image()), _said(text("Please analyze the image above."))]


def _said(content: Any) -> Any:
    from mcp.server.mcpserver.prompts.base import UserMessage

    return UserMessage(content=content)


def older_requests(server: KnowledgeServer) -> None:
    """Requests of revisions up to 2025-11-25 that the product does without."""
    low = server.low_level()

    async def nothing(context: Any, params: RequestParams) -> EmptyResult:
        return EmptyResult()

    low.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, nothing)

    @server.completion()
    async def complete(about: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=[], total=0, has_more=False)


def fixture_server() -> KnowledgeServer:
    """Return the product's server with the suite's fixtures on it."""
    server = KnowledgeServer("knowledge-core-conformance", version="0", log_level="ERROR")
    for add in (contents, asking, input_required, changes, resources_and_prompts, older_requests):
        add(server)
    return server


async def serve(port: int) -> None:
    listener = loopback_socket("127.0.0.1", port)
    door = HttpDoor(http_app(fixture_server(), *listener.getsockname()[:2], tokens=None), listener)
    print(json.dumps({"url": door.url}), flush=True)
    await door.serve_until_closed()


if __name__ == "__main__":
    anyio.run(serve, int(sys.argv[1]))
