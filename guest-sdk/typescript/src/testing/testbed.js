// The connection to `turntable testbed`.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Testbed {
  #command;
  #child;
  #lines = [];
  #waiting;
  #ended;

  constructor(command = process.env.TURNTABLE ?? "turntable") {
    this.#command = command;
  }

  /** Leads a turn. `answer` answers the requests of the testbed. */
  async lead(begun, answer) {
    this.#start();
    this.#hold(true);
    try {
      this.#send({ turn: begun });
      for (;;) {
        const request = await this.#next();
        if (request.end) return request.end;
        this.#send(await answer(request));
      }
    } finally {
      this.#hold(false);
    }
  }

  #start() {
    if (this.#child) return;
    const child = spawn(this.#command, ["testbed"], { stdio: ["pipe", "pipe", "inherit"] });
    const end = (why) => {
      this.#ended = new Error(
        `${why}; the test host needs the program \`turntable\`: put it on the PATH, or set TURNTABLE to its file`,
      );
      this.#waiting?.reject(this.#ended);
    };
    child.on("error", (error) => end(`\`${this.#command}\` could not start (${error.code ?? error.message})`));
    child.on("exit", (code) => end(`\`${this.#command} testbed\` ended with ${code}`));
    child.stdin.on("error", () => {});
    createInterface({ input: child.stdout }).on("line", (line) => {
      const request = JSON.parse(line);
      if (!this.#waiting) return this.#lines.push(request);
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      return resolve(request);
    });
    this.#child = child;
  }

  /** Keeps the process of the tests alive while a turn runs, and only then. */
  #hold(holds) {
    const parts = [this.#child, this.#child.stdin, this.#child.stdout];
    for (const part of parts) holds ? part.ref?.() : part.unref?.();
  }

  #send(message) {
    if (this.#ended) throw this.#ended;
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #next() {
    if (this.#lines.length) return Promise.resolve(this.#lines.shift());
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
