// The official TypeScript SDK.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const told = JSON.parse(process.env.KCORE_INTEROP);
const [command, ...args] = told.stdio;
for (const transport of [
  new StdioClientTransport({ command, args, env: process.env }),
  new StreamableHTTPClientTransport(new URL(told.url), { requestInit: { headers: told.headers } }),
]) {
  const client = new Client({ name: "interop", version: "1" });
  await client.connect(transport);
  const { tools } = await client.listTools();
  if (tools.length !== 10) throw new Error(`${tools.length} tools`);
  const call = (name, given) => client.callTool({ name, arguments: given }, undefined, { timeout: 90000 });
  await call("index", { documents: told.documents, collection: "interop", wait_seconds: 60 });
  const found = await call("search", { query: told.query, collections: ["interop"] });
  if (found.structuredContent.hits[0].document !== "a") throw new Error(JSON.stringify(found));
  const wrong = await call("search", { qwery: told.query });
  if (!wrong.isError || !wrong.content[0].text.includes("Did you mean")) throw new Error(JSON.stringify(wrong));
  await client.close();
}
console.log("ok");
