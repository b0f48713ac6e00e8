"""The Model Context Protocol over standard input and output, by its own library."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kenspeckle import __version__
from kenspeckle.errors import KenspeckleError
from kenspeckle.serve.assistant import TOOLS, Assistant, Said

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolResult

log = logging.getLogger("kenspeckle.mcp")

AT_ONCE = 2
"""Calls that are answered at once; more wait for their turn."""
INSTRUCTIONS = (
    "A gallery of a person's own things, each with reference pictures. identify_picture says which "
    "of them a picture shows, or that it is none of them; take 'none' as an answer. Call confirm "
    "only after the person has said what the picture shows."
)


def serve_stdio(assistant: Assistant) -> None:
    """Answer on standard input and output until the input ends."""
    import anyio
    from mcp.server.stdio import stdio_server

    server = made(assistant)

    async def run() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(run)


def made(assistant: Assistant) -> Server[Any]:
    """The protocol's server in front of an assistant."""
    import anyio
    import anyio.to_thread
    from mcp.server.lowlevel import Server
    from mcp_types import (
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        PaginatedRequestParams,
        TextContent,
        ToolAnnotations,
    )
    from mcp_types import Tool as Shown

    shown = [
        Shown(
            name=one.name,
            title=one.title,
            description=one.about,
            input_schema=one.asked.model_json_schema(),
            annotations=ToolAnnotations(
                read_only_hint=not one.changes, destructive_hint=False, open_world_hint=False
            ),
        )
        for one in TOOLS
    ]

    turns = anyio.CapacityLimiter(AT_ONCE)

    async def listed(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=shown)

    async def called(_: Any, params: CallToolRequestParams) -> CallToolResult:
        def work() -> Said:
            return assistant.ask(params.name, params.arguments or {})

        try:
            said = await anyio.to_thread.run_sync(work, limiter=turns)
        except KenspeckleError as error:
            return refused(str(error))
        except Exception:
            log.exception("%s failed", params.name)
            return refused("a fault of the gallery's own; its log has more")
        return CallToolResult(
            content=[TextContent(type="text", text=said.text)], structured_content=said.data
        )

    def refused(why: str) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)

    return Server(
        "kenspeckle",
        version=__version__,
        title="Kenspeckle",
        instructions=INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )
