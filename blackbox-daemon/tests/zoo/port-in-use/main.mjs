// A server whose port is taken: listen says EADDRINUSE, uncaught, exit 1.
//
// Argument: a port of 127.0.0.1 on which somebody listens.
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as rest } from "node:timers/promises";

const port = Number(process.argv[2]);
console.log(`INFO web starting, pid ${process.pid}`);
if (!existsSync("/etc/web/routes.json")) {
  console.log("INFO no routes.json, using defaults");
}
for (let round = 1; round <= 3; round++) {
  await rest(200);
  console.log(`INFO warming the cache ${round}/3`);
}
const server = createServer((_request, response) => response.end("hello\n"));
server.listen(port, "127.0.0.1", () => console.log(`INFO listening on ${port}`));
