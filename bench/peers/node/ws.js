// The package `ws`, as most node servers use it.
import { WebSocketServer } from "ws";
import { obey, say } from "./control.js";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 2048, perMessageDeflate: false });
server.on("listening", () => say({ port: server.address().port }));
obey((text) => {
  for (const socket of server.clients) socket.send(text);
});
