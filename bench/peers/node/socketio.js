// Socket.IO over WebSocket alone. The event travels as the string argument of its message `event`.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { obey, say } from "./control.js";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false });
const sockets = new Set();
io.on("connection", (socket) => {
  sockets.add(socket);
  socket.on("disconnect", () => sockets.delete(socket));
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () => say({ port: http.address().port }));
obey((text) => {
  for (const socket of sockets) socket.emit("event", text);
});
