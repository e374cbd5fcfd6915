// What control.py is for Python peers: a JSON object a line on stdin, an answer a line on stdout.
import { createInterface } from "node:readline";

export const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

export function obey(wave) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => push(JSON.parse(line), wave));
  lines.on("close", () => process.exit(0));
}

function push({ text, waves, gap }, wave) {
  let due = performance.now();
  const next = () => {
    if (waves-- === 0) return say({ answer: null });
    wave(text);
    due += gap * 1000;
    const wait = due - performance.now();
    if (wait > 1) setTimeout(next, wait);
    else setImmediate(next);
  };
  next();
}
