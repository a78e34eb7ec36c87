// A server that keeps every session for ever, with --max-old-space-size=32: V8's heap limit, abort.
//
// Run under an init, for process 1 does not take its own SIGABRT.
import { existsSync } from "node:fs";
import { setTimeout as rest } from "node:timers/promises";

const sessions = new Map();
console.log(`INFO sessions starting, pid ${process.pid}`);
if (!existsSync("/etc/sessions/ttl.json")) {
  console.log("INFO no ttl.json, keeping sessions");
}
await rest(500);
for (let id = 0; id < 4_000_000; id++) {
  sessions.set(id, { id, user: `user-${id}`, roles: ["reader", `team-${id % 97}`] });
  if (id % 20_000 === 0) {
    console.log(`INFO ${id} sessions`);
    await rest(10);
  }
}
process.exit(9);
