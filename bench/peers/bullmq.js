// SPDX-License-Identifier: Apache-2.0
// BullMQ as a webhook system, the way its users build one: an HTTP server that adds each event as a job and answers when
// Redis has it, and a worker that posts the job to the receiver over keep-alive connections.
//
//   node bullmq.js ingest|work|both REDIS-PORT RECEIVER-URL [CONCURRENCY [CA-FILE]]
//
// Prints `ready PORT` (0 for a worker alone). Retries as a webhook sender wants them are on; finished jobs are removed and
// no attempt is recorded, which is generous to it.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Queue, Worker } from "bullmq";
import { Pool } from "undici";

const [role, redisPort, receiver, concurrency = "50", caFile] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(redisPort), maxRetriesPerRequest: null };
const name = "webhooks";

function ingest() {
  const options = { attempts: 10, backoff: { type: "exponential", delay: 5000 }, removeOnComplete: true };
  const queue = new Queue(name, { connection });
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const event = Buffer.concat(parts).toString();
      JSON.parse(event); // as any ingest would
      queue.add("push", event, options).then(
        () => response.writeHead(201, { "Content-Length": 2 }).end("{}"),
        (error) => response.writeHead(503, { "Content-Length": 0 }).end(String(error)),
      );
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

async function work() {
  const url = new URL(receiver);
  const connect = caFile ? { ca: readFileSync(caFile) } : undefined;
  const pool = new Pool(url.origin, { connections: Number(concurrency), connect });
  const headers = { "content-type": "application/json" };
  const worker = new Worker(
    name,
    async (job) => {
      const { statusCode, body } = await pool.request({ method: "POST", path: url.pathname, headers, body: job.data });
      await body.dump();
      if (statusCode >= 300) throw new Error(`the receiver answered ${statusCode}`);
    },
    { connection, concurrency: Number(concurrency) },
  );
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
}

const port = role === "work" ? 0 : await ingest();
if (role !== "ingest") await work();
console.log(`ready ${port}`);
