/**
 * Preloaded by an authority that is to be killed at an answer, counted from 1. TEST_KILLED_AT_ANSWER is `3 before`: SIGKILL
 * when the third answer is made and nothing of it is sent; or `3 after`: as soon as all of it is handed to the network.
 */
import { ServerResponse } from 'node:http';

const [count, moment] = (process.env.TEST_KILLED_AT_ANSWER ?? '').split(' ');
let left = Number(count);
const { end } = ServerResponse.prototype;

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

ServerResponse.prototype.end = function (this: ServerResponse, ...args: unknown[]) {
  if (this.statusCode === 200 && --left === 0) {
    if (moment === 'before') {
      die();
      return this;
    }
    this.once('finish', die);
  }
  return Reflect.apply(end, this, args);
};
