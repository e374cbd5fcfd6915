// The founding page's steps with node and `ws`: connect, authenticate, trade, drop, refresh, go on.
import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";

const [url, appId, given] = process.argv.slice(2);
const { accessToken: firstToken, refreshToken: storedRefreshToken, user } = JSON.parse(given);
const wsUrl = url.replace("http", "ws");

class Frames {
  #frames = [];
  #waiting = [];
  constructor(socket) {
    socket.on("message", (data) => {
      const frame = data.toString();
      const next = this.#waiting.shift();
      if (next) next(frame);
      else this.#frames.push(frame);
    });
  }
  async next() {
    const raw = this.#frames.shift() ?? (await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("no frame within 5 s")), 5000).unref();
      this.#waiting.push(resolve);
    }));
    return { raw, ...JSON.parse(raw) };
  }
}

async function place(token) {
  const answer = await fetch(`${url}/trading/orders`, {
    method: "POST",
    headers: { "x-app-id": appId, authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ venue: "paper", marketId: "fed-cut-dec", outcomeId: "yes", side: "buy", price: 0.01, size: 10 }),
  });
  assert.equal(answer.status, 201);
  return answer.json();
}

async function expectBoth(frames, order) {
  const submitted = await frames.next();
  assert.equal(submitted.type, "order_submitted");
  assert.equal(submitted.orderId, order.orderId);
  for (const [name, type] of Object.entries({ venue: "string", side: "string", price: "number", size: "number", marketId: "string", timestamp: "number" }))
    assert.equal(typeof submitted[name], type, name);
  const balance = await frames.next();
  assert.equal(balance.type, "balance_update");
  for (const name of ["tradingBalanceCents", "walletBalanceCents", "timestamp"])
    assert.ok(Number.isInteger(balance[name]), name);
}

let accessToken = firstToken;
let socket = new WebSocket(`${wsUrl}/ws?appId=${appId}&token=${accessToken}`);
let frames = new Frames(socket);
const connected = await frames.next();
assert.equal(connected.type, "connected");
assert.equal(connected.appId, appId);
assert.equal(connected.userId, user.id);
await expectBoth(frames, await place(accessToken));

for (let round = 0; round < 3; round += 1) {
  socket.terminate();
  await once(socket, "close");
  const answer = await fetch(`${url}/auth/token/refresh`, {
    method: "POST",
    headers: { "x-app-id": appId, "content-type": "application/json" },
    body: JSON.stringify({ refreshToken: storedRefreshToken }),
  });
  assert.equal(answer.status, 200);
  ({ accessToken } = await answer.json());
  socket = new WebSocket(`${wsUrl}/ws?appId=${appId}`);
  frames = new Frames(socket);
  const anonymous = await frames.next();
  assert.equal(anonymous.type, "connected");
  assert.equal(anonymous.userId, undefined);
  socket.send(JSON.stringify({ action: "authenticate", token: accessToken }));
  const authenticated = await frames.next();
  assert.equal(authenticated.type, "authenticated");
  assert.equal(authenticated.userId, user.id);
  await expectBoth(frames, await place(accessToken));
}
socket.close();
console.log("all steps passed");
